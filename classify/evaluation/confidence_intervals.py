"""Confidence intervals of measures: how they would vary with other people in the test split.

Samples of one identity group are right or wrong together, so the intervals are those of a
jackknife that leaves out whole groups. `benchmarks/coverage.py` measures how often they hold the
true value, beside the percentile bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.backend import LEAST_PROBABILITY
from classify.evaluation.jackknife import JackknifeWeights
from classify.evaluation.metrics import Floats, Ints, Weights

SEED = 0  # the same scores give the same report
LEVEL = 95  # per cent of test splits whose interval should hold the true value
# Up to this many groups of a stratum are left out one at a time. More are dealt at random into
# this many blocks (Kott, The Delete-a-Group Jackknife, Journal of Official Statistics 17, 2001):
# a standard error estimated from 200 blocks is itself uncertain by 5 per cent.
MOST_BLOCKS = 200
# A jackknife that leaves out one sample at a time is not consistent for quantiles, one that leaves
# out many is (Shao and Wu, A General Theory for Jackknife Variance Estimation, 1989). On 240 groups
# of one or two clips, intervals of recall at 5 % cover 0.87 to 0.89 with 200 blocks, 0.93 to 0.94
# with 25.
QUANTILE_BLOCKS = 25
# With fewer clusters, cluster-robust intervals are unreliable: "few" begins somewhere from 5 to 30
# (Cameron, Gelbach and Miller, Bootstrap-Based Improvements for Inference with Clustered Errors).
FEW_GROUPS = 20
NOTHING = 1e-12  # differences up to this are rounding

# From weights (w, n) to measures (w,), by name.
Measures = Callable[[Weights], Mapping[str, Floats]]
Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class Estimate:
    """A measure and its confidence interval over the choice of people."""

    value: float
    low: float  # nan where there is no interval
    high: float
    groups: int  # identity groups behind it; of several kinds, those of the kind with fewest

    @property
    def trusted(self) -> bool:
        """Whether there are enough groups to rely on the interval."""
        return self.groups >= FEW_GROUPS


@dataclass(frozen=True)
class _Spread:
    """How a measure varies with the groups."""

    variance: float  # of the measure, by the jackknife
    largest: float  # the largest contribution of one group (or block) to it
    freedom: float  # degrees of freedom, by Satterthwaite's approximation
    groups: float  # how many there are, where several strata contribute in effect

    def guarded(self, more: int = 1) -> float:
        """The variance with so many more groups, as influential as the most influential one.

        With heavy tails, few groups seldom include one of those that matter most, and the
        variance is then estimated too low. Of n alike groups one more adds the n-th part.
        """
        return self.variance + more * self.largest

    @property
    def quantile(self) -> float:
        """Of Student's t."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, (1 + LEVEL / 100) / 2))


def jackknife_estimates(
    groups: npt.ArrayLike,
    kinds: npt.ArrayLike,
    measures: Measures,
    *,
    categories: npt.ArrayLike | None = None,
    losses: Collection[str] = (),
    differences: Mapping[str, str] | None = None,
    quantiles: Collection[str] = (),
) -> dict[str, Estimate]:
    """Measures with jackknife t intervals over identity groups.

    The variance comes from leaving out one group at a time, in each stratum by itself. Categories
    that share groups form one stratum, so that photographs of people who appear in no clip are a
    stratum of their own. An interval is symmetric on the logit scale (of a loss, the logarithmic
    scale; of a difference, its own). There is none where a kind has a single group.

    Args:
        groups: (n,) the identity group of each sample.
        kinds: (n,) what each sample is, or one for all: an interval over forty people's
            photographs and one person's video is as little to be trusted as one over one person.
        measures: what to estimate, from 0 to 1 unless named below.
        categories: (n,) what the strata are made of; `kinds` by default.
        losses: measures from 0 to the log loss of `backend.LEAST_PROBABILITY`.
        differences: measures that may be negative → the measure from 0 to 1 of one of the two.
        quantiles: measures at a threshold that is itself picked by the samples' scores.
    """
    table = pd.DataFrame({"group": np.asarray(groups), "kind": kinds})
    table["category"] = table["kind"] if categories is None else categories
    codes = pd.factorize(table["group"])[0]
    least = int(table.groupby("kind")["group"].nunique().min())
    whole = {name: float(v[0]) for name, v in measures(np.ones((1, len(codes)))).items()}
    if least < 2:
        return {name: Estimate(value, *NO_INTERVAL, least) for name, value in whole.items()}
    strata = _strata(codes, pd.factorize(table["category"])[0])
    fine = _spreads(codes, strata, measures, MOST_BLOCKS)
    coarse = (
        _spreads(codes, strata, measures, QUANTILE_BLOCKS) if set(quantiles) & set(whole) else {}
    )

    def interval(name: str, value: float) -> Interval:
        spread = (coarse if name in quantiles else fine)[name]
        if not math.isfinite(value) or spread is None:
            return NO_INTERVAL
        if name in losses:
            return _of_loss(value, spread)
        if differences and name in differences:
            return _of_difference(value, spread, whole[differences[name]])
        return _of_share(value, spread)

    return {name: Estimate(v, *interval(name, v), least) for name, v in whole.items()}


def _strata(codes: Ints, categories: Ints) -> Ints:
    """The stratum of each group: groups that are linked by common categories are in one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(codes.max()) + 1
    size = count + int(categories.max()) + 1
    links = coo_array((np.ones(len(codes)), (codes, count + categories)), (size, size))
    labels = connected_components(links, directed=False)[1][:count]
    strata = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(strata)
    lone = sizes[strata] == 1  # no variance can be told of one group: it joins the smallest others
    if lone.any() and len(sizes) > 1:
        strata[lone] = np.argmin(np.where(sizes > 1, sizes, sizes.max() + 1))
        strata = np.unique(strata, return_inverse=True)[1]
    return strata


def _spreads(codes: Ints, strata: Ints, measures: Measures, most: int) -> dict[str, _Spread | None]:
    """How the measures vary, by name, with at most so many blocks of groups in a stratum.

    Args:
        codes: (n,) the group of each sample.
        strata: (groups,) the stratum of each group.
        measures: as in `jackknife_estimates`.
        most: how many.
    """
    blocks = _blocks(strata, most)
    stratum = pd.Series(strata).groupby(blocks).first().to_numpy()
    found = measures(JackknifeWeights(blocks[codes], int(blocks.max()) + 1))
    return {name: _spread(v, stratum, np.bincount(strata)) for name, v in found.items()}


def _blocks(strata: Ints, most: int) -> Ints:
    """The block of each group; a block lies in one stratum."""
    rng = np.random.default_rng(SEED)
    blocks = np.empty(len(strata), int)
    start = 0
    for stratum in range(int(strata.max()) + 1):
        at = rng.permutation(np.flatnonzero(strata == stratum))
        count = min(len(at), most)
        blocks[at] = start + np.arange(len(at)) % count
        start += count
    return blocks


def _spread(left_out: Floats, stratum: Ints, groups: Ints) -> _Spread | None:
    """The jackknife's variance, summed over strata; None where the measure needs some group.

    Args:
        left_out: (blocks,) the measure without each block.
        stratum: (blocks,) the stratum of each block.
        groups: (strata,) how many groups there are.
    """
    if not np.isfinite(left_out).all():
        return None
    count = np.bincount(stratum)
    deviations = left_out - (np.bincount(stratum, left_out) / count)[stratum]
    squares = deviations**2 * ((count - 1) / count)[stratum]
    parts = np.bincount(stratum, squares)
    variance = float(parts.sum())
    if variance <= NOTHING**2:  # all agree
        return _Spread(0.0, 0.0, float(count.min() - 1), float(groups.min()))
    return _Spread(
        variance,
        float(squares.max()),
        float(parts.sum() ** 2 / (parts**2 / (count - 1)).sum()),
        float(parts.sum() ** 2 / (parts**2 / groups).sum()),
    )


def _of_share(value: float, spread: _Spread) -> Interval:
    """Symmetric on the logit scale; within one group of 0 or 1, no wider than the exact bounds.

    One more group of unknown outcome is added to the variance, as pseudo-observations are in
    Agresti and Coull's interval: it keeps the interval open where few groups disagree.
    """
    from scipy.special import expit, logit

    low, high = 0.0, 1.0
    alike = value * (1 - value)
    if alike > NOTHING:
        variance = spread.guarded() + alike / spread.groups**2
        half = spread.quantile * math.sqrt(variance) / alike
        low, high = (float(expit(logit(value) + side * half)) for side in (-1, 1))
    if min(value, 1 - value) * spread.groups < 1:
        exact = _exact(value, spread.groups)
        low, high = max(low, exact[0]), min(high, exact[1])
    return low, high


def _exact(value: float, groups: float) -> Interval:
    """Clopper and Pearson's interval, as if each group were one sample."""
    from scipy.special import betaincinv

    tail, hits = (1 - LEVEL / 100) / 2, value * groups
    misses = groups - hits
    low = betaincinv(hits, misses + 1, tail) if hits > NOTHING else 0.0
    high = betaincinv(hits + 1, misses, 1 - tail) if misses > NOTHING else 1.0
    return float(low), float(high)


def _of_loss(value: float, spread: _Spread) -> Interval:
    """Symmetric on the logarithmic scale; guarded twice, for one group may lose very much."""
    if value <= NOTHING or spread.variance == 0:
        return NO_INTERVAL
    half = spread.quantile * math.sqrt(spread.guarded(2)) / value
    low, high = (math.exp(math.log(value) + side * min(half, 100)) for side in (-1, 1))
    return low, max(value, min(high, -math.log(LEAST_PROBABILITY)))


def _of_difference(value: float, spread: _Spread, share: float) -> Interval:
    """Symmetric; none where leaving out any group changes nothing.

    Half a group of unknown outcome is added, as `_of_share` adds one: two runs err on much the
    same samples.
    """
    if spread.variance == 0:
        return NO_INTERVAL
    variance = spread.guarded() + share * (1 - share) / (2 * spread.groups) ** 2
    half = spread.quantile * math.sqrt(variance)
    return max(value - half, -1.0), min(value + half, 1.0)
