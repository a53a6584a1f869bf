"""Folds: every identity group is tested once, or named."""

import pandas as pd
import pytest

from ffpp_tools.splits.build import SplitSettings, make_manifests
from ffpp_tools.store.schema import SPLITS
from tests.helpers.tables import constructed


def uneven(category, compression, i):
    """Clips of one to three frames; every fifth pair of people has a single clip."""
    if compression != "c40" or (i // 2 % 5 == 0 and (category != "Youtube" or i % 2)):
        return 0
    return 1 + (7 * i + 3 * len(category)) % 3


@pytest.mark.parametrize("mode", ["videos", "multiclass"])
def test_every_identity_group_is_in_the_test_split_of_one_fold(tmp_path, mode):
    """In multiclass the stills are few, and each class gives a few samples of its many."""
    dataset = constructed(tmp_path / "d", uneven, pairs=30, stills=36)
    manifests = make_manifests(dataset, tmp_path / "m", SplitSettings(mode, folds=4))
    every = pd.concat(
        [m.samples(s).assign(split=s, fold=i) for i, m in enumerate(manifests) for s in SPLITS]
    )
    tested = every[every["split"] == "test"]
    clips = every[every["compression"] != "still"]
    assert set(every["group"]) == set(tested["group"])
    assert clips["group"].nunique() == 30
    assert tested.groupby("group")["fold"].nunique().max() == 1
    assert manifests[0].info["untested"]["with_clips"] == []
    # A group has one name in all folds.
    assert every.groupby(["category", "clip"])["group"].nunique().max() == 1


def test_who_is_not_tested_is_named(tmp_path):
    """A method of which there is little leaves room for a few of the other classes' people."""

    def frames_of(category, compression, i):
        return 4 * (compression == "c40" and (category != "FaceSwap" or i < 6))

    (tmp_path / "r.toml").write_text(
        'rule = "grouped"\nfolds = 3\n[classes]\nswap = ["FaceSwap"]\nreal = ["Youtube"]\n'
    )
    dataset = constructed(tmp_path / "d", frames_of, pairs=30, stills=0)
    asked = SplitSettings(recipe=str(tmp_path / "r.toml"))
    manifests = make_manifests(dataset, tmp_path / "m", asked)
    tested = {g for m in manifests for g in m.samples("test")["group"]}
    untested = manifests[0].info["untested"]
    assert untested["groups"] == len(untested["with_clips"]) == 30 - len(tested)
    assert len(tested) == 3 * (8 + 1)  # eight samples of Youtube, and the one group of FaceSwap
    assert tested.isdisjoint(untested["with_clips"])
    # Youtube's samples of a fold are all of different groups before any gives two.
    for manifest in manifests:
        real = manifest.samples("test").query("label == 'real'")
        assert real["group"].is_unique


def test_folds_with_room_for_all_leave_nobody_out(tmp_path):
    dataset = constructed(tmp_path / "d", lambda _, c, __: 2 * (c == "c40"), stills=0)
    manifests = make_manifests(dataset, tmp_path / "m", SplitSettings("videos", folds=3))
    assert {m.info["untested"]["groups"] for m in manifests} == {0}


def test_with_a_method_left_out_those_in_others_fakes_alone_cannot_be_tested(tmp_path):
    """Every third pair of people has no originals, and the first of them no FaceSwap either."""

    def frames_of(category, compression, i):
        pair = i // 2
        lost = (category == "Youtube" and pair % 3 == 0) or (category == "FaceSwap" and pair == 0)
        return 4 * (compression == "c40" and not lost)

    dataset = constructed(tmp_path / "d", frames_of, pairs=15)
    asked = SplitSettings("binary", folds=3, leave_out="FaceSwap")
    untested = make_manifests(dataset, tmp_path / "m", asked)[0].info["untested"]
    assert untested["without_test_samples"] == 1
    assert untested["groups"] == 1
