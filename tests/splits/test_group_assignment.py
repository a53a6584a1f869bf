"""Identity groups assigned to splits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffpp_tools.errors import SplitError
from ffpp_tools.splits.group_assignment import (
    _assign_first_groups,
    _assign_remaining_groups,
    assign_groups,
)
from ffpp_tools.store.schema import SPLITS

sizes = st.lists(st.integers(1, 60), min_size=3, max_size=40)


@settings(max_examples=60, deadline=None)
@given(videos=sizes, stills=sizes, seed=st.integers(0, 5))
def test_every_category_is_in_every_split_and_sizes_come_near_the_ratios(videos, stills, seed):
    rows = [(f"v{i}", c) for i, n in enumerate(videos) for _ in range(n) for c in ("A", "B")]
    rows += [(f"s{i}", "C") for i, n in enumerate(stills) for _ in range(n)]
    samples = pd.DataFrame(rows, columns=["group", "category"])
    ratios = (0.84, 0.04, 0.12)
    side = assign_groups(samples, dict(zip(SPLITS, ratios, strict=True)), seed)
    assert set(side) == set(samples["group"])
    counts = pd.crosstab(samples["category"], samples["group"].map(side))
    assert (counts[list(SPLITS)] > 0).all(axis=None)
    for category, groups in (("A", videos), ("C", stills)):
        wanted = np.array(ratios) * sum(groups)
        got = counts.loc[category, list(SPLITS)].to_numpy()
        assert np.abs(got - wanted).max() <= 2 * max(groups) + 1


SHARES = {"train": 0.84, "val": 0.04, "test": 0.12}


def test_groups_of_one_size_are_shared_out_to_the_unit():
    samples = pd.DataFrame({"group": [f"{i:03d}" for i in range(100)], "category": "A"})
    sides = pd.Series(assign_groups(samples, SHARES, 0))
    assert sides.value_counts().to_dict() == {"train": 84, "val": 4, "test": 12}


@pytest.mark.parametrize("seed", range(5))
def test_a_group_that_is_too_large_for_a_part_goes_to_the_one_that_wants_most(seed):
    sizes = {"a": 50, "b": 50, "c": 1, "d": 1}
    rows = [(name, "A") for name, n in sizes.items() for _ in range(n)]
    side = assign_groups(pd.DataFrame(rows, columns=["group", "category"]), SHARES, seed)
    assert {side["c"], side["d"]} == {"val", "test"}
    assert side["a"] == side["b"] == "train"


def test_another_order_is_tried_where_a_group_of_two_categories_is_in_the_way():
    """Each category has three groups, one for every part, if they are taken in a good order."""
    held = {"1": "AB", "2": "BC", "3": "CA", "4": "A", "5": "B", "6": "C"}
    rows = [(group, category) for group, categories in held.items() for category in categories]
    samples = pd.DataFrame(rows, columns=["group", "category"])
    for seed in range(10):
        parts = samples["group"].map(assign_groups(samples, SHARES, seed))
        assert (pd.crosstab(samples["category"], parts) == 1).all(axis=None)


def test_a_group_goes_where_its_categories_are_wanted_most_in_all():
    """The first part wants 0.4 more of A and has 0.3 too much of B; the second wants 0.35 of B."""
    table = np.array([[10, 80], [50, 15], [40, 5]])
    side = np.array([0, 1, -1])
    _assign_remaining_groups(side, table, np.array([0.5, 0.5]))
    assert side.tolist() == [0, 1, 1]


def test_what_a_part_was_given_it_wants_no_more():
    """Two equal parts and four groups in a row: each is given two, whatever there was before."""
    side = np.array([0, -1, -1, -1])
    _assign_remaining_groups(side, np.full((4, 1), 5), np.array([0.5, 0.5]))
    assert side.tolist() == [0, 1, 0, 1]


def test_the_scarcest_category_is_given_out_first():
    """If A and B came first, they would give the last part two of the three groups of C."""
    held = ["AC", "BC", "C", "A", "A", "A", "B", "B", "B"]
    table = np.array([[name in categories for name in "ABC"] for categories in held]).astype(int)
    side = np.full(len(held), -1)
    assert _assign_first_groups(side, table, np.array([0.8, 0.1, 0.1])) is None
    assert sorted(side[:3]) == [0, 1, 2]
    for part in range(3):
        assert table[side == part].any(axis=0).all()


def test_too_few_groups_are_named_with_the_first_three_of_them():
    rows = [(f"g{i}", "A") for i in range(4)] + [(f"g{i}", "B") for i in range(9)]
    samples = pd.DataFrame(rows, columns=["group", "category"])
    shares = dict.fromkeys("abcde", 0.2)
    with pytest.raises(
        SplitError, match=r"A: .*4 identity groups \(g0, g1, g2, …\), too few.*fewer --folds"
    ):
        assign_groups(samples, shares, 0)
    assert set(assign_groups(samples, shares, 0, spread=["B"]).values()) == set("abcde")
    with pytest.raises(SplitError, match=r"\(g0, g1, g2\), too few"):
        assign_groups(samples[samples["group"] != "g3"], shares, 0)


def test_a_part_is_given_a_small_group_where_there_are_some():
    """Of groups of 40, 11 and 6 samples, a part that wants 5 takes none of more than 1.5 × 6."""
    side = np.full(4, -1)
    table = np.array([[40], [11], [40], [6]])
    assert _assign_first_groups(side, table, np.array([0.9, 0.05, 0.05])) is None
    assert side.tolist() == [0, 1, -1, 2]


def test_a_part_takes_the_first_group_that_is_at_most_half_too_large():
    """The last part wants 20 of 100 and takes 30; the one before wants 30 and takes 40."""
    side = np.full(4, -1)
    table = np.array([[30], [40], [6], [24]])
    assert _assign_first_groups(side, table, np.array([0.5, 0.3, 0.2])) is None
    assert side.tolist() == [2, 1, 0, -1]
