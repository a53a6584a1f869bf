"""How often matching people by their faces is wrong, and what a manifest has to say of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ATTRIBUTE = "matching"  # where identities.parquet keeps what its distances mean
# Below so many, a rate measured on the dataset's own people says too little.
FEWEST_PEOPLE = 30  # with several photographs each, for the share of missed pairs
FEWEST_PAIRS = 10_000  # of different people, for false matches, which are that rare
CONFIDENCE = 0.95
RESAMPLES = 1000
# At the default distance, on CelebA; see `ffpp_tools.grouping.identity`.
REFERENCE_MATCHES = 1 / 22_366
REFERENCE_MISSES = 126 / 568


@dataclass(frozen=True)
class Rates:
    """Errors of a maximum distance, on photographs whose people are known."""

    people: int  # who are known
    different: int  # pairs of them, each by the mean of a few photographs
    merged: int  # of these, how many are matched: false matches
    several: int  # people of whom there are several photographs
    same: int  # pairs of photographs of one person
    split: int  # of these, how many are not matched: misses
    # Of the share of misses, people resampled; None without pairs.
    split_interval: tuple[float, float] | None

    @property
    def merged_interval(self) -> tuple[float, float]:
        """Exact binomial interval of the share of false matches, as if pairs were independent."""
        return _exact(self.merged, self.different)

    @property
    def enough_people(self) -> bool:
        """Whether the share of misses means anything."""
        return self.several >= FEWEST_PEOPLE

    @property
    def enough_pairs(self) -> bool:
        """Whether the share of false matches means anything."""
        return self.different >= FEWEST_PAIRS


@dataclass(frozen=True)
class Matching:
    """How faces were matched in a dataset: the network, the limit, and its measured errors."""

    network: str
    max_distance: float
    compared: int  # pairs of clips, people and stills that might have been one person
    rates: Rates

    def attach(self, table: pd.DataFrame) -> None:
        """Keep it with a table; it is written into the Parquet file."""
        table.attrs[ATTRIBUTE] = asdict(self)


def read_matching(identities: pd.DataFrame) -> Matching | None:
    """How faces were matched for identities.parquet; None for tables that do not say."""
    kept: dict[str, Any] | None = identities.attrs.get(ATTRIBUTE)
    if kept is None:
        return None
    rates = kept["rates"]
    interval = rates["split_interval"] and tuple(rates["split_interval"])
    return Matching(**kept | {"rates": Rates(**rates | {"split_interval": interval})})


def matching_limitation(identities: pd.DataFrame) -> str:
    """What `ffpp-identify` cannot tell, with its error rates, for a manifest's `not_known`."""
    found = read_matching(identities)
    if found is None:
        return (
            "people whom ffpp-identify did not match (its table does not say how many it misses; "
            "run it again)"
        )
    rates = f"{miss_rate_text(found)}; {false_match_rate_text(found)}"
    return f"people whom ffpp-identify did not match: {rates}"


def miss_rate_text(found: Matching) -> str:
    """The share of same-person pairs that are not matched, in words."""
    r = found.rates
    if not r.enough_people or not r.split_interval:
        return (
            f"how many it misses at distance {found.max_distance:g} cannot be measured here, where "
            f"{_people(r.several)} known from several photographs (at least {FEWEST_PEOPLE} are "
            f"needed); on CelebA, at the default distance, it misses {REFERENCE_MISSES:.0%} of the "
            f"pairs of photographs of one person"
        )
    low, high = r.split_interval
    return (
        f"at distance {found.max_distance:g} it misses {r.split} of {r.same} pairs of photographs "
        f"of one person ({r.split / r.same:.0%}; 95 % interval {low:.0%} to {high:.0%}, "
        f"{r.several} people)"
    )


def false_match_rate_text(found: Matching) -> str:
    """The share of pairs of different people that are matched, in words."""
    r = found.rates
    if not r.enough_pairs:
        return (
            f"false matches cannot be measured here, where {_people(r.people)} known "
            f"({r.different:,} pairs; at least {FEWEST_PAIRS:,} are needed); on CelebA it matches "
            f"one pair of different people in {1 / REFERENCE_MATCHES:,.0f}"
        )
    low, high = (f"{1e6 * share:.0f}" for share in r.merged_interval)
    return (
        f"it matches {r.merged} of {r.different:,} pairs of different people "
        f"(95 % interval {low} to {high} in a million)"
    )


def expected_false_matches_text(found: Matching) -> str:
    """How many false matches to expect among the pairs that were compared, in words."""
    r = found.rates
    low, high = r.merged_interval if r.enough_pairs else (REFERENCE_MATCHES, REFERENCE_MATCHES)
    by = "by that" if r.enough_pairs else "by the rate on CelebA at the default distance"
    counts = (share * found.compared for share in (low, high))
    number = " to ".join(dict.fromkeys(f"{n:,.0f}" if n >= 10 else f"{n:.2g}" for n in counts))
    return (
        f"{found.compared:,} pairs might be one person and were compared; {by}, {number} of them "
        f"would be matched though they are two people"
    )


def _people(count: int) -> str:
    return {0: "nobody is", 1: "1 person is"}.get(count, f"{count} people are")


def miss_interval(
    same: npt.NDArray[np.int64], split: npt.NDArray[np.int64]
) -> tuple[float, float] | None:
    """Interval of the share of misses, by resampling people (percentiles); None without pairs.

    Args:
        same: of each person, the pairs of photographs.
        split: of each person, how many of them are not matched.
    """
    if not same.sum():
        return None
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(same), np.full(len(same), 1 / len(same)), RESAMPLES)
    shares = (weights @ split) / np.maximum(weights @ same, 1)
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if low == high:  # no misses, or nothing else: as if every person were one pair
        several = int((same > 0).sum())
        return _exact(round(float(low) * several), several)
    return float(low), float(high)


def _exact(count: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share; nan of nothing."""
    from scipy.stats import binomtest

    if not of:
        return float("nan"), float("nan")
    found = binomtest(count, of).proportion_ci(CONFIDENCE, "exact")
    return float(found.low), float(found.high)
