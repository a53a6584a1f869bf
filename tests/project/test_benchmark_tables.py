"""The tables of results in the documentation are those of the committed files."""

import pandas as pd
import pytest

from benchmarks import unseen_people
from tests.helpers.project import ROOT

DOCS = (ROOT / "docs/training.md").read_text("utf-8")
RESULTS = pd.read_csv(unseen_people.RESULTS)


@pytest.mark.parametrize("kind", ["inner", "outer", "random"])
def test_the_docs_have_the_table_of_conditions(kind):
    assert unseen_people.condition_table(unseen_people.by_kind(RESULTS)[kind]) in DOCS


def test_the_docs_have_the_nested_table():
    assert unseen_people.nested_table(unseen_people.nested_results(RESULTS)) in DOCS


def test_all_results_are_of_conditions_that_are_still_described():
    for name in RESULTS["condition"].unique():
        assert unseen_people.Condition.read(name).mode in ("videos", "binary")
