"""Identity overlap between a training and the split it is judged on."""

from types import SimpleNamespace

import pytest

from classify.errors import RunError
from classify.evaluation.overlap import IdentityOverlap, identity_overlap
from ffpp_tools.splits.manifest import Manifest


def test_nobody_of_test_is_known_and_everybody_of_val_is(videos_manifest):
    run = SimpleNamespace(manifest=videos_manifest)
    found = identity_overlap(run, videos_manifest, "test")
    groups = videos_manifest.samples("test")["group"].nunique()
    assert found == IdentityOverlap(0, groups)
    assert str(found) == "None of its training's people are in this split, as far as is known."
    found = identity_overlap(run, videos_manifest, "val")
    assert found.shared == found.asked == videos_manifest.samples("val")["group"].nunique()
    assert "PEOPLE OF ITS OWN TRAINING ARE IN THIS SPLIT" in str(found)


class Gone:
    """A run whose manifest is not what it was."""

    @property
    def manifest(self) -> Manifest:
        raise RunError("it has changed")


def test_where_the_runs_manifest_is_gone_it_is_not_known(videos_manifest):
    found = identity_overlap(Gone(), videos_manifest, "test")
    assert (found.shared, found.asked) == (0, 0)
    assert str(found).endswith("is not known (it has changed).")


@pytest.mark.parametrize(("shared", "words"), [(1, "1 of 3 groups"), (3, "3 of 3 groups")])
def test_shared_groups_are_counted_in_words(shared, words):
    assert words in str(IdentityOverlap(shared, 3))
