"""Write a report as tables, figures and one self-contained HTML page."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from classify.evaluation.confidence_intervals import FEW_GROUPS, LEVEL
from classify.evaluation.evaluate import MEASURES, Evaluation, flat
from classify.evaluation.scores import CLIP_KEY, PREFIX, Scores
from classify.reporting import figures, formatting, model_card
from classify.reporting.saved_report import COMMAND, forget
from classify.training import curves
from ffpp_tools.console import jsonable
from ffpp_tools.files import path_within, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import format_versions
from ffpp_tools.store.checksum import with_digest
from ffpp_tools.store.incomplete import writing_folder
from ffpp_tools.store.schema import STILL
from ffpp_tools.video.image import Image, read_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from classify.reporting.report_data import Report

UNITS = {
    "frame": "All crops of the split, including stills",
    "clip": "Mean over the crops of each clip in the split, without stills",
}
ERRORS_LISTED, ERRORS_SHOWN = 200, 12


def write_report(report: Report, faces: bool = True) -> None:
    """Write report.json, report.html, the tables as CSV and the figures as PNG and SVG.

    The files of the previous report, listed in its report.json, are deleted first, so that none of
    them is mistaken for part of this one.

    Args:
        report: the report; `folder` is where to write it.
        faces: whether the page shows faces of the most confident errors. The figures never do.
    """
    files: dict[str, bytes] = {}
    for evaluation in report.evaluations:
        unit = evaluation.unit
        for name, table in _tables(evaluation).items():
            files[f"{name}-{unit}.csv"] = table.to_csv().encode()
        files[f"classification-report-{unit}.txt"] = classification_report(evaluation).encode()
    files["predictions.csv"] = _predictions(report).to_csv(index=False).encode()
    errors = confident_errors(report.frames)
    files["errors.csv"] = errors.head(ERRORS_LISTED).to_csv(index=False).encode()
    if report.robustness:
        files["robustness.csv"] = report.robustness.table.to_csv(index=False).encode()
    drawn = _figures(report)
    show_errors = faces and report.frames.unit == "frame"
    for name, figure in drawn.items():
        files |= {f"{name}.{kind}": curves.image(figure, kind) for kind in ("png", "svg")}
    files["report.html"] = formatting.rendered(
        "report.html",
        report=report,
        best_epoch=report.run.kept_epoch if report.run else None,
        selected=report.run.kept_row if report.run else {},
        units=UNITS,
        measures=MEASURES,
        level=LEVEL,
        few=FEW_GROUPS,
        figures={name: files[f"{name}.svg"] for name in drawn},
        errors=_with_faces(errors.head(ERRORS_SHOWN), report.manifest) if show_errors else [],
        faces=faces,
    ).encode()
    if model_card.has_card(report):
        files[model_card.FILE] = model_card.model_card(report).encode()
    values = format_versions.with_format(
        format_versions.REPORT, as_dict(report) | {"files": sorted(files)}
    )
    values = with_digest(values)
    files["report.json"] = (json.dumps(values, indent=2, allow_nan=False) + "\n").encode()
    with writing_folder(report.folder, COMMAND, files):
        forget(report.folder)
        for name, data in files.items():
            write_atomically(report.folder / name, data)


def as_dict(report: Report) -> dict[str, Any]:
    """Return the report as plain values, as in report.json; nan becomes null."""
    run = report.run
    values: dict[str, Any] = {
        "provenance": report.provenance,
        "leaks": report.leaks,
        "remarks": report.remarks,
        "name": report.name,
        "split": report.split,
        "manifest": report.manifest.folder.resolve().name,
        "manifest_sha256": report.manifest.sha256,
        "operating": asdict(report.operating_point),
        "units": {e.unit: _evaluation_values(e) for e in report.evaluations},
        "shortcuts": [
            {"question": a.question, "auc": a.auc, "auc_scaled": a.auc_scaled}
            for a in report.shortcuts
        ],
    }
    if run:
        values |= {"arch": run.settings.arch, "epochs": len(run.log)}
        values |= {"best_epoch": run.kept_epoch, "checkpoint": run.checkpoint_sha256}
        values |= {"monitor": run.settings.monitor, "recipe": run.settings.recipe}
        values |= {"val_log_loss": run.kept_row.get("val_log_loss", math.nan)}
    if report.robustness:
        values["robustness"] = report.robustness.table.to_dict("records")
    return jsonable(values)


def _evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "samples": evaluation.samples,
        "groups": evaluation.groups,
        "threshold": evaluation.threshold,
        **{name: asdict(estimate) for name, estimate in evaluation.measures.items()},
        "calibration_error": evaluation.calibration_error,
        "calibration_error_tempered": evaluation.calibration_error_tempered,
        "confusion": evaluation.confusion.to_dict("index"),
        "per_class": evaluation.per_class.to_dict("index"),
        "detection": evaluation.binary_confusion.to_dict("index"),
        "manipulations": [asdict(row) for row in evaluation.manipulations],
        "reals": [asdict(row) for row in evaluation.reals],
    }


def _tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    measures = pd.DataFrame({name: asdict(e) for name, e in evaluation.measures.items()}).T
    return {
        "confusion": evaluation.confusion,
        "confusion-percent": evaluation.percent,
        "confusion-paper": evaluation.in_paper_order.map(formatting.cell),
        "confusion-paper-starred": evaluation.in_paper_order.map(formatting.starred),
        "per-class": evaluation.per_class,
        "detection": evaluation.binary_confusion,
        "measures": measures.rename_axis("measure"),
        "manipulations": flat(evaluation.manipulations).rename_axis("row"),
        "reals": flat(evaluation.reals).rename_axis("row"),
    }


def _predictions(report: Report) -> pd.DataFrame:
    """Return the probabilities of the split and of val, in the format of `--predictions`."""
    tables = [report.frames.table.assign(split=report.split)]
    if report.validation and report.split != "val":
        tables.append(report.validation.table.assign(split="val"))
    columns = [f"{PREFIX}{name}" for name in report.frames.classes]
    keys = ["face_id", "path"] if report.frames.unit == "frame" else CLIP_KEY
    table = pd.concat(tables)[[*keys, "split", *columns]]
    return table.astype(dict.fromkeys(columns, "float64"))  # written with all digits


def _figures(report: Report) -> dict[str, Figure]:
    drawn: dict[str, Figure] = {}
    for evaluation in report.evaluations:
        title = f"per {evaluation.unit}, per cent of each row"
        drawn[f"confusion-{evaluation.unit}"] = figures.heat_map(
            evaluation.in_paper_order, evaluation.in_paper_order.map(formatting.rounded), title
        )
        drawn[f"roc-{evaluation.unit}"] = figures.roc(evaluation)
        drawn[f"precision-recall-{evaluation.unit}"] = figures.precision_recall(evaluation)
        drawn[f"calibration-{evaluation.unit}"] = figures.calibration(
            evaluation, report.operating_point.temperature
        )
    worst = worst_clips(report.frames)
    if len(worst) and report.frames.unit == "frame":
        drawn["clips-over-time"] = figures.over_time(worst, report.operating_point.clip_threshold)
    if report.run:
        drawn["learning"] = curves.learning(report.run.log, report.run.kept_epoch)
    if report.robustness:
        title = "loss of AUC against originals"
        drawn["robustness"] = figures.losses(report.robustness.losses, title)
    return drawn


def _with_faces(errors: pd.DataFrame, manifest: Manifest) -> list[tuple[dict[str, Any], Image]]:
    rows = []
    for row in errors.to_dict("records"):
        face = read_image(path_within(manifest.root, row["path"]))
        if face is not None:  # an unreadable crop is only left out of the page
            rows.append((row, face))
    return rows


def confident_errors(scores: Scores) -> pd.DataFrame:
    """Return the wrong predictions with the highest probability, one per clip.

    Returns:
        Columns path, class, category, compression, clip, frame, predicted (a class), probability;
        without path and frame if the scores are per clip.
    """
    names = list(scores.classes)
    table = scores.table.assign(
        predicted=np.array(names)[scores.predicted], probability=scores.probabilities.max(axis=1)
    )
    wrong = table[scores.predicted != scores.actual].sort_values(
        ["probability", "face_id"], ascending=[False, True]
    )
    columns = ["path", "class", *CLIP_KEY, "frame", "predicted", "probability"]
    if scores.unit == "clip":
        columns = [name for name in columns if name not in ("path", "frame")]
    return wrong.drop_duplicates(CLIP_KEY)[columns].reset_index(drop=True)


def worst_clips(scores: Scores) -> pd.DataFrame:
    """Return the frames of the clips with the largest mean error of P(fake), worst first.

    Returns:
        Columns `clip` (name for display), `frame`, `p_fake`.
    """
    table = scores.table.assign(p_fake=scores.p_fake, wrong=abs(scores.p_fake - scores.is_fake))
    table = table[table["compression"] != STILL]
    table = table.assign(mean=table.groupby(CLIP_KEY)["wrong"].transform("mean"))
    table = table.sort_values(["mean", *CLIP_KEY, "frame"], ascending=[False, *[True] * 4])
    names = table["category"].str.cat([table["compression"], table["clip"]], sep=", ")
    return table.assign(clip=names)[["clip", "frame", "p_fake"]].reset_index(drop=True)


def classification_report(evaluation: Evaluation) -> str:
    """Return scikit-learn's table of precision, recall and F1 of the classes with samples."""
    from sklearn.metrics import classification_report as sklearn_report

    scores, names = evaluation.scores, list(evaluation.scores.classes)
    with_samples = np.unique(scores.actual)
    return sklearn_report(
        scores.actual,
        scores.predicted,
        labels=with_samples,
        target_names=[names[index] for index in with_samples],
        zero_division=0,
        digits=2,
    )
