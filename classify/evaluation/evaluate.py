"""Compute all metrics from scores, per frame and per clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.evaluation import metrics
from classify.evaluation.confidence_intervals import (
    NO_INTERVAL,
    Estimate,
    Measures,
    jackknife_estimates,
)
from classify.evaluation.metrics import Floats, Weights
from classify.evaluation.scores import CLIP_KEY, Scores
from classify.evaluation.thresholds import OperatingPoint
from ffpp_tools.sources.clip import REAL_COUNTERPART

# The paper's tables list the reals first.
PAPER_ORDER = (
    "CelebA",
    "CelebA-HQ",
    "Youtube",
    "Deepfakes",
    "Face2Face",
    "FaceSwap",
    "NeuralTextures",
)
FALSE_POSITIVE_RATES = (0.01, 0.05)
# Recall at a false positive rate is reported if at least this many identity groups of reals, each
# counted as one sample, are expected above the threshold of that rate: 1,000 groups of reals at
# 1 %, 200 at 5 %. With fewer groups, the threshold depends on the few highest-scoring reals of the
# same split and recall is overestimated: for simulated clips with recall 0.49 at 5 %, by 0.040,
# 0.024 and 0.003 with 30, 60 and 120 groups. The false positives themselves must come from at least
# half as many groups, so that stills that all score low do not make up for too few clips.
RESOLVING_GROUPS = 10
MEASURES = {
    "accuracy": "share of samples whose most probable class is the actual class",
    "balanced_accuracy": "mean recall over the classes",
    "auc": "probability that a fake scores above a real; all reals",
    "auc_against_originals": "mean over the manipulations of the AUC of each against its originals",
    "average_precision": "area under the precision-recall curve; all reals",
    "eer": "error rate at the threshold where it is equal for fakes and reals; all reals",
    "recall_at_1_percent": "share of fakes classified as fake if at most 1 % of all reals are",
    "recall_at_5_percent": "the same at 5 %",
    "log_loss": "mean of -log of the probability of the actual class",
    "log_loss_tempered": "the same after temperature scaling",
}
LOSSES = ("log_loss", "log_loss_tempered")
QUANTILES = ("eer", "recall_at_1_percent", "recall_at_5_percent")


@dataclass(frozen=True)
class ManipulationMetrics:
    """Metrics of one manipulation at one compression."""

    category: str
    compression: str
    samples: int
    groups: int  # identity groups
    detected: Estimate  # share classified as fake, at the threshold fitted on validation
    auc: Estimate  # against its originals of the same compression; nan if there are none
    eer: Estimate  # against the same originals
    auc_against_all: Estimate  # against all reals, easy stills included: they raise it
    missed: float  # share of the dataset's frames without a usable face; nan if unknown


@dataclass(frozen=True)
class RealMetrics:
    """Metrics of one source of reals at one compression."""

    category: str
    compression: str
    samples: int
    groups: int  # identity groups
    called_real: Estimate  # share classified as real, at the same threshold
    missed: float  # as in `ManipulationMetrics`


@dataclass(frozen=True)
class Evaluation:
    """All metrics of a split, per frame or per clip."""

    unit: str  # "frame" or "clip"
    scores: Scores
    threshold: float  # of P(fake)
    measures: dict[str, Estimate]  # by name; the names are the keys of `MEASURES`
    calibration_error: float  # of the most probable class, before temperature scaling
    calibration_error_tempered: float
    confusion: pd.DataFrame  # counts, row per actual class
    # precision, recall, f1, auc (one against the rest) and support of each class with samples
    per_class: pd.DataFrame
    binary_confusion: pd.DataFrame  # counts at the threshold, rows and columns fake and real
    manipulations: tuple[ManipulationMetrics, ...]
    reals: tuple[RealMetrics, ...]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.scores)

    @property
    def groups(self) -> int:
        """Number of identity groups."""
        return int(self.scores.table["group"].nunique())

    @property
    def fewest(self) -> tuple[str, int]:
        """The category with the fewest identity groups, and their number."""
        counts = self.scores.table.groupby("category")["group"].nunique()
        return str(counts.idxmin()), int(counts.min())

    @property
    def percent(self) -> pd.DataFrame:
        """The confusion matrix in per cent of each row, as in the paper's Tables 4 and 6.

        A class without samples, such as that of blended faces, has a column but no row.
        """
        return metrics.row_percent(self.confusion[self.confusion.any(axis=1)])

    @property
    def in_paper_order(self) -> pd.DataFrame:
        """`percent` with the classes in the order of the paper's tables."""
        percent, names = self.percent, list(self.confusion.index)
        order = [n for n in PAPER_ORDER if n in names] + [n for n in names if n not in PAPER_ORDER]
        return percent.loc[[name for name in order if name in percent.index], order]


def evaluate_scores(
    scores: Scores, unit: str, operating_point: OperatingPoint, miss_rates: Mapping[str, float]
) -> Evaluation:
    """Compute all metrics of scores.

    Args:
        scores: scores of frames and stills, or of clips.
        unit: "frame" or "clip".
        operating_point: threshold and temperature, fitted on validation.
        miss_rates: category → share of frames without a usable face.
    """
    names = list(scores.classes)
    actual, predicted, probabilities = scores.actual, scores.predicted, scores.probabilities
    threshold = operating_point.threshold(unit)
    tempered = metrics.tempered(probabilities, operating_point.temperature)
    actual_label = np.where(scores.is_fake, 0, 1)
    classified_as = np.where(scores.p_fake > threshold, 0, 1)
    binary_confusion = metrics.confusion(actual_label, classified_as, ["fake", "real"])
    binary_confusion.columns.name = "classified"
    categories = [
        _CategoryScores(
            scores, category, compression, rows, threshold, miss_rates.get(category, math.nan)
        )
        for (category, compression), rows in scores.table.groupby(CLIP_KEY[:2]).indices.items()
    ]
    correct = actual == predicted
    per_class = metrics.per_class(actual, predicted, probabilities, names)
    return Evaluation(
        unit=unit,
        scores=scores,
        threshold=threshold,
        measures=_measures(scores, tempered),
        calibration_error=metrics.calibration_error(correct, probabilities.max(axis=1)),
        calibration_error_tempered=metrics.calibration_error(correct, tempered.max(axis=1)),
        confusion=metrics.confusion(actual, predicted, names),
        per_class=per_class[per_class["support"] > 0],
        binary_confusion=binary_confusion,
        manipulations=tuple(c.manipulation_metrics() for c in categories if c.label == "fake"),
        reals=tuple(c.real_metrics() for c in categories if c.label == "real"),
    )


def _measures(scores: Scores, tempered: Floats) -> dict[str, Estimate]:
    """Estimate all `MEASURES`; `tempered` are the probabilities after temperature scaling."""
    actual, predicted, probabilities = scores.actual, scores.predicted, scores.probabilities

    def overall(weights: Weights) -> dict[str, Floats]:
        curve = metrics.threshold_curve(scores.is_fake, scores.p_fake, weights)
        return {
            "accuracy": metrics.weighted_mean(actual == predicted, weights),
            "balanced_accuracy": metrics.balanced_accuracy(actual, predicted, weights),
            "auc": metrics.auc(curve),
            "auc_against_originals": auc_against_originals(scores, weights),
            "average_precision": metrics.average_precision(curve),
            "eer": metrics.eer(curve),
            **{_recall_name(rate): metrics.recall_at(curve, rate) for rate in FALSE_POSITIVE_RATES},
            "log_loss": metrics.log_loss(actual, probabilities, weights),
            "log_loss_tempered": metrics.log_loss(actual, tempered, weights),
        }

    groups, categories = scores.table["group"], scores.table["category"]
    estimates = jackknife_estimates(groups, categories, overall, losses=LOSSES, quantiles=QUANTILES)
    for rate in FALSE_POSITIVE_RATES:
        if not enough_reals_for_fpr(scores, rate):
            name = _recall_name(rate)
            estimates[name] = Estimate(math.nan, *NO_INTERVAL, estimates[name].groups)
    return estimates


def _recall_name(rate: float) -> str:
    return f"recall_at_{100 * rate:.0f}_percent"


def enough_reals_for_fpr(scores: Scores, rate: float) -> bool:
    """Return whether there are enough identity groups of reals for recall at a false positive rate.

    See `RESOLVING_GROUPS`. The identity groups of the false positives are counted as an effective
    number, (sum of counts)² / sum of squared counts, where a count is the number of false positives
    of one group. It equals the number of groups if all counts are equal.
    """
    reals = ~scores.is_fake
    groups = pd.factorize(scores.table.loc[reals, "group"])[0]
    if len(groups) == 0 or (groups.max() + 1) * rate < RESOLVING_GROUPS:
        return False
    p_fake = scores.p_fake[reals]
    threshold = np.sort(p_fake)[-math.ceil(rate * len(p_fake))]
    counts = np.bincount(groups[p_fake >= threshold])
    return bool(counts.sum() ** 2 / (counts**2).sum() >= RESOLVING_GROUPS / 2)


def flat(rows: tuple[ManipulationMetrics, ...] | tuple[RealMetrics, ...]) -> pd.DataFrame:
    """Return a flat table: an estimate becomes e.g. `detected`, `detected_low`, `detected_high`."""
    return pd.DataFrame([_flat(asdict(row)) for row in rows])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            values |= {name: value["value"]}
            values |= {f"{name}_low": value["low"], f"{name}_high": value["high"]}
        else:
            values[name] = value
    return values


def originals(scores: Scores, category: str, compression: str) -> npt.NDArray[np.intp]:
    """Return the row indices of a manipulation's originals, at the same compression."""
    table = scores.table
    same_source = table["category"] == REAL_COUNTERPART.get(category)
    matching = same_source & (table["compression"] == compression)
    return np.flatnonzero(matching.to_numpy() & ~scores.is_fake)


def auc_against_originals(scores: Scores, weights: Weights) -> Floats:
    """Compute the mean AUC of the manipulations, each against its originals: weights (w, n) → (w,).

    It is nan if no manipulation has originals.
    """
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for _, rows in with_originals(scores):
        curve = metrics.threshold_curve(scores.is_fake[rows], scores.p_fake[rows], weights[:, rows])
        auc = metrics.auc(curve)  # nan for weights without fakes or without reals
        total += np.nan_to_num(auc)
        count += np.isfinite(auc)
    return np.divide(total, count, where=count > 0, out=np.full(len(weights), np.nan))


def with_originals(scores: Scores) -> list[tuple[tuple[str, str], npt.NDArray[np.intp]]]:
    """Return (category, compression) of each manipulation and the rows of it and its originals.

    Manipulations without originals at the same compression are skipped.
    """
    manipulations = []
    for (category, compression), rows in scores.table.groupby(CLIP_KEY[:2]).indices.items():
        reals = originals(scores, category, compression)
        if scores.is_fake[rows[0]] and len(reals):
            manipulations.append(((category, compression), np.append(rows, reals)))
    return manipulations


@dataclass(frozen=True)
class _CategoryScores:
    """The scores of one category at one compression, among the scores of a split."""

    scores: Scores  # of the whole split
    category: str
    compression: str
    rows: npt.NDArray[np.intp]  # row indices of the category in `scores`
    threshold: float
    missed: float

    @property
    def label(self) -> str:
        """Label of the category, "fake" or "real"."""
        return "fake" if self.scores.is_fake[self.rows[0]] else "real"

    def manipulation_metrics(self) -> ManipulationMetrics:
        """Compute the metrics of a manipulation, against its originals and against all reals."""
        scores = self.scores
        with_own = np.append(self.rows, originals(scores, self.category, self.compression))
        with_all = np.append(self.rows, np.flatnonzero(~scores.is_fake))

        def against_originals(weights: Weights) -> dict[str, Floats]:
            curve = metrics.threshold_curve(
                scores.is_fake[with_own], scores.p_fake[with_own], weights
            )
            return {"auc": metrics.auc(curve), "eer": metrics.eer(curve)}

        def against_all(weights: Weights) -> dict[str, Floats]:
            curve = metrics.threshold_curve(
                scores.is_fake[with_all], scores.p_fake[with_all], weights
            )
            return {"auc": metrics.auc(curve)}

        own = self._estimates(with_own, against_originals)
        return ManipulationMetrics(
            **self._description(),
            detected=self._classified(fake=True),
            auc=own["auc"],
            eer=own["eer"],
            auc_against_all=self._estimates(with_all, against_all)["auc"],
        )

    def real_metrics(self) -> RealMetrics:
        """Compute the metrics of a source of reals."""
        return RealMetrics(**self._description(), called_real=self._classified(fake=False))

    def _description(self) -> dict[str, Any]:
        """Return the fields that manipulations and reals have in common."""
        return {
            "category": self.category,
            "compression": self.compression,
            "samples": len(self.rows),
            "groups": len(set(self._groups[self.rows])),
            "missed": self.missed,
        }

    @property
    def _groups(self) -> npt.NDArray[np.object_]:
        """Identity group of every sample of `scores`."""
        return self.scores.table["group"].to_numpy()

    def _classified(self, fake: bool) -> Estimate:
        """Estimate the share of the category that is classified as fake, or as real."""
        hits = (self.scores.p_fake[self.rows] > self.threshold) == fake
        groups = self._groups[self.rows]
        return jackknife_estimates(
            groups, "all", lambda w: {"share": metrics.weighted_mean(hits, w)}
        )["share"]

    def _estimates(self, rows: npt.NDArray[np.intp], measures: Measures) -> dict[str, Estimate]:
        """Estimate metrics of fakes against reals; the label with fewer groups counts."""
        categories = self.scores.table["category"].to_numpy()[rows]
        return jackknife_estimates(
            self._groups[rows],
            self.scores.is_fake[rows],
            measures,
            categories=categories,
            quantiles=QUANTILES,
        )
