"""Folds: every identity group is tested once, or named."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from data_manifests import modes
from ffpp_tools.errors import SplitError
from ffpp_tools.splits.apply_recipe import assign_splits, select_samples
from ffpp_tools.splits.build import SplitSettings, _untested, make_manifests
from ffpp_tools.splits.recipes import Recipe
from ffpp_tools.store.schema import SPLITS
from tests.helpers.tables import METHODS, VIDEOS, constructed


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


groups_of = st.lists(
    st.fixed_dictionaries({c: st.integers(0, 4) for c in VIDEOS}), min_size=6, max_size=24
)


@settings(max_examples=25, deadline=None)
@given(people=groups_of, folds=st.integers(3, 5), seed=st.integers(0, 3))
def test_in_every_drawn_world_each_group_is_tested_once_or_there_was_no_room(people, folds, seed):
    """So many samples of each category has each identity group, in two clips."""
    rows = [
        (f"{number:02d}", category, f"{number:02d}_{i % 2}", i)
        for number, sizes in enumerate(people)
        for category, count in sizes.items()
        for i in range(count)
    ]
    samples = pd.DataFrame(rows, columns=["group", "category", "clip", "frame"])
    samples = samples.assign(compression="c40", **{"class": samples["category"]})
    samples["label"] = np.where(samples["category"].isin(METHODS), "fake", "real")
    samples["face_id"] = [f"{i:06d}" for i in range(len(samples))]
    samples["draw"] = np.random.default_rng(seed).random(len(samples))
    recipe = Recipe("mine", "grouped", mode="videos", folds=folds, ratios=(0.5, 0.25, 0.25))
    try:
        parts, _ = assign_splits(samples, None, recipe, seed)
        made = [
            select_samples(samples.assign(split=p), modes()["videos"], recipe).splits for p in parts
        ]
    except SplitError:
        event("too few groups")
        return
    tested = [set(splits["test"]["group"]) for splits in made]
    assert len(set().union(*tested)) == sum(map(len, tested))
    rows = np.concatenate([splits["test"].index for splits in made])
    untested = _untested(samples, rows)["with_clips"]
    assert set(untested) == set(samples["group"]) - set().union(*tested)
    for splits, part in zip(made, parts, strict=True):
        there = samples[part == "test"]
        room = splits["test"]["class"].value_counts().min()
        missing = there[there["group"].isin(untested)]
        event(f"untested: {bool(len(missing))}")
        # Each class they are in has given its samples to as many other groups.
        for category, rows in there.groupby("category"):
            drawn = splits["test"].query("category == @category")
            if missing["category"].eq(category).any():
                assert drawn["group"].nunique() == min(room, rows["group"].nunique())
