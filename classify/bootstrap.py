"""How sure a measure is: what it would be with other people to test on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.metrics import Floats

DRAWS = 1000
SEED = 0  # a report made twice is the same
AT_ONCE = 100  # draws whose weights are held in memory together
LEVEL = 95  # per cent of the draws that an interval holds
# With fewer clusters, a bootstrap's intervals are too narrow: "few" begins somewhere from 5 to 30
# (Cameron, Gelbach and Miller, Bootstrap-Based Improvements for Inference with Clustered Errors).
FEW_GROUPS = 20

# From weights (w, n) to measures (w,), by name.
Measures = Callable[[Floats], Mapping[str, Floats]]


@dataclass(frozen=True)
class Estimate:
    """A measure and the interval in which it would probably lie with other people."""

    value: float
    low: float  # nan where there is no interval: one group alone, or all of them agree
    high: float
    groups: int  # of people behind it; where it compares several kinds, behind the least known one

    @property
    def trusted(self) -> bool:
        """Whether there are groups enough for the interval to mean something."""
        return self.groups >= FEW_GROUPS


def estimates(
    groups: npt.ArrayLike, kinds: npt.ArrayLike, measures: Measures
) -> dict[str, Estimate]:
    """Measures with percentile intervals, by drawing whole groups with replacement.

    Frames of one clip, and clips of one pair of people, are right or wrong together: drawn one by
    one they would promise far too narrow intervals.

    Args:
        groups: (n,) which group each sample belongs to.
        kinds: (n,) what it is, or one for all: an interval over forty people's photographs and
            one person's video is as little to be trusted as one over one person.
        measures: what to estimate.
    """
    table = pd.DataFrame({"group": np.asarray(groups), "kind": kinds})
    codes, names = pd.factorize(table["group"])
    count, least = len(names), int(table.groupby("kind")["group"].nunique().min())
    whole = measures(np.ones((1, len(codes))))
    if count < 2:
        return {k: Estimate(float(v[0]), math.nan, math.nan, least) for k, v in whole.items()}
    rng, each = np.random.default_rng(SEED), np.full(count, 1 / count)
    parts = [
        measures(rng.multinomial(count, each, AT_ONCE)[:, codes].astype(float))
        for _ in range(DRAWS // AT_ONCE)
    ]
    return {
        name: _estimate(float(value[0]), np.concatenate([part[name] for part in parts]), least)
        for name, value in whole.items()
    }


def _estimate(value: float, drawn: Floats, groups: int) -> Estimate:
    drawn = drawn[np.isfinite(drawn)]  # a draw may hold fakes alone
    if len(drawn) == 0:
        return Estimate(value, math.nan, math.nan, groups)
    tail = (100 - LEVEL) / 2
    low, high = (float(v) for v in np.percentile(drawn, [tail, 100 - tail]))
    if math.isclose(low, high, abs_tol=1e-12):  # nothing is learnt from groups that all agree
        low = high = math.nan
    return Estimate(value, low, high, groups)
