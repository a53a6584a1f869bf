"""Scores to everything that is said about them, for frames and for clips."""

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
# Recall at a false positive rate is given from so many identity groups of reals on, counted as one
# sample each, above the threshold of that rate: 1,000 groups at 1 %, 200 at 5 %. With fewer, the
# threshold, picked on the few highest reals of the same split, flatters: simulated clips of 30, 60
# and 120 groups, recall 0.49 at 5 %, show 0.040, 0.024 and 0.003 too much. And the reals that are
# in fact called fake have to be of half as many groups, so that photographs, none of which scores
# high, do not stand in for the clips.
RESOLVING_GROUPS = 10
MEASURES = {
    "accuracy": "share of samples whose most probable class is the right one",
    "balanced_accuracy": "mean recall of the classes",
    "auc": "chance that a fake scores above a real, all reals",
    "auc_against_originals": "mean over the manipulations of the same against their originals",
    "average_precision": "area under the precision-recall curve of fake, all reals",
    "eer": "error where the share of fakes missed is that of reals called fake, all reals",
    "recall_at_1_percent": "share of fakes called fake where at most 1 % of all reals are",
    "recall_at_5_percent": "the same where at most 5 % are",
    "log_loss": "mean of -log of the probability of what it is",
    "log_loss_tempered": "the same after temperature scaling",
}
LOSSES = ("log_loss", "log_loss_tempered")
QUANTILES = ("eer", "recall_at_1_percent", "recall_at_5_percent")


@dataclass(frozen=True)
class ManipulationMetrics:
    """How well one kind of fakes is detected."""

    category: str
    compression: str
    samples: int
    groups: int  # of people
    detected: Estimate  # share called fake, at the threshold that validation chose
    auc: Estimate  # against its originals of the same compression; nan where there are none
    eer: Estimate
    auc_against_all: Estimate  # against every real: easy stills among them raise it
    missed: float  # share of the dataset's frames without a usable face; nan where not known


@dataclass(frozen=True)
class RealMetrics:
    """How well one kind of reals is let pass."""

    category: str
    compression: str
    samples: int
    groups: int
    called_real: Estimate  # share of it, at the same threshold
    missed: float


@dataclass(frozen=True)
class Evaluation:
    """How well one kind of unit, frames or clips, is classified."""

    unit: str  # "frame" or "clip"
    scores: Scores
    threshold: float  # of P(fake)
    measures: dict[str, Estimate]  # by the names in `MEASURES`
    calibration_error: float  # of the most probable class, before temperature scaling
    calibration_error_tempered: float
    confusion: pd.DataFrame  # counts, row per actual class
    per_class: pd.DataFrame  # precision, recall, f1, auc (one against the rest), support
    detection: pd.DataFrame  # counts, rows actual fake and real, columns called fake and real
    manipulations: tuple[ManipulationMetrics, ...]
    reals: tuple[RealMetrics, ...]

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(self.scores)

    @property
    def groups(self) -> int:
        """How many groups of people are behind them."""
        return int(self.scores.table["group"].nunique())

    @property
    def fewest(self) -> tuple[str, int]:
        """The category with the fewest groups of people, and how many these are."""
        counts = self.scores.table.groupby("category")["group"].nunique()
        return str(counts.idxmin()), int(counts.min())

    @property
    def percent(self) -> pd.DataFrame:
        """The confusion in per cent of each row: the paper's Tables 4 and 6."""
        return metrics.row_percent(self.confusion)

    @property
    def in_paper_order(self) -> pd.DataFrame:
        """The same with the classes in the order of the paper's tables."""
        names = list(self.confusion.index)
        order = [n for n in PAPER_ORDER if n in names] + [n for n in names if n not in PAPER_ORDER]
        return self.percent.loc[order, order]


def evaluate_scores(
    scores: Scores, unit: str, operating: OperatingPoint, miss_rates: Mapping[str, float]
) -> Evaluation:
    """Every measure of some scores.

    Args:
        scores: of frames and stills, or of clips.
        unit: "frame" or "clip".
        operating: the threshold and temperature that validation chose.
        miss_rates: category → share of frames without a usable face.
    """
    names = list(scores.classes)
    actual, predicted, probabilities = scores.actual, scores.predicted, scores.probabilities
    threshold = operating.threshold(unit)
    tempered = metrics.tempered(probabilities, operating.temperature)
    called = np.where(scores.p_fake > threshold, 0, 1)
    detection = metrics.confusion(np.where(scores.is_fake, 0, 1), called, ["fake", "real"])
    detection.columns.name = "called"
    parts = [
        _Part(scores, category, compression, at, threshold, miss_rates.get(category, math.nan))
        for (category, compression), at in scores.table.groupby(CLIP_KEY[:2]).indices.items()
    ]
    right = actual == predicted
    return Evaluation(
        unit=unit,
        scores=scores,
        threshold=threshold,
        measures=_measures(scores, tempered),
        calibration_error=metrics.calibration_error(right, probabilities.max(axis=1)),
        calibration_error_tempered=metrics.calibration_error(right, tempered.max(axis=1)),
        confusion=metrics.confusion(actual, predicted, names),
        per_class=metrics.per_class(actual, predicted, probabilities, names),
        detection=detection,
        manipulations=tuple(part.manipulation() for part in parts if part.label == "fake"),
        reals=tuple(
            RealMetrics(**part.about, called_real=part.share(fake=False))
            for part in parts
            if part.label == "real"
        ),
    )


def _measures(scores: Scores, tempered: Floats) -> dict[str, Estimate]:
    """All `MEASURES` of some scores, whose probabilities are given `tempered` as well."""
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
    found = jackknife_estimates(groups, categories, overall, losses=LOSSES, quantiles=QUANTILES)
    for rate in FALSE_POSITIVE_RATES:
        if not enough_reals_for_fpr(scores, rate):
            name = _recall_name(rate)
            found[name] = Estimate(math.nan, *NO_INTERVAL, found[name].groups)
    return found


def _recall_name(rate: float) -> str:
    return f"recall_at_{100 * rate:.0f}_percent"


def enough_reals_for_fpr(scores: Scores, rate: float) -> bool:
    """Whether there are identity groups of reals enough to tell recall at a false positive rate.

    See `RESOLVING_GROUPS`. The groups behind the reals called fake are counted by how many of
    these each holds: (sum of counts)² / sum of squared counts, equal to the number of groups where
    all hold as many.
    """
    reals = ~scores.is_fake
    groups = pd.factorize(scores.table.loc[reals, "group"])[0]
    if len(groups) == 0 or (groups.max() + 1) * rate < RESOLVING_GROUPS:
        return False
    p_fake = scores.p_fake[reals]
    last = np.sort(p_fake)[-math.ceil(rate * len(p_fake))]
    counts = np.bincount(groups[p_fake >= last])
    return bool(counts.sum() ** 2 / (counts**2).sum() >= RESOLVING_GROUPS / 2)


def flat(rows: tuple[ManipulationMetrics, ...] | tuple[RealMetrics, ...]) -> pd.DataFrame:
    """A table of plain columns: of an estimate `detected` also `detected_low`, `detected_high`."""
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
    """Where the reals stand that a kind of fakes was made from, of the same compression."""
    table = scores.table
    own = (table["category"] == REAL_COUNTERPART.get(category)) & (
        table["compression"] == compression
    )
    return np.flatnonzero(own.to_numpy() & ~scores.is_fake)


def auc_against_originals(scores: Scores, weights: Weights) -> Floats:
    """The mean AUC of the manipulations, each against its originals: (w, n) weights → (w,).

    Nan where no originals are there at all.
    """
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for _, rows in with_originals(scores):
        curve = metrics.threshold_curve(scores.is_fake[rows], scores.p_fake[rows], weights[:, rows])
        found = metrics.auc(curve)  # nan for a draw of people of whom there is none of it
        total += np.nan_to_num(found)
        count += np.isfinite(found)
    return np.divide(total, count, where=count > 0, out=np.full(len(weights), np.nan))


def with_originals(scores: Scores) -> list[tuple[tuple[str, str], npt.NDArray[np.intp]]]:
    """Each manipulation's (category, compression), and where it and its originals stand.

    Manipulations without originals in the same compression are left out.
    """
    found = []
    for (category, compression), at in scores.table.groupby(CLIP_KEY[:2]).indices.items():
        reals = originals(scores, category, compression)
        if scores.is_fake[at[0]] and len(reals):
            found.append(((category, compression), np.append(at, reals)))
    return found


@dataclass(frozen=True)
class _Part:
    """The samples of one category and compression."""

    scores: Scores
    category: str
    compression: str
    at: npt.NDArray[np.intp]  # where they stand
    threshold: float
    missed: float

    @property
    def about(self) -> dict[str, Any]:
        """What manipulations and reals are told by alike."""
        return {
            "category": self.category,
            "compression": self.compression,
            "samples": len(self.at),
            "groups": len(set(self.groups[self.at])),
            "missed": self.missed,
        }

    @property
    def label(self) -> str:
        """Whether it is "fake" or "real"."""
        return "fake" if self.scores.is_fake[self.at[0]] else "real"

    @property
    def groups(self) -> npt.NDArray[np.object_]:
        """Of all samples."""
        return self.scores.table["group"].to_numpy()

    def share(self, fake: bool) -> Estimate:
        """The share of it that is called fake, or real."""
        hits = (self.scores.p_fake[self.at] > self.threshold) == fake
        groups = self.groups[self.at]
        return jackknife_estimates(
            groups, "all", lambda w: {"share": metrics.weighted_mean(hits, w)}
        )["share"]

    def manipulation(self) -> ManipulationMetrics:
        """It as fakes, beside its originals and beside all reals."""
        scores = self.scores
        versus = np.append(self.at, originals(scores, self.category, self.compression))
        everything = np.append(self.at, np.flatnonzero(~scores.is_fake))

        def against(weights: Weights) -> dict[str, Floats]:
            curve = metrics.threshold_curve(scores.is_fake[versus], scores.p_fake[versus], weights)
            return {"auc": metrics.auc(curve), "eer": metrics.eer(curve)}

        def against_all(weights: Weights) -> dict[str, Floats]:
            curve = metrics.threshold_curve(
                scores.is_fake[everything], scores.p_fake[everything], weights
            )
            return {"auc": metrics.auc(curve)}

        own = self._estimates(versus, against)
        wide = self._estimates(everything, against_all)
        return ManipulationMetrics(
            **self.about,
            detected=self.share(fake=True),
            auc=own["auc"],
            eer=own["eer"],
            auc_against_all=wide["auc"],
        )

    def _estimates(self, at: npt.NDArray[np.intp], measures: Measures) -> dict[str, Estimate]:
        """Measures of fakes beside reals; the fewer groups of the two count."""
        categories = self.scores.table["category"].to_numpy()[at]
        return jackknife_estimates(
            self.groups[at],
            self.scores.is_fake[at],
            measures,
            categories=categories,
            quantiles=QUANTILES,
        )
