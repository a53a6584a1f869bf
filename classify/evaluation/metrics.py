"""Metrics of a classifier, as pure functions on arrays. Fake is the positive class.

Weighted metrics take w sets of sample weights, (w, n), and return one value per set, (w,). A
jackknife passes its weights as `JackknifeWeights`, which costs one sort plus the samples of each
block. A metric is nan if it is undefined because there are no fakes or no reals.
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
MAX_TEMPERATURE = 20.0  # temperatures are searched from 1 / 20 to 20


def confusion(actual: Ints, predicted: Ints, classes: Sequence[str]) -> pd.DataFrame:
    """Compute the confusion matrix: counts, a row per actual and a column per predicted class."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(actual, predicted, labels=range(len(classes)))
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="actual"), columns=pd.Index(classes, name="predicted")
    )


def row_percent(counts: pd.DataFrame) -> pd.DataFrame:
    """Convert counts to per cent of each row; nan in a row without samples."""
    return counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0) * 100


def per_class(
    actual: Ints, predicted: Ints, probabilities: Floats, classes: Sequence[str]
) -> pd.DataFrame:
    """Compute precision, recall, F1, AUC (one against the rest) and support; a row per class.

    Precision and F1 are 0 for a class that is never predicted; all values are nan for a class
    without samples.
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
    """Compute the weighted share of hits: accuracy, recall or detection rate."""
    total = weights.sum(axis=1)
    return np.divide(weights @ np.asarray(hits, float), total, where=total > 0, out=_nan(total))


def balanced_accuracy(actual: Ints, predicted: Ints, weights: Weights) -> Floats:
    """Compute the mean recall over the classes that are present."""
    right = np.asarray(actual) == np.asarray(predicted)
    recalls = [
        weighted_mean(right[actual == c], weights[:, actual == c]) for c in np.unique(actual)
    ]
    present = np.isfinite(recalls)
    return np.where(present, recalls, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)


@dataclass(frozen=True)
class ThresholdCurve:
    """True and false positives at every threshold, from none to all; a row per set of weights."""

    thresholds: Floats  # (k,) decreasing, from infinity; positive: score ≥ threshold
    true_positives: Floats  # (w, k)
    false_positives: Floats  # (w, k)

    @property
    def recall(self) -> Floats:
        """True positive rate, (w, k)."""
        return _ratio(self.true_positives, self.true_positives[:, -1:])

    @property
    def fpr(self) -> Floats:
        """False positive rate, (w, k)."""
        return _ratio(self.false_positives, self.false_positives[:, -1:])

    @property
    def precision(self) -> Floats:
        """Precision, (w, k); 1 where nothing is positive."""
        positives = self.true_positives + self.false_positives
        return np.where(positives > 0, _ratio(self.true_positives, positives), 1.0)

    @property
    def last(self) -> int:
        """Index of the last threshold, at which every sample is positive."""
        return len(self.thresholds) - 1

    @property
    def has_both_classes(self) -> npt.NDArray[np.bool_]:
        """Whether fakes and reals both have weight, (w,)."""
        return (self.true_positives[:, -1] > 0) & (self.false_positives[:, -1] > 0)

    def rates(self, index: Ints) -> tuple[Floats, Floats]:
        """Return false and true positive rate of each row at its threshold `index`, (w,)."""
        rows = np.arange(len(index))
        fakes, reals = self.true_positives, self.false_positives
        return _ratio(reals[rows, index], reals[:, -1]), _ratio(fakes[rows, index], fakes[:, -1])

    def auc(self) -> Floats:
        """Compute the area under the ROC curve; see `auc`."""
        steps = np.diff(self.fpr, axis=1)
        return (steps * (self.recall[:, 1:] + self.recall[:, :-1]) / 2).sum(axis=1)

    def average_precision(self) -> Floats:
        """Compute the average precision; see `average_precision`."""
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
    """Count true and false positives at every threshold.

    Args:
        is_fake: (n,) whether each sample is fake.
        p_fake: (n,) score of each sample.
        weights: (w, n) weight of each sample; 1 by default.
    """
    fake, scores = np.asarray(is_fake, bool), np.asarray(p_fake, float)
    weights = np.ones((1, len(fake))) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    fake, scores = fake[order], scores[order]
    ends = np.flatnonzero(np.diff(scores, append=-np.inf))  # last of each run of equal scores
    sorted_weights = weights[:, order]
    if isinstance(sorted_weights, JackknifeWeights):
        return JackknifeCurve.of(fake, ends, sorted_weights)

    def cumulative(selected: npt.NDArray[np.bool_]) -> Floats:
        sums = np.cumsum(sorted_weights * selected, axis=1)[:, ends]
        return np.concatenate([np.zeros((len(weights), 1)), sums], axis=1)

    return ThresholdCurve(np.append(np.inf, scores[ends]), cumulative(fake), cumulative(~fake))


def auc(c: AnyCurve) -> Floats:
    """Compute the area under the ROC curve: the chance that a fake scores above a real."""
    return np.where(c.has_both_classes, c.auc(), np.nan)


def average_precision(c: AnyCurve) -> Floats:
    """Compute the area under the precision-recall curve, as a sum of steps."""
    return np.where(c.has_both_classes, c.average_precision(), np.nan)


def eer(c: AnyCurve) -> Floats:
    """Compute the equal error rate: false positive rate = false negative rate, interpolated."""

    def gap(index: Ints) -> Floats:  # rises from -1 to 1 with the index of the threshold
        fpr, recall = c.rates(index)
        return fpr - (1 - recall)

    after = _first_index(c, lambda index: gap(index) >= 0)
    before = np.maximum(after - 1, 0)
    step = gap(after) - gap(before)
    fraction = np.divide(-gap(before), step, where=step > 0, out=np.zeros(len(step)))
    fpr = c.rates(before)[0]
    return np.where(c.has_both_classes, fpr + fraction * (c.rates(after)[0] - fpr), np.nan)


def recall_at(c: AnyCurve, fpr: float) -> Floats:
    """Compute the highest recall at a false positive rate of at most `fpr`."""
    beyond = _first_index(c, lambda index: c.rates(index)[0] > fpr)
    fpr_beyond, recall = c.rates(beyond)
    recall_before = c.rates(np.maximum(beyond - 1, 0))[1]
    return np.where(c.has_both_classes, np.where(fpr_beyond > fpr, recall_before, recall), np.nan)


def _first_index(c: AnyCurve, condition: Callable[[Ints], npt.NDArray[np.bool_]]) -> Ints:
    """Return the first threshold of each row that meets a condition; the last if none does.

    The search is a bisection: if a threshold meets the condition, all later ones must meet it too.
    """
    low = np.zeros(len(c.has_both_classes), np.int64)
    high = np.full(len(low), c.last)
    while (low < high).any():
        middle = (low + high) // 2
        holds = condition(middle)
        low, high = (
            np.where(holds, low, np.minimum(middle + 1, high)),
            np.where(holds, middle, high),
        )
    return low


def best_threshold(is_fake: npt.ArrayLike, p_fake: npt.ArrayLike) -> float | None:
    """Return the threshold of the highest balanced accuracy (Youden's index).

    A sample is classified as fake if its score is above the threshold. The threshold is halfway
    between two scores, or 0.5; of several equally good ones it is the nearest to 0.5. It is None if
    no threshold beats classifying all samples as fake or all as real, as when only fakes or only
    reals are present.
    """
    c = threshold_curve(is_fake, p_fake)
    if not c.has_both_classes[0]:
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
    """Compute the log loss: the mean of -log of the probability of the actual class."""
    of_actual = probabilities[np.arange(len(actual)), actual]
    return weighted_mean(-np.log(np.clip(of_actual, LEAST_PROBABILITY, 1)), weights)


def reliability(outcome: npt.ArrayLike, probability: npt.ArrayLike) -> pd.DataFrame:
    """Compute a reliability diagram: mean probability and observed frequency per bin.

    Returns:
        Columns `probability` and `happened` (means of the bin) and `count`; a row per bin that is
        not empty.
    """
    p = np.asarray(probability, float)
    bins = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    table = pd.DataFrame({"probability": p, "happened": np.asarray(outcome, float), "bin": bins})
    grouped = table.groupby("bin")
    return grouped[["probability", "happened"]].mean().assign(count=grouped.size())


def calibration_error(outcome: npt.ArrayLike, probability: npt.ArrayLike) -> float:
    """Compute the expected calibration error: mean |probability - frequency| of `reliability`."""
    bins = reliability(outcome, probability)
    distance = (bins["probability"] - bins["happened"]).abs()
    return float((distance * bins["count"]).sum() / bins["count"].sum())


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Apply temperature scaling, logits / temperature, to probabilities, (n, classes)."""
    logits = np.log(np.clip(probabilities, LEAST_PROBABILITY, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def best_temperature(actual: Ints, probabilities: Floats) -> float:
    """Fit the temperature of the lowest log loss (Guo et al., 2017), from 0.05 to 20.

    It is 1 if no other temperature is better. It is one of the limits if the log loss still falls
    there (see `temperature_at_limit`).
    """
    from scipy.optimize import minimize_scalar

    once = np.ones((1, len(actual)))

    def loss(log_temperature: float) -> float:
        return float(log_loss(actual, tempered(probabilities, np.exp(log_temperature)), once)[0])

    limit = np.log(MAX_TEMPERATURE)
    minimum = float(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x)
    losses = {value: loss(value) for value in (0.0, -limit, limit, minimum)}
    lowest = min(losses.values())
    return float(np.exp(next(log_t for log_t, value in losses.items() if value <= lowest + 1e-7)))


def temperature_at_limit(temperature: float) -> bool:
    """Return whether a temperature is at a limit of the search range.

    >>> [temperature_at_limit(value) for value in (0.05001, 1.0, 19.9995)]
    [True, False, True]
    """
    return bool(abs(np.log(temperature)) > np.log(MAX_TEMPERATURE) - 1e-3)


def _ratio(part: Floats, total: Floats) -> Floats:
    total = np.broadcast_to(total, part.shape)
    return np.divide(part, total, where=total > 0, out=np.zeros(part.shape))


def _nan(like: Floats) -> Floats:
    return np.full(like.shape, np.nan)
