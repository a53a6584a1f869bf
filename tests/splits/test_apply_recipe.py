"""A recipe applied to a dataset."""

import numpy as np
import pandas as pd
from hypothesis import event, given, settings
from hypothesis import strategies as st

from data_manifests import modes
from ffpp_tools.errors import SplitError
from ffpp_tools.splits.apply_recipe import assign_splits, select_samples
from ffpp_tools.splits.build import _untested
from ffpp_tools.splits.recipes import Recipe
from tests.helpers.tables import METHODS, VIDEOS

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
    samples = samples.assign(face=range(len(samples)), original=-1)
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
