"""Measures of a classifier, as pure functions on arrays. Fake is the positive class.

Measures that are given weights take one row of them per set of weights, (w, n), and return (w,)
values. A jackknife gives its weights as `JackknifeWeights`, and costs one sort and the samples of
each block. A metric that is undefined because fakes or reals are missing is nan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.backend import LEAST_PROBABILITY
from classify.evaluation.jackknife import JackknifeCurve, JackknifeWeights

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
Weights = Floats | JackknifeWeights

CALIBRATION_BINS = 15  # Guo et al., On Calibration of Modern Neural Networks (2017)
MAX_TEMPERATURE = 20.0  # temperatures are sought from 1 / 20 to 20


def confusion(actual: Ints, predicted: Ints, classes: Sequence[str]) -> pd.DataFrame:
    """Counts, a row per actual and a column per predicted class."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(actual, predicted, labels=range(len(classes)))
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="actual"), columns=pd.Index(classes, name="predicted")
    )


def row_percent(counts: pd.DataFrame) -> pd.DataFrame:
    """Counts → per cent of each row; nan in a row without samples."""
    return counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0) * 100


def per_class(
    actual: Ints, predicted: Ints, probabilities: Floats, classes: Sequence[str]
) -> pd.DataFrame:
    """Precision, recall, F1, AUC of the class against all others, and support; a row per class.

    0 where a class was never predicted; nan where there is none of it to be found.
    """
    from sklearn.metrics import precision_recall_fscore_support

    values = precision_recall_fscore_support(
        actual, predicted, labels=range(len(classes)), zero_division=0
    )
    columns = ("precision", "recall", "f1", "support")
    table = pd.DataFrame(
        dict(zip(columns, values, strict=True)), index=pd.Index(classes, name="class")
    )
    table.loc[table["support"] == 0, ["precision", "recall", "f1"]] = np.nan
    aucs = [auc(threshold_curve(actual == i, probabilities[:, i]))[0] for i in range(len(classes))]
    table.insert(3, "auc", aucs)
    return table


def weighted_mean(hits: npt.ArrayLike, weights: Weights) -> Floats:
    """The share of hits among all: accuracy, recall, detection rate, by what is handed in."""
    total = weights.sum(axis=1)
    return np.divide(weights @ np.asarray(hits, float), total, where=total > 0, out=_nan(total))


def balanced_accuracy(actual: Ints, predicted: Ints, weights: Weights) -> Floats:
    """The mean recall over the classes that are there."""
    right = np.asarray(actual) == np.asarray(predicted)
    recalls = [
        weighted_mean(right[actual == c], weights[:, actual == c]) for c in np.unique(actual)
    ]
    there = np.isfinite(recalls)
    return np.where(there, recalls, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)


@dataclass(frozen=True)
class ThresholdCurve:
    """What is called fake at every threshold, from none to all; a row per set of weights."""

    thresholds: Floats  # (k,) decreasing, from infinity; called fake is what reaches it
    true_positives: Floats  # (w, k)
    false_positives: Floats  # (w, k)

    @property
    def recall(self) -> Floats:
        """The share of fakes called fake, (w, k): the true positive rate."""
        return _ratio(self.true_positives, self.true_positives[:, -1:])

    @property
    def fpr(self) -> Floats:
        """The share of reals called fake, (w, k)."""
        return _ratio(self.false_positives, self.false_positives[:, -1:])

    @property
    def precision(self) -> Floats:
        """The share of fakes among what is called fake, (w, k); 1 where nothing is."""
        called = self.true_positives + self.false_positives
        return np.where(called > 0, _ratio(self.true_positives, called), 1.0)

    @property
    def last(self) -> int:
        """The number of the last threshold, from 0; there everything is called fake."""
        return len(self.thresholds) - 1

    @property
    def both(self) -> npt.NDArray[np.bool_]:
        """Whether a set of weights leaves fakes and reals, (w,)."""
        return (self.true_positives[:, -1] > 0) & (self.false_positives[:, -1] > 0)

    def rates(self, at: Ints) -> tuple[Floats, Floats]:
        """The shares of reals and of fakes called fake at the threshold `at`, (w,), of each row."""
        rows = np.arange(len(at))
        fakes, reals = self.true_positives, self.false_positives
        return _ratio(reals[rows, at], reals[:, -1]), _ratio(fakes[rows, at], fakes[:, -1])

    def auc(self) -> Floats:
        """See `auc`."""
        steps = np.diff(self.fpr, axis=1)
        return (steps * (self.recall[:, 1:] + self.recall[:, :-1]) / 2).sum(axis=1)

    def average_precision(self) -> Floats:
        """See `average_precision`."""
        return (np.diff(self.recall, axis=1) * self.precision[:, 1:]).sum(axis=1)


AnyCurve = ThresholdCurve | JackknifeCurve


@overload
def threshold_curve(
    is_fake: npt.ArrayLike, p_fake: npt.ArrayLike, weights: Floats | None = None
) -> ThresholdCurve: ...
@overload
def threshold_curve(
    is_fake: npt.ArrayLike, p_fake: npt.ArrayLike, weights: Weights
) -> AnyCurve: ...
def threshold_curve(
    is_fake: npt.ArrayLike, p_fake: npt.ArrayLike, weights: Weights | None = None
) -> AnyCurve:
    """Count what is called fake at every threshold.

    Args:
        is_fake: (n,) what each sample is.
        p_fake: (n,) its score.
        weights: (w, n) how often each counts; once by default.
    """
    fake, scores = np.asarray(is_fake, bool), np.asarray(p_fake, float)
    weights = np.ones((1, len(fake))) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    fake, scores = fake[order], scores[order]
    ends = np.flatnonzero(np.diff(scores, append=-np.inf))  # of runs of equal scores
    sorted_weights = weights[:, order]
    if isinstance(sorted_weights, JackknifeWeights):
        return JackknifeCurve.of(fake, ends, sorted_weights)

    def counted(what: npt.NDArray[np.bool_]) -> Floats:
        sums = np.cumsum(sorted_weights * what, axis=1)[:, ends]
        return np.concatenate([np.zeros((len(weights), 1)), sums], axis=1)

    return ThresholdCurve(np.append(np.inf, scores[ends]), counted(fake), counted(~fake))


def auc(c: AnyCurve) -> Floats:
    """Area under the ROC curve: the chance that a fake's score is above a real's."""
    return np.where(c.both, c.auc(), np.nan)


def average_precision(c: AnyCurve) -> Floats:
    """Area under the precision-recall curve, as a sum of steps."""
    return np.where(c.both, c.average_precision(), np.nan)


def eer(c: AnyCurve) -> Floats:
    """Equal error rate: where as many fakes are missed as reals are accused, interpolated."""

    def gap(at: Ints) -> Floats:  # rises from -1 to 1 with the threshold's number
        fpr, recall = c.rates(at)
        return fpr - (1 - recall)

    after = _first(c, lambda at: gap(at) >= 0)
    before = np.maximum(after - 1, 0)
    step = gap(after) - gap(before)
    part = np.divide(-gap(before), step, where=step > 0, out=np.zeros(len(step)))
    fpr = c.rates(before)[0]
    return np.where(c.both, fpr + part * (c.rates(after)[0] - fpr), np.nan)


def recall_at(c: AnyCurve, fpr: float) -> Floats:
    """The most fakes found at a threshold that accuses at most this share of reals."""
    beyond = _first(c, lambda at: c.rates(at)[0] > fpr)
    accused, recall = c.rates(beyond)
    before = c.rates(np.maximum(beyond - 1, 0))[1]
    return np.where(c.both, np.where(accused > fpr, before, recall), np.nan)


def _first(c: AnyCurve, reached: Callable[[Ints], npt.NDArray[np.bool_]]) -> Ints:
    """The first threshold, of each row, from which on something holds; the last if it never does.

    Found by bisection: what holds at a threshold has to hold at all that follow.
    """
    low = np.zeros(len(c.both), np.int64)
    high = np.full(len(low), c.last)
    while (low < high).any():
        middle = (low + high) // 2
        holds = reached(middle)
        low, high = (
            np.where(holds, low, np.minimum(middle + 1, high)),
            np.where(holds, middle, high),
        )
    return low


def best_threshold(is_fake: npt.ArrayLike, p_fake: npt.ArrayLike) -> float | None:
    """The threshold of the highest balanced accuracy (Youden's index); called fake is above it.

    It lies half way between two scores, or at 0.5; of several that are as good it is the nearest to
    0.5. None where no threshold is better than to call everything fake or everything real, such as
    where only fakes or only reals are there.
    """
    c = threshold_curve(is_fake, p_fake)
    if not c.both[0]:
        return None
    scores = c.thresholds[1:]
    between = (scores[:-1] + scores[1:]) / 2
    gain = (c.recall - c.fpr)[0, 1:-1]
    at_half = float((c.recall - c.fpr)[0, np.sum(scores > 0.5)])
    candidates, gains = np.append(between, 0.5), np.append(gain, at_half)
    if gains.max() <= 1e-12:
        return None
    best = candidates[gains >= gains.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def log_loss(actual: Ints, probabilities: Floats, weights: Weights) -> Floats:
    """The mean of -log of the probability that was given to what it is."""
    given = probabilities[np.arange(len(actual)), actual]
    return weighted_mean(-np.log(np.clip(given, LEAST_PROBABILITY, 1)), weights)


def reliability(outcome: npt.ArrayLike, probability: npt.ArrayLike) -> pd.DataFrame:
    """How often what was given some probability happens; a row per bin that holds any.

    Returns:
        Columns `probability` and `happened` (means of the bin) and `count`.
    """
    p = np.asarray(probability, float)
    bins = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    table = pd.DataFrame({"probability": p, "happened": np.asarray(outcome, float), "bin": bins})
    grouped = table.groupby("bin")
    return grouped[["probability", "happened"]].mean().assign(count=grouped.size())


def calibration_error(outcome: npt.ArrayLike, probability: npt.ArrayLike) -> float:
    """Expected calibration error: the mean distance of both columns of `reliability`."""
    bins = reliability(outcome, probability)
    distance = (bins["probability"] - bins["happened"]).abs()
    return float((distance * bins["count"]).sum() / bins["count"].sum())


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities, (n, classes), as if the logits had been divided by a temperature."""
    logits = np.log(np.clip(probabilities, LEAST_PROBABILITY, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def best_temperature(actual: Ints, probabilities: Floats) -> float:
    """The temperature of the lowest log loss (Guo et al., 2017), from 0.05 to 20.

    It is 1 where no other is better, and a limit where nothing short of it is (see
    `temperature_at_limit`): there the log loss might fall further.
    """
    from scipy.optimize import minimize_scalar

    once = np.ones((1, len(actual)))

    def loss(log_temperature: float) -> float:
        return float(log_loss(actual, tempered(probabilities, np.exp(log_temperature)), once)[0])

    limit = np.log(MAX_TEMPERATURE)
    found = float(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x)
    losses = {value: loss(value) for value in (0.0, -limit, limit, found)}
    lowest = min(losses.values())
    return float(np.exp(next(v for v, of_it in losses.items() if of_it <= lowest + 1e-7)))


def temperature_at_limit(temperature: float) -> bool:
    """Whether a temperature is one of the limits that it was sought between.

    >>> [temperature_at_limit(value) for value in (0.05001, 1.0, 19.9995)]
    [True, False, True]
    """
    return bool(abs(np.log(temperature)) > np.log(MAX_TEMPERATURE) - 1e-3)


def _ratio(part: Floats, whole: Floats) -> Floats:
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, where=whole > 0, out=np.zeros(part.shape))


def _nan(like: Floats) -> Floats:
    return np.full(like.shape, np.nan)
