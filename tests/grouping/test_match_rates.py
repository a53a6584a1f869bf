"""Error rates of face matching, and their descriptions."""

import numpy as np
import pandas as pd
import pytest

from ffpp_tools.grouping.embedding import NETWORK
from ffpp_tools.grouping.match_rates import (
    Matching,
    Rates,
    expected_false_matches_text,
    false_match_rate_text,
    matching_limitation,
    miss_interval,
    miss_rate_text,
    read_matching,
)


def rates_of(people=200, merged=2, several=60, split=(0, 1) * 30):
    pairs, missed = np.full(several, 1), np.array(split[:several])
    interval = miss_interval(pairs, missed)
    different = people * (people - 1) // 2
    return Rates(people, different, merged, several, several, int(missed.sum()), interval)


def test_error_rates_come_with_intervals():
    found = rates_of()
    # one pair per person: the binomial interval, 0.5 ± 1.96 √(0.25/60)
    assert found.split_interval == pytest.approx((0.37, 0.63), abs=0.02)
    assert found.merged_interval == pytest.approx((1.22e-5, 3.63e-4), rel=0.01)  # 2 of 19,900
    none = rates_of(merged=0, split=(0,) * 60)
    assert none.split_interval == pytest.approx((0, 0.0596), abs=1e-3)
    assert none.merged_interval == pytest.approx((0, 3.69 / 19_900), rel=0.01)
    # ten pairs of one person give less evidence than pairs of ten people
    few, many = np.full(30, 10), np.full(300, 1)
    wide = miss_interval(few, np.tile([0, 10], 15))
    narrow = miss_interval(many, np.tile([0, 1], 150))
    assert wide[1] - wide[0] > 2.5 * (narrow[1] - narrow[0])


def test_error_rates_are_described_and_not_reported_for_too_few_people():
    found = Matching(NETWORK, 0.5, 1_000_000, rates_of())
    assert "misses 30 of 60 pairs of photographs of one person (50%" in miss_rate_text(found)
    assert "matches 2 of 19,900 pairs of different people" in false_match_rate_text(found)
    assert expected_false_matches_text(found).endswith(
        "at this rate, 12 to 363 of them are expected to be false matches"
    )
    few = Matching(NETWORK, 0.5, 28, rates_of(people=29, several=29, split=(0,) * 29, merged=0))
    assert (
        "cannot be measured on this dataset, which has 29 labelled people with"
        in miss_rate_text(few)
    )
    assert (
        "cannot be measured on this dataset, which has 29 labelled people ("
        in false_match_rate_text(few)
    )
    assert "on CelebA, at the default distance, it misses 22%" in miss_rate_text(few)
    assert "one pair of different people in 22,366" in false_match_rate_text(few)
    assert "default distance, 0.0013 of them are expected" in expected_false_matches_text(few)
    none = Matching(NETWORK, 0.5, 28, rates_of(people=0, several=0, split=(), merged=0))
    assert "which has no labelled people" in false_match_rate_text(none)


def test_a_table_stores_its_error_rates_and_older_tables_have_none(tmp_path):
    found = Matching(NETWORK, 0.5, 1000, rates_of())
    table = pd.DataFrame({"item": ["a"]})
    assert read_matching(table) is None
    assert "its table does not record the miss rate" in matching_limitation(table)
    found.attach(table)
    table.to_parquet(tmp_path / "t.parquet")
    assert read_matching(pd.read_parquet(tmp_path / "t.parquet")) == found
    assert "it misses 30 of 60" in matching_limitation(
        table
    ) and "it matches 2 of 19,900" in matching_limitation(table)
