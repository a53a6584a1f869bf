"""Confidence intervals of metrics over the choice of people in the test split.

Predictions within an identity group are correlated, so the intervals come from a jackknife that
leaves out whole groups. `benchmarks/coverage.py` measures how often they contain the true value,
compared with the percentile bootstrap.
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

SEED = 0  # fixed, so that the same scores give the same report
LEVEL = 95  # per cent of test splits whose interval should contain the true value
# Up to this many groups of a stratum are left out one at a time. More groups are assigned at random
# to this many blocks (Kott, The Delete-a-Group Jackknife, Journal of Official Statistics 17, 2001).
# A standard error estimated from 200 blocks is itself uncertain by 5 per cent.
MOST_BLOCKS = 200
# A jackknife that leaves out one sample at a time is inconsistent for quantiles; one that leaves
# out many is consistent (Shao and Wu, A General Theory for Jackknife Variance Estimation, 1989).
# On 240 groups of one or two clips, intervals of recall at 5 % cover 0.87 to 0.89 with 200 blocks
# and 0.93 to 0.94 with 25.
QUANTILE_BLOCKS = 25
# With few clusters, cluster-robust intervals are unreliable; "few" is anywhere from 5 to 30
# (Cameron, Gelbach and Miller, Bootstrap-Based Improvements for Inference with Clustered Errors).
FEW_GROUPS = 20
NOTHING = 1e-12  # smaller differences are rounding errors

# Computes metrics, name → (w,), from weights (w, n).
Measures = Callable[[Weights], Mapping[str, Floats]]
Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class Estimate:
    """A metric and its confidence interval over the choice of people."""

    value: float
    low: float  # nan if there is no interval
    high: float
    groups: int  # identity groups in the sample; if it has several kinds, the smallest count

    @property
    def trusted(self) -> bool:
        """Whether there are enough identity groups for the interval to be reliable."""
        return self.groups >= FEW_GROUPS


@dataclass(frozen=True)
class _Spread:
    """How a metric varies with the identity groups."""

    variance: float  # jackknife variance of the metric
    largest: float  # the largest contribution of one group (or block) to the variance
    freedom: float  # degrees of freedom, by Satterthwaite's approximation
    groups: float  # number of groups; the effective number if several strata contribute

    def guarded_variance(self, extra_groups: int = 1) -> float:
        """Return the variance with extra groups, each as influential as the most influential one.

        With heavy tails, a small sample seldom includes the most influential groups, so the
        variance is underestimated. Among n similar groups, an extra one adds 1 / n of the variance.
        """
        return self.variance + extra_groups * self.largest

    @property
    def t_quantile(self) -> float:
        """Quantile of Student's t distribution for the confidence level."""
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
    """Estimate metrics with jackknife t intervals over identity groups.

    The variance comes from leaving out one group at a time within each stratum. Categories that
    share groups form one stratum, so stills of people who appear in no clip are a stratum of their
    own. An interval is symmetric on the logit scale; for a loss, on the logarithmic scale; for a
    difference, on the linear scale. There is no interval if a kind has a single group.

    Args:
        groups: (n,) identity group of each sample.
        kinds: (n,) kind of each sample, or one kind for all. The kind with the fewest groups
            decides whether an interval is reliable: stills of forty people and video of one person
            give no more reliable an interval than one person.
        measures: computes the metrics; they are from 0 to 1 unless named below.
        categories: (n,) category of each sample, from which the strata are formed; `kinds` by
            default.
        losses: names of metrics from 0 to the log loss of `backend.LEAST_PROBABILITY`.
        differences: names of metrics that are differences and may be negative → name of the metric
            subtracted, which is from 0 to 1.
        quantiles: names of metrics at a threshold that depends on the samples' scores.
    """
    table = pd.DataFrame({"group": np.asarray(groups), "kind": kinds})
    table["category"] = table["kind"] if categories is None else categories
    codes = pd.factorize(table["group"])[0]
    fewest = int(table.groupby("kind")["group"].nunique().min())
    values = {name: float(v[0]) for name, v in measures(np.ones((1, len(codes)))).items()}
    if fewest < 2:
        return {name: Estimate(value, *NO_INTERVAL, fewest) for name, value in values.items()}
    strata = _strata(codes, pd.factorize(table["category"])[0])
    fine = _spreads(codes, strata, measures, MOST_BLOCKS)
    coarse = (
        _spreads(codes, strata, measures, QUANTILE_BLOCKS) if set(quantiles) & set(values) else {}
    )

    def interval(name: str, value: float) -> Interval:
        spread = (coarse if name in quantiles else fine)[name]
        if not math.isfinite(value) or spread is None:
            return NO_INTERVAL
        if name in losses:
            return _of_loss(value, spread)
        if differences and name in differences:
            return _of_difference(value, spread, values[differences[name]])
        return _of_share(value, spread)

    return {name: Estimate(v, *interval(name, v), fewest) for name, v in values.items()}


def _strata(codes: Ints, categories: Ints) -> Ints:
    """Return the stratum of each group: groups linked by shared categories are in one stratum."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(codes.max()) + 1
    size = count + int(categories.max()) + 1
    links = coo_array((np.ones(len(codes)), (codes, count + categories)), (size, size))
    labels = connected_components(links, directed=False)[1][:count]
    strata = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(strata)
    lone = sizes[strata] == 1  # one group has no variance: it joins the smallest other stratum
    if lone.any() and len(sizes) > 1:
        strata[lone] = np.argmin(np.where(sizes > 1, sizes, sizes.max() + 1))
        strata = np.unique(strata, return_inverse=True)[1]
    return strata


def _spreads(
    codes: Ints, strata: Ints, measures: Measures, max_blocks: int
) -> dict[str, _Spread | None]:
    """Compute the spread of each metric, by name.

    Args:
        codes: (n,) group of each sample.
        strata: (groups,) stratum of each group.
        measures: as in `jackknife_estimates`.
        max_blocks: maximum number of blocks of groups per stratum.
    """
    blocks = _blocks(strata, max_blocks)
    stratum = pd.Series(strata).groupby(blocks).first().to_numpy()
    left_out = measures(JackknifeWeights(blocks[codes], int(blocks.max()) + 1))
    return {name: _spread(v, stratum, np.bincount(strata)) for name, v in left_out.items()}


def _blocks(strata: Ints, max_blocks: int) -> Ints:
    """Return the block of each group; all groups of a block are in one stratum."""
    rng = np.random.default_rng(SEED)
    blocks = np.empty(len(strata), int)
    start = 0
    for stratum in range(int(strata.max()) + 1):
        groups = rng.permutation(np.flatnonzero(strata == stratum))
        count = min(len(groups), max_blocks)
        blocks[groups] = start + np.arange(len(groups)) % count
        start += count
    return blocks


def _spread(left_out: Floats, stratum: Ints, groups: Ints) -> _Spread | None:
    """Compute the jackknife variance, summed over strata.

    Args:
        left_out: (blocks,) the metric without each block.
        stratum: (blocks,) stratum of each block.
        groups: (strata,) number of groups in each stratum.

    Returns:
        The spread; None if the metric is undefined without some block.
    """
    if not np.isfinite(left_out).all():
        return None
    count = np.bincount(stratum)
    deviations = left_out - (np.bincount(stratum, left_out) / count)[stratum]
    squares = deviations**2 * ((count - 1) / count)[stratum]
    variances = np.bincount(stratum, squares)  # (strata,)
    variance = float(variances.sum())
    if variance <= NOTHING**2:  # no block changes the metric
        return _Spread(0.0, 0.0, float(count.min() - 1), float(groups.min()))
    return _Spread(
        variance,
        float(squares.max()),
        float(variances.sum() ** 2 / (variances**2 / (count - 1)).sum()),
        float(variances.sum() ** 2 / (variances**2 / groups).sum()),
    )


def _of_share(value: float, spread: _Spread) -> Interval:
    """Compute the interval of a share, symmetric on the logit scale.

    A share less than one group away from 0 or 1 gets an interval no wider than the exact bounds.
    One group of unknown outcome is added to the variance, like the pseudo-observations of Agresti
    and Coull's interval, so that the interval has a width even if few groups disagree.
    """
    from scipy.special import expit, logit

    low, high = 0.0, 1.0
    bernoulli = value * (1 - value)  # variance of one outcome
    if bernoulli > NOTHING:
        variance = spread.guarded_variance() + bernoulli / spread.groups**2
        half = spread.t_quantile * math.sqrt(variance) / bernoulli
        low, high = (float(expit(logit(value) + sign * half)) for sign in (-1, 1))
    if min(value, 1 - value) * spread.groups < 1:
        exact = _exact(value, spread.groups)
        low, high = max(low, exact[0]), min(high, exact[1])
    return low, high


def _exact(value: float, groups: float) -> Interval:
    """Compute Clopper and Pearson's interval, as if each group were one sample."""
    from scipy.special import betaincinv

    tail, hits = (1 - LEVEL / 100) / 2, value * groups
    misses = groups - hits
    low = betaincinv(hits, misses + 1, tail) if hits > NOTHING else 0.0
    high = betaincinv(hits + 1, misses, 1 - tail) if misses > NOTHING else 1.0
    return float(low), float(high)


def _of_loss(value: float, spread: _Spread) -> Interval:
    """Compute the interval of a loss, symmetric on the logarithmic scale.

    The variance is guarded by two extra groups because one group can have a very large loss.
    """
    if value <= NOTHING or spread.variance == 0:
        return NO_INTERVAL
    half = spread.t_quantile * math.sqrt(spread.guarded_variance(2)) / value
    low, high = (math.exp(math.log(value) + sign * min(half, 100)) for sign in (-1, 1))
    return low, max(value, min(high, -math.log(LEAST_PROBABILITY)))


def _of_difference(value: float, spread: _Spread, share: float) -> Interval:
    """Compute the interval of a difference, symmetric; none if no group changes the value.

    Half a group of unknown outcome is added where `_of_share` adds one, because two runs err on
    mostly the same samples.
    """
    if spread.variance == 0:
        return NO_INTERVAL
    variance = spread.guarded_variance() + share * (1 - share) / (2 * spread.groups) ** 2
    half = spread.t_quantile * math.sqrt(variance)
    return max(value - half, -1.0), min(value + half, 1.0)
