"""Tests of identity overlap between training data and a split."""

from types import SimpleNamespace

import pytest

from classify.errors import RunError
from classify.evaluation.overlap import IdentityOverlap, identity_overlap
from ffpp_tools.splits.manifest import Manifest


def test_no_group_of_test_and_every_group_of_val_is_shared(videos_manifest):
    run = SimpleNamespace(manifest=videos_manifest)
    found = identity_overlap(run, videos_manifest, "test")
    groups = videos_manifest.samples("test")["group"].nunique()
    assert found == IdentityOverlap(0, groups)
    assert str(found) == "No identity overlap with its training data is known."
    found = identity_overlap(run, videos_manifest, "val")
    assert found.shared == found.total == videos_manifest.samples("val")["group"].nunique()
    assert "IDENTITIES OF ITS TRAINING DATA ARE IN THIS SPLIT" in str(found)


class Gone:
    """A run whose manifest has changed."""

    @property
    def manifest(self) -> Manifest:
        raise RunError("it has changed")


def test_overlap_is_unknown_without_the_runs_manifest(videos_manifest):
    found = identity_overlap(Gone(), videos_manifest, "test")
    assert (found.shared, found.total) == (0, 0)
    assert str(found).endswith("is unknown (it has changed).")


@pytest.mark.parametrize("shared", [1, 3])
def test_the_sentence_has_the_number_of_shared_groups(shared):
    assert f": {shared} of 3 identity groups." in str(IdentityOverlap(shared, 3))
