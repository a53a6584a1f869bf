"""Runs beside each other: on one test split, or each on several manifests."""

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
from classify.evaluation.predict import predict_probabilities, score_split
from classify.evaluation.scores import Scores
from classify.evaluation.split_audit import SplitAudit, split_audit
from classify.evaluation.thresholds import OperatingPoint, operating_point
from classify.training.runs import Run
from ffpp_tools.console import counted
from ffpp_tools.splits.manifest import Manifest

TIMED = 256  # images that a network is timed on
TURNS = 3  # of which the fastest counts


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other, ordered by validation.

    table: a row per run; columns run, arch, weights (what its training started from), val_auc (on
        the run's own validation split; nan for a refit, which has none), and on test accuracy,
        fakes_predicted (the share of fakes whose most probable class is one), recall_of_fakes (the
        share above the run's own threshold) and auc; parameters, images_per_second, megabytes. Both
        AUC are of fakes against their originals; against all reals where there are none.
    splits: a row per run; columns run, and accuracy, loss and log loss of the kept epoch on train
        (as trained: with augmentation and dropout) and on val, and per frame on test, where the
        loss is the log loss.
    unit: "clip" where all runs have clips, else "frame".
    ordered_by: "validation", or "test" where no run has a validation split.
    differences: accuracy and auc on test of the first run less those of the second, over the same
        draws of people; empty where one of them has no validation, or where they were not judged on
        the same samples.
    notes: what to know besides, such as a run whose test split is another.
    """

    table: pd.DataFrame
    splits: pd.DataFrame
    unit: str
    ordered_by: str
    differences: dict[str, Estimate]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CrossManifestMatrix:
    """Runs by manifests.

    auc: as in a comparison, per frame; a row per run, a column per manifest.
    leaks: "yes" where people that the run was trained or validated on are in the manifest's test
        split, "no", or "unknown" where that cannot be found out.
    notes: what to know besides.
    """

    auc: pd.DataFrame
    leaks: pd.DataFrame
    notes: tuple[str, ...]


def compare(runs: Sequence[Run], progress: ProgressFactory | None = None) -> Comparison:
    """Judge runs on the test splits of their manifests and time their networks here.

    They are ordered by AUC on their own validation splits, so that the first two, whose difference
    on test is given, were not chosen by that test. Runs without validation come last. Only where no
    run has any does test order them, and the first note says so.

    Args:
        runs: two or more.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: fewer than two runs, or two of one name.
        RunError: a run without a finished epoch, or whose manifest changed.
        PackError: a crop is missing.
    """
    names = [run.folder.resolve().name for run in runs]
    if len(runs) < 2 or len(set(names)) < len(names):
        raise ClassifyError("name two runs or more, each once and each with its own name")
    named = dict(zip(names, runs, strict=True))
    audits = {name: split_audit(run.manifest) for name, run in named.items()}
    frames = {
        name: audits[name].regrouped(score_split(run, "test", progress=progress))
        for name, run in named.items()
    }
    unit = "clip" if all(len(s.clips()) for s in frames.values()) else "frame"
    scores = {name: s.clips() if unit == "clip" else s for name, s in frames.items()}
    validation = {
        name: None if run.settings.refit else score_split(run, "val", progress=progress)
        for name, run in named.items()
    }
    rows, splits = [], []
    for name, run in named.items():
        measured = _measured(scores[name], unit, operating_point(run, progress))
        started = {"arch": run.settings.arch, "weights": Path(run.settings.weights or "").name}
        val_auc = _on_validation(validation[name], unit)
        rows.append({"run": name, **started, "val_auc": val_auc, **measured, **_cost(run)})
        splits.append({"run": name, **_on_each_split(run, frames[name])})
    table = pd.DataFrame(rows)
    by = "test" if table["val_auc"].isna().all() else "validation"
    measure = "auc" if by == "test" else "val_auc"
    table = table.sort_values([measure, "run"], ascending=[False, True], ignore_index=True)
    first, second = table["run"][:2]
    elsewhere = [name for name in table["run"] if not _same(frames[first], frames[name])]
    ranked = by == "validation" and table[measure].notna()[:2].all()
    differences = (
        _differences(scores[first], scores[second]) if ranked and second not in elsewhere else {}
    )
    by_run = pd.DataFrame(splits).set_index("run").loc[table["run"]].reset_index()
    notes = (
        *_order_notes(table, validation),
        *_split_notes(audits),
        *(
            f"{name} was judged on another test split than {first}: its row is not comparable."
            for name in elsewhere
        ),
        *_run_notes(named),
    )
    return Comparison(table, by_run, unit, by, differences, notes)


def _on_validation(frames: Scores | None, unit: str) -> float:
    """AUC per unit; nan for a refit, which was trained on its validation split."""
    if frames is None:
        return math.nan
    scores = frames.clips() if unit == "clip" else frames
    if not len(scores):
        return math.nan
    return float(_auc(scores, np.ones((1, len(scores))))[0])


def _order_notes(table: pd.DataFrame, validation: Mapping[str, Scores | None]) -> list[str]:
    """What the order rests on, where that is not one validation split for all."""
    without = [name for name, auc in table[["run", "val_auc"]].to_numpy() if math.isnan(auc)]
    if len(without) == len(table):
        return [
            "NO RUN HAS A VALIDATION SPLIT TO BE ORDERED BY, so the order is that of AUC on test: "
            "the first is first by choice, and its lead over the others is inflated."
        ]
    found = []
    if without:
        found.append(
            f"{', '.join(without)}: no AUC on validation (a refit was trained on that split, or it "
            f"holds no fakes beside reals). They come last, whatever they are worth."
        )
    first = str(table["run"][0])
    others = [
        str(name)
        for name in table["run"]
        if name not in without and not _same_scores(validation[first], validation[name])
    ]
    if others:
        found.append(
            f"{', '.join(others)}: validated on another split than {first}. THE ORDER IS NOT "
            f"COMPARABLE: some splits are easier than others."
        )
    return found


def _split_notes(audits: Mapping[str, SplitAudit]) -> list[str]:
    """What is known now of the splits of runs."""
    leaking = [name for name, audit in audits.items() if audit.leaks]
    unread = [name for name, audit in audits.items() if audit.group_of is None]
    found = []
    if leaking:
        found.append(f"People appear in several splits of the manifest of {', '.join(leaking)}.")
    if unread:
        found.append(
            f"The dataset of {', '.join(unread)} cannot be read here: of people, only what was "
            f"known when the manifest was made is known."
        )
    return found


def _run_notes(runs: Mapping[str, Run]) -> tuple[str, ...]:
    """What to know of the trainings."""
    return (
        *_borrowed(list(runs.values())),
        *(
            f"{name} was not pretrained: its frozen backbone kept random weights."
            for name, run in runs.items()
            if run.settings.freeze == "all" and run.settings.weights == "none"
        ),
        *(
            f"{name} was trained on val too: its threshold is 0.5."
            for name, run in runs.items()
            if run.settings.refit
        ),
    )


def _borrowed(runs: Sequence[Run]) -> list[str]:
    """What the runs say of weights that they started from."""
    return [f"{run.folder.resolve().name}: {run.borrowed}" for run in runs if run.borrowed]


def compare_across_manifests(
    runs: Sequence[Run], manifests: Sequence[Manifest], progress: ProgressFactory | None = None
) -> CrossManifestMatrix:
    """Judge every run on the test split of every manifest.

    Args:
        runs: whose networks.
        manifests: that they are judged on.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: a manifest with classes that a run does not know.
        RunError, PackError: as `compare`.
    """
    rows = [run.folder.resolve().name for run in runs]
    columns = [manifest.folder.resolve().name for manifest in manifests]
    if len(set(rows)) < len(rows) or len(set(columns)) < len(columns):
        raise ClassifyError("two runs, or two manifests, bear one name; name each once")
    index, header = pd.Index(rows, name="trained"), pd.Index(columns, name="tested on")
    table = pd.DataFrame(np.nan, index, header)
    leaks = pd.DataFrame("no", index, header)
    for row, run in enumerate(runs):
        for column, manifest in enumerate(manifests):
            other = None if run.is_of(manifest) else manifest
            scores = score_split(run, "test", other, progress)
            once = np.ones((1, len(scores)))
            table.iloc[row, column] = _auc(scores, once)[0]
            known = identity_overlap(run, manifest, "test")
            leaks.iloc[row, column] = (
                "unknown" if known.why_not else ("no", "yes")[known.shared > 0]
            )
    return CrossManifestMatrix(table, leaks, _notes(runs, manifests))


def _notes(runs: Sequence[Run], manifests: Sequence[Manifest]) -> tuple[str, ...]:
    """How few people stand behind the columns, and what the rows started from."""
    audits = {m.folder.resolve().name: split_audit(m) for m in manifests}
    found = [*_split_notes(audits), *_borrowed(runs)]
    for name, audit in audits.items():
        groups = audit.samples("test").groupby("category")["group"].nunique()
        if groups.min() < FEW_GROUPS:
            few = counted(int(groups.min()), "group")
            found.append(
                f"{name} shows {few} of people of {groups.idxmin()}: "
                f"with fewer than {FEW_GROUPS}, other people could give very different figures."
            )
    return tuple(found)


def _measured(scores: Scores, unit: str, at: OperatingPoint) -> dict[str, float]:
    once = np.ones((1, len(scores)))
    called = scores.p_fake[scores.is_fake] > at.threshold(unit)
    return {
        "accuracy": float(np.mean(scores.actual == scores.predicted)),
        "fakes_predicted": _fakes_predicted(scores),
        "recall_of_fakes": float(called.mean()) if len(called) else np.nan,
        "auc": float(_auc(scores, once)[0]),
    }


def _fakes_predicted(scores: Scores) -> float:
    fake = np.array([label == "fake" for label in scores.classes.values()])
    found = fake[scores.predicted][scores.is_fake]
    return float(found.mean()) if len(found) else np.nan


def _on_each_split(run: Run, test: Scores) -> dict[str, float]:
    """Accuracy and loss of the epoch that was kept."""
    kept = run.kept_row
    nothing = math.nan
    once = np.ones((1, len(test)))
    return {
        "train_accuracy": kept["accuracy"],
        "train_loss": kept["loss"],
        "train_log_loss": kept.get("log_loss", nothing),
        "val_accuracy": kept.get("val_accuracy", nothing),
        "val_loss": kept.get("val_loss", nothing),
        "val_log_loss": kept.get("val_log_loss", nothing),
        "test_accuracy": float(np.mean(test.actual == test.predicted)),
        "test_loss": float(log_loss(test.actual, test.probabilities, once)[0]),
    }


def _auc(scores: Scores, weights: Weights) -> Floats:
    """Against originals; against all reals where no originals are there."""
    if with_originals(scores):
        return auc_against_originals(scores, weights)
    return auc(threshold_curve(scores.is_fake, scores.p_fake, weights))


def _cost(run: Run) -> dict[str, float]:
    """Parameters, images a second on this machine, and the size of the file."""
    model = run.best_model()
    side = model.input_shape[1]
    images = np.random.default_rng(0).integers(0, 256, (TIMED, side, side, 3), np.uint8)
    predict_probabilities(model, images[:1])  # compiles
    took = []
    for _ in range(TURNS):
        start = time.perf_counter()
        predict_probabilities(model, images)
        took.append(time.perf_counter() - start)
    return {
        "parameters": model.count_params(),
        "images_per_second": TIMED / min(took),
        "megabytes": run.checkpoint.stat().st_size / 1e6,
    }


def _same_scores(one: Scores | None, other: Scores | None) -> bool:
    return one is not None and other is not None and _same(one, other)


def _same(one: Scores, other: Scores) -> bool:
    """Whether two runs were judged on the same samples, in the same order."""
    key = ["face_id", "category", "compression", "clip"]
    alike = len(one) == len(other) and one.table[key].equals(other.table[key])
    return alike and np.array_equal(one.actual, other.actual)


def _differences(one: Scores, other: Scores) -> dict[str, Estimate]:
    def gain(weights: Weights) -> dict[str, Floats]:
        right, other_right = (weighted_mean(s.actual == s.predicted, weights) for s in (one, other))
        area, other_area = _auc(one, weights), _auc(other, weights)
        gained = {"accuracy": right - other_right, "auc": area - other_area}
        return gained | {"other accuracy": other_right, "other auc": other_area}

    of = {"accuracy": "other accuracy", "auc": "other auc"}
    found = jackknife_estimates(one.table["group"], one.table["category"], gain, differences=of)
    return {name: found[name] for name in of}
