"""Terms of the datasets."""

import re

from data_manifests import labels
from ffpp_tools.sources.terms import TERMS, terms_of, without_terms
from tests.helpers.project import ROOT


def test_every_category_of_the_label_spaces_has_terms():
    assert without_terms(labels()) == ()
    categories = [name for terms in TERMS for name in terms.categories]
    assert len(set(categories)) == len(categories)


def test_terms_are_those_of_the_given_categories():
    assert [terms.dataset for terms in terms_of(["Youtube", "FaceSwap"])] == ["FaceForensics++"]
    assert terms_of(["mine"]) == ()
    assert without_terms(["CelebA", "mine"]) == ("mine",)


def test_addresses_are_those_of_the_documentation():
    documented = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    for terms in TERMS:
        for address in (terms.url, *re.findall(r"<(https://[^>]+)>", terms.text)):
            assert address in documented
        assert re.match(r"@\w+\{\w+, title=\{", terms.citation)
