"""Error rates of face matching, and the texts in which manifests report them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ATTRIBUTE = "matching"  # key of the matching parameters and error rates in identities.parquet
# Minimum sample sizes for rates measured on the dataset's labelled people.
FEWEST_PEOPLE = 30  # with several photographs each, for the miss rate
FEWEST_PAIRS = 10_000  # pairs of different people, for the false match rate, which is very low
CONFIDENCE = 0.95
RESAMPLES = 1000
# Rates on CelebA at the default distance; see `ffpp_tools.grouping.identity`.
REFERENCE_MATCHES = 1 / 22_366
REFERENCE_MISSES = 126 / 568


@dataclass(frozen=True)
class Rates:
    """Errors at a maximum distance, measured on photographs with identity labels."""

    people: int  # number of labelled people
    different: int  # pairs of them, each represented by the mean of a few photographs
    merged: int  # of these pairs, the number matched: false matches
    several: int  # people with several photographs
    same: int  # pairs of photographs of one person
    split: int  # of these pairs, the number not matched: misses
    # Confidence interval of the miss rate, by resampling people; None without pairs.
    split_interval: tuple[float, float] | None

    @property
    def merged_interval(self) -> tuple[float, float]:
        """Exact binomial interval of the false match rate, assuming independent pairs."""
        return _exact(self.merged, self.different)

    @property
    def enough_people(self) -> bool:
        """Whether there are enough people to report the miss rate."""
        return self.several >= FEWEST_PEOPLE

    @property
    def enough_pairs(self) -> bool:
        """Whether there are enough pairs to report the false match rate."""
        return self.different >= FEWEST_PAIRS


@dataclass(frozen=True)
class Matching:
    """How faces were matched in a dataset: the network, the maximum distance, and error rates."""

    network: str
    max_distance: float
    compared: int  # number of pairs of clips, people and stills that were compared
    rates: Rates

    def attach(self, table: pd.DataFrame) -> None:
        """Store it in a table's attributes, which are written to the Parquet file."""
        table.attrs[ATTRIBUTE] = asdict(self)


def read_matching(identities: pd.DataFrame) -> Matching | None:
    """Read how faces were matched from identities.parquet; None if the table does not record it."""
    values: dict[str, Any] | None = identities.attrs.get(ATTRIBUTE)
    if values is None:
        return None
    rates = values["rates"]
    interval = rates["split_interval"] and tuple(rates["split_interval"])
    return Matching(**values | {"rates": Rates(**rates | {"split_interval": interval})})


def matching_limitation(identities: pd.DataFrame) -> str:
    """Describe the people that `ffpp-identify` may miss, for a manifest's `not_known`."""
    matching = read_matching(identities)
    if matching is None:
        return (
            "people whom ffpp-identify did not match (its table does not record the miss rate; run "
            "it again)"
        )
    rates = f"{miss_rate_text(matching)}; {false_match_rate_text(matching)}"
    return f"people whom ffpp-identify did not match: {rates}"


def miss_rate_text(matching: Matching) -> str:
    """Describe the share of same-person pairs that are not matched."""
    r = matching.rates
    if not r.enough_people or not r.split_interval:
        return (
            f"its miss rate at distance {matching.max_distance:g} cannot be measured on this "
            f"dataset, which has {_labelled_people(r.several)} with several "
            f"photographs (at least {FEWEST_PEOPLE} are needed); on CelebA, at the default "
            f"distance, it misses {REFERENCE_MISSES:.0%} of the pairs of photographs of one person"
        )
    low, high = r.split_interval
    return (
        f"at distance {matching.max_distance:g} it misses {r.split} of {r.same} pairs of "
        f"photographs of one person ({r.split / r.same:.0%}; 95 % interval {low:.0%} to "
        f"{high:.0%}, {r.several} people)"
    )


def false_match_rate_text(matching: Matching) -> str:
    """Describe the share of pairs of different people that are matched."""
    r = matching.rates
    if not r.enough_pairs:
        return (
            f"its false match rate cannot be measured on this dataset, which has "
            f"{_labelled_people(r.people)} ({r.different:,} pairs; at least {FEWEST_PAIRS:,} are "
            f"needed); on CelebA it matches one pair of different people in "
            f"{1 / REFERENCE_MATCHES:,.0f}"
        )
    low, high = (f"{1e6 * share:.0f}" for share in r.merged_interval)
    return (
        f"it matches {r.merged} of {r.different:,} pairs of different people "
        f"(95 % interval {low} to {high} in a million)"
    )


def expected_false_matches_text(matching: Matching) -> str:
    """Describe the expected number of false matches among the pairs that were compared."""
    r = matching.rates
    low, high = r.merged_interval if r.enough_pairs else (REFERENCE_MATCHES, REFERENCE_MATCHES)
    rate = "this rate" if r.enough_pairs else "the rate on CelebA at the default distance"
    counts = (share * matching.compared for share in (low, high))
    number = " to ".join(dict.fromkeys(f"{n:,.0f}" if n >= 10 else f"{n:.2g}" for n in counts))
    return (
        f"{matching.compared:,} pairs were compared; at {rate}, {number} of them are expected to "
        f"be false matches"
    )


def _labelled_people(count: int) -> str:
    return {0: "no labelled people", 1: "1 labelled person"}.get(count, f"{count} labelled people")


def miss_interval(
    same: npt.NDArray[np.int64], split: npt.NDArray[np.int64]
) -> tuple[float, float] | None:
    """Compute the percentile interval of the miss rate by resampling people; None without pairs.

    Args:
        same: number of pairs of photographs of each person.
        split: number of these pairs that are not matched.
    """
    if not same.sum():
        return None
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(same), np.full(len(same), 1 / len(same)), RESAMPLES)
    shares = (weights @ split) / np.maximum(weights @ same, 1)
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if low == high:  # all pairs are missed, or none: count each person as one pair
        people = int((same > 0).sum())
        return _exact(round(float(low) * people), people)
    return float(low), float(high)


def _exact(count: int, n: int) -> tuple[float, float]:
    """Compute the Clopper-Pearson interval of count / n; nan for n = 0."""
    from scipy.stats import binomtest

    if not n:
        return float("nan"), float("nan")
    interval = binomtest(count, n).proportion_ci(CONFIDENCE, "exact")
    return float(interval.low), float(interval.high)
