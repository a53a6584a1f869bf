"""Comparison of runs on one test split, or of each run on several manifests."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classify.data.pack import ProgressFactory
from classify.errors import ClassifyError
from classify.evaluation.confidence_intervals import FEW_GROUPS, Estimate, jackknife_estimates
from classify.evaluation.evaluate import auc_against_originals, with_originals
from classify.evaluation.metrics import (
    Floats,
    Weights,
    auc,
    log_loss,
    threshold_curve,
    weighted_mean,
)
from classify.evaluation.overlap import identity_overlap
from classify.evaluation.predict import predict_probabilities, score_split, tta_remark
from classify.evaluation.scores import Scores
from classify.evaluation.split_audit import SplitAudit, split_audit
from classify.evaluation.thresholds import OperatingPoint, operating_point
from classify.training.runs import Run
from ffpp_tools.console import counted
from ffpp_tools.splits.manifest import Manifest

TIMED = 256  # images per timing run
TURNS = 3  # timing runs; the fastest counts


@dataclass(frozen=True)
class Comparison:
    """A comparison of runs, ordered by validation.

    table: a row per run. Columns run, arch, weights (initial weights), val_auc (on the run's own
        validation split; nan for a refit, which has none); on test, accuracy, fakes_predicted
        (share of fakes whose most probable class is a fake class), recall_of_fakes (share above
        the run's own threshold) and auc; parameters, images_per_second, megabytes. Both AUCs are of
        fakes against their originals, or against all reals if there are no originals.
    splits: a row per run. Columns run; accuracy, loss and log loss of the selected epoch on train
        (as trained, with augmentation and dropout) and on val; accuracy and loss on test, per
        frame, where the loss is the log loss.
    unit: "clip" if all runs have clips, else "frame".
    ordered_by: "validation", or "test" if no run has a validation split.
    differences: accuracy and auc on test of the first run minus those of the second, paired by
        identity group. Empty if one of the two has no validation split, or if they were evaluated
        on different samples.
    notes: caveats, such as a run with a different test split.
    """

    table: pd.DataFrame
    splits: pd.DataFrame
    unit: str
    ordered_by: str
    differences: dict[str, Estimate]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CrossManifestMatrix:
    """Evaluation of every run on every manifest.

    auc: as in `Comparison`, per frame; a row per run, a column per manifest.
    leaks: "yes" if identities that the run was trained or validated on are in the manifest's test
        split, "no" if none is known, "unknown" if the overlap cannot be determined.
    notes: caveats.
    """

    auc: pd.DataFrame
    leaks: pd.DataFrame
    notes: tuple[str, ...]


def compare(runs: Sequence[Run], progress: ProgressFactory | None = None) -> Comparison:
    """Evaluate runs on the test splits of their manifests and time their networks.

    Runs are ordered by AUC on their own validation splits, so that the first two, whose difference
    on test is reported, are not selected on test. Runs without a validation split come last. If no
    run has one, the order is by AUC on test, and the first note says so.

    Args:
        runs: two or more runs.
        progress: progress bar factory; see `pack.ProgressFactory`.

    Raises:
        ClassifyError: fewer than two runs, or two runs of the same name.
        RunError: a run has no finished epoch, or its manifest changed.
        CropError: a crop is missing or was changed.
    """
    names = [run.folder.resolve().name for run in runs]
    if len(runs) < 2 or len(set(names)) < len(names):
        raise ClassifyError("give two or more runs, each once and each with a unique name")
    run_of = dict(zip(names, runs, strict=True))
    audits = {name: split_audit(run.manifest) for name, run in run_of.items()}
    frames = {
        name: audits[name].regrouped(score_split(run, "test", progress=progress))
        for name, run in run_of.items()
    }
    unit = "clip" if all(len(s.clips()) for s in frames.values()) else "frame"
    scores = {name: s.clips() if unit == "clip" else s for name, s in frames.items()}
    validation = {
        name: None if run.settings.refit else score_split(run, "val", progress=progress)
        for name, run in run_of.items()
    }
    rows, splits = [], []
    for name, run in run_of.items():
        point = operating_point(run, progress)
        on_test = _test_metrics(scores[name], unit, point)
        network = {"arch": run.settings.arch, "weights": Path(run.settings.weights or "").name}
        val_auc = _validation_auc(validation[name], unit)
        rows.append(
            {"run": name, **network, "val_auc": val_auc, **on_test, **_cost(run, point.tta)}
        )
        splits.append({"run": name, **_metrics_by_split(run, frames[name])})
    table = pd.DataFrame(rows)
    ordered_by = "test" if table["val_auc"].isna().all() else "validation"
    key = "auc" if ordered_by == "test" else "val_auc"
    table = table.sort_values([key, "run"], ascending=[False, True], ignore_index=True)
    first, second = table["run"][:2]
    other_split = [name for name in table["run"] if not _same_samples(frames[first], frames[name])]
    ranked = ordered_by == "validation" and table[key].notna()[:2].all()
    differences = (
        _differences(scores[first], scores[second]) if ranked and second not in other_split else {}
    )
    by_run = pd.DataFrame(splits).set_index("run").loc[table["run"]].reset_index()
    notes = (
        *_order_notes(table, validation),
        *_split_notes(audits),
        *(
            f"{name} was evaluated on another test split than {first}: its row is not comparable."
            for name in other_split
        ),
        *_run_notes(run_of),
    )
    return Comparison(table, by_run, unit, ordered_by, differences, notes)


def _validation_auc(frames: Scores | None, unit: str) -> float:
    """Compute AUC on validation per unit; nan for a refit, which was trained on that split."""
    if frames is None:
        return math.nan
    scores = frames.clips() if unit == "clip" else frames
    if not len(scores):
        return math.nan
    return float(_auc(scores, np.ones((1, len(scores))))[0])


def _order_notes(table: pd.DataFrame, validation: Mapping[str, Scores | None]) -> list[str]:
    """Return caveats on the order, if the runs do not share one validation split."""
    without = [name for name, auc in table[["run", "val_auc"]].to_numpy() if math.isnan(auc)]
    if len(without) == len(table):
        return [
            "NO RUN HAS A VALIDATION SPLIT, so the order is by AUC on test: the first run is "
            "selected on test, and its lead over the others is inflated."
        ]
    notes = []
    if without:
        notes.append(
            f"{', '.join(without)}: no AUC on validation (a refit was trained on that split, or it "
            f"lacks fakes or reals). These runs come last, regardless of their performance."
        )
    first = str(table["run"][0])
    others = [
        str(name)
        for name in table["run"]
        if name not in without and not _same_scores(validation[first], validation[name])
    ]
    if others:
        notes.append(
            f"{', '.join(others)}: validated on another split than {first}. THE VALIDATION AUCS "
            f"ARE NOT COMPARABLE, nor is the order: some splits are easier than others."
        )
    return notes


def _split_notes(audits: Mapping[str, SplitAudit]) -> list[str]:
    """Return caveats on the splits, by the current audits."""
    leaking = [name for name, audit in audits.items() if audit.leaks]
    unreadable = [name for name, audit in audits.items() if audit.group_of is None]
    notes = []
    if leaking:
        notes.append(f"People appear in several splits of the manifest of {', '.join(leaking)}.")
    if unreadable:
        notes.append(
            f"The dataset of {', '.join(unreadable)} cannot be read here: the identity groups are "
            f"those known when the manifest was created."
        )
    return notes


def _run_notes(runs: Mapping[str, Run]) -> tuple[str, ...]:
    """Return caveats on how the runs were trained."""
    return (
        *_borrowed_weights(list(runs.values())),
        *(
            f"{name} was not pretrained: its frozen backbone has random weights."
            for name, run in runs.items()
            if run.settings.freeze == "all" and run.settings.weights == "none"
        ),
        *(
            f"{name} was also trained on val: its threshold is 0.5."
            for name, run in runs.items()
            if run.settings.refit
        ),
        *_tta_notes(list(runs.values())),
    )


def _borrowed_weights(runs: Sequence[Run]) -> list[str]:
    """Return a note on the initial weights of each run that has one."""
    return [f"{run.folder.resolve().name}: {run.borrowed}" for run in runs if run.borrowed]


def _tta_notes(runs: Sequence[Run]) -> list[str]:
    """Return a note on each run whose test-time augmentation could not be chosen."""
    remarks = {run.folder.resolve().name: tta_remark(run) for run in runs}
    return [f"{name}: {remark}" for name, remark in remarks.items() if remark]


def compare_across_manifests(
    runs: Sequence[Run], manifests: Sequence[Manifest], progress: ProgressFactory | None = None
) -> CrossManifestMatrix:
    """Evaluate every run on the test split of every manifest.

    Args:
        runs: the runs.
        manifests: the manifests to evaluate them on.
        progress: progress bar factory; see `pack.ProgressFactory`.

    Raises:
        ClassifyError: duplicate names, or a manifest has classes that a run was not trained on.
        RunError, CropError: as `compare`.
    """
    rows = [run.folder.resolve().name for run in runs]
    columns = [manifest.folder.resolve().name for manifest in manifests]
    if len(set(rows)) < len(rows) or len(set(columns)) < len(columns):
        raise ClassifyError("duplicate names: each run and each manifest needs a unique name")
    index, header = pd.Index(rows, name="trained"), pd.Index(columns, name="tested on")
    table = pd.DataFrame(np.nan, index, header)
    leaks = pd.DataFrame("no", index, header)
    for row, run in enumerate(runs):
        for column, manifest in enumerate(manifests):
            other = None if run.is_of(manifest) else manifest
            scores = score_split(run, "test", other, progress)
            once = np.ones((1, len(scores)))
            table.iloc[row, column] = _auc(scores, once)[0]
            overlap = identity_overlap(run, manifest, "test")
            leaks.iloc[row, column] = (
                "unknown" if overlap.unknown_reason else ("no", "yes")[overlap.shared > 0]
            )
    return CrossManifestMatrix(table, leaks, _notes(runs, manifests))


def _notes(runs: Sequence[Run], manifests: Sequence[Manifest]) -> tuple[str, ...]:
    """Return caveats on the manifests and on the initial weights of the runs."""
    audits = {m.folder.resolve().name: split_audit(m) for m in manifests}
    notes = [*_split_notes(audits), *_borrowed_weights(runs), *_tta_notes(runs)]
    for name, audit in audits.items():
        groups = audit.samples("test").groupby("category")["group"].nunique()
        if groups.min() < FEW_GROUPS:
            notes.append(
                f"{name} has only {counted(int(groups.min()), 'identity group')} of "
                f"{groups.idxmin()}: with fewer than {FEW_GROUPS}, results on other people could "
                f"be very different."
            )
    return tuple(notes)


def _test_metrics(scores: Scores, unit: str, operating_point: OperatingPoint) -> dict[str, float]:
    once = np.ones((1, len(scores)))
    detected = scores.p_fake[scores.is_fake] > operating_point.threshold(unit)
    return {
        "accuracy": float(np.mean(scores.actual == scores.predicted)),
        "fakes_predicted": _fakes_predicted(scores),
        "recall_of_fakes": float(detected.mean()) if len(detected) else np.nan,
        "auc": float(_auc(scores, once)[0]),
    }


def _fakes_predicted(scores: Scores) -> float:
    fake = np.array([label == "fake" for label in scores.classes.values()])
    predicted_fake = fake[scores.predicted][scores.is_fake]
    return float(predicted_fake.mean()) if len(predicted_fake) else np.nan


def _metrics_by_split(run: Run, test: Scores) -> dict[str, float]:
    """Return accuracy and loss of the selected epoch on each split."""
    epoch = run.kept_row
    once = np.ones((1, len(test)))
    return {
        "train_accuracy": epoch["accuracy"],
        "train_loss": epoch["loss"],
        "train_log_loss": epoch.get("log_loss", math.nan),
        "val_accuracy": epoch.get("val_accuracy", math.nan),
        "val_loss": epoch.get("val_loss", math.nan),
        "val_log_loss": epoch.get("val_log_loss", math.nan),
        "test_accuracy": float(np.mean(test.actual == test.predicted)),
        "test_loss": float(log_loss(test.actual, test.probabilities, once)[0]),
    }


def _auc(scores: Scores, weights: Weights) -> Floats:
    """Compute AUC against originals, or against all reals if there are no originals."""
    if with_originals(scores):
        return auc_against_originals(scores, weights)
    return auc(threshold_curve(scores.is_fake, scores.p_fake, weights))


def _cost(run: Run, tta: str) -> dict[str, float]:
    """Measure parameters, images per second on this machine, and checkpoint size."""
    model = run.best_model()
    side = model.input_shape[1]
    images = np.random.default_rng(0).integers(0, 256, (TIMED, side, side, 3), np.uint8)
    predict_probabilities(model, images[:1])  # compiles
    seconds = []
    for _ in range(TURNS):
        start = time.perf_counter()
        predict_probabilities(model, images, tta=tta)
        seconds.append(time.perf_counter() - start)
    return {
        "parameters": model.count_params(),
        "images_per_second": TIMED / min(seconds),
        "megabytes": run.checkpoint.stat().st_size / 1e6,
    }


def _same_scores(one: Scores | None, other: Scores | None) -> bool:
    return one is not None and other is not None and _same_samples(one, other)


def _same_samples(one: Scores, other: Scores) -> bool:
    """Return whether two scores are of the same samples, in the same order."""
    key = ["face_id", "category", "compression", "clip", "class"]
    return len(one) == len(other) and one.table[key].equals(other.table[key])


def _differences(one: Scores, other: Scores) -> dict[str, Estimate]:
    """Estimate the differences in accuracy and AUC of two runs on the same samples."""

    def metrics(weights: Weights) -> dict[str, Floats]:
        accuracy, other_accuracy = (
            weighted_mean(s.actual == s.predicted, weights) for s in (one, other)
        )
        area, other_area = _auc(one, weights), _auc(other, weights)
        differences = {"accuracy": accuracy - other_accuracy, "auc": area - other_area}
        return differences | {"other accuracy": other_accuracy, "other auc": other_area}

    subtracted = {"accuracy": "other accuracy", "auc": "other auc"}
    estimates = jackknife_estimates(
        one.table["group"], one.table["category"], metrics, differences=subtracted
    )
    return {name: estimates[name] for name in subtracted}
