"""A report as files: tables, figures and one self-contained page in a folder."""

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
    "frame": "Every crop of the split, stills included",
    "clip": "Means over the crops of a clip that are in the split, stills left out",
}
ERRORS_LISTED, ERRORS_SHOWN = 200, 12


def write_report(report: Report, faces: bool = True) -> None:
    """Write report.json, report.html, the tables as CSV and the figures as PNG and SVG.

    What the report before has written there goes first, so that none of it is taken for this
    one's; report.json names it.

    Args:
        report: what to write, and where to.
        faces: whether the page shows the most confident errors. The figures show no face.
    """
    files: dict[str, bytes] = {}
    for j in report.judgements:
        for name, table in _tables(j).items():
            files[f"{name}-{j.unit}.csv"] = table.to_csv().encode()
        files[f"classification-report-{j.unit}.txt"] = classification_report(j).encode()
    files["predictions.csv"] = _predictions(report).to_csv(index=False).encode()
    wrong = confident_errors(report.frames)
    files["errors.csv"] = wrong.head(ERRORS_LISTED).to_csv(index=False).encode()
    if report.robustness:
        files["robustness.csv"] = report.robustness.table.to_csv(index=False).encode()
    drawn = _figures(report)
    shown = faces and report.frames.unit == "frame"
    for name, figure in drawn.items():
        files |= {f"{name}.{kind}": curves.image(figure, kind) for kind in ("png", "svg")}
    files["report.html"] = formatting.rendered(
        "report.html",
        report=report,
        best_epoch=report.run.kept_epoch if report.run else None,
        kept=report.run.kept_row if report.run else {},
        units=UNITS,
        measures=MEASURES,
        level=LEVEL,
        few=FEW_GROUPS,
        figures={name: files[f"{name}.svg"] for name in drawn},
        errors=_with_faces(wrong.head(ERRORS_SHOWN), report.manifest) if shown else [],
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
    """The report as plain values: what report.json holds; nan becomes null."""
    run = report.run
    values: dict[str, Any] = {
        "provenance": report.provenance,
        "leaks": report.leaks,
        "remarks": report.remarks,
        "name": report.name,
        "split": report.split,
        "manifest": report.manifest.folder.resolve().name,
        "manifest_sha256": report.manifest.sha256,
        "operating": asdict(report.operating),
        "units": {j.unit: _judgement(j) for j in report.judgements},
        "shortcuts": [
            {"question": a.question, "auc": a.auc, "auc_scaled": a.auc_scaled}
            for a in report.shortcuts
        ],
    }
    if run:
        values |= {"arch": run.settings.arch, "epochs": len(run.log)}
        values |= {"best_epoch": run.kept_epoch, "checkpoint": run.checkpoint_sha256}
        values |= {"monitor": run.settings.monitor}
        values |= {"val_log_loss": run.kept_row.get("val_log_loss", math.nan)}
    if report.robustness:
        values["robustness"] = report.robustness.table.to_dict("records")
    return jsonable(values)


def _judgement(j: Evaluation) -> dict[str, Any]:
    return {
        "samples": j.samples,
        "groups": j.groups,
        "threshold": j.threshold,
        **{name: asdict(estimate) for name, estimate in j.measures.items()},
        "calibration_error": j.calibration_error,
        "calibration_error_tempered": j.calibration_error_tempered,
        "confusion": j.confusion.to_dict("index"),
        "per_class": j.per_class.to_dict("index"),
        "detection": j.detection.to_dict("index"),
        "manipulations": [asdict(row) for row in j.manipulations],
        "reals": [asdict(row) for row in j.reals],
    }


def _tables(j: Evaluation) -> dict[str, pd.DataFrame]:
    measures = pd.DataFrame({name: asdict(e) for name, e in j.measures.items()}).T
    return {
        "confusion": j.confusion,
        "confusion-percent": j.percent,
        "confusion-paper": j.in_paper_order.map(formatting.cell),
        "confusion-paper-starred": j.in_paper_order.map(formatting.starred),
        "per-class": j.per_class,
        "detection": j.detection,
        "measures": measures.rename_axis("measure"),
        "manipulations": flat(j.manipulations).rename_axis("row"),
        "reals": flat(j.reals).rename_axis("row"),
    }


def _predictions(report: Report) -> pd.DataFrame:
    """What was judged, and what the threshold was chosen on, as `--predictions` reads it."""
    parts = [report.frames.table.assign(split=report.split)]
    if report.validation and report.split != "val":
        parts.append(report.validation.table.assign(split="val"))
    columns = [f"{PREFIX}{name}" for name in report.frames.classes]
    named = ["face_id", "path"] if report.frames.unit == "frame" else CLIP_KEY
    table = pd.concat(parts)[[*named, "split", *columns]]
    return table.astype(dict.fromkeys(columns, "float64"))  # exactly, with every digit


def _figures(report: Report) -> dict[str, Figure]:
    drawn: dict[str, Figure] = {}
    for j in report.judgements:
        title = f"per {j.unit}, per cent of each row"
        drawn[f"confusion-{j.unit}"] = figures.heat_map(
            j.in_paper_order, j.in_paper_order.map(formatting.rounded), title
        )
        drawn[f"roc-{j.unit}"] = figures.roc(j)
        drawn[f"precision-recall-{j.unit}"] = figures.precision_recall(j)
        drawn[f"calibration-{j.unit}"] = figures.calibration(j, report.operating.temperature)
    worst = worst_clips(report.frames)
    if len(worst) and report.frames.unit == "frame":
        drawn["clips-over-time"] = figures.over_time(worst, report.operating.clip_threshold)
    if report.run:
        drawn["learning"] = curves.learning(report.run.log, report.run.kept_epoch)
    if report.robustness:
        title = "loss of AUC against originals"
        drawn["robustness"] = figures.losses(report.robustness.losses, title)
    return drawn


def _with_faces(wrong: pd.DataFrame, manifest: Manifest) -> list[tuple[dict[str, Any], Image]]:
    rows = []
    for row in wrong.to_dict("records"):
        face = read_image(path_within(manifest.root, row["path"]))
        if face is not None:  # the tables stand without it
            rows.append((row, face))
    return rows


def confident_errors(scores: Scores) -> pd.DataFrame:
    """The wrong predictions with the highest probability, one of each clip.

    Returns:
        Columns path, class, category, compression, clip, frame, predicted (a class), probability;
        of scores of whole clips neither path nor frame.
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
    """The frames of the clips whose mean P(fake) is furthest from the truth, worst first.

    Returns:
        Columns `clip` (as it is to be shown), `frame`, `p_fake`.
    """
    table = scores.table.assign(p_fake=scores.p_fake, wrong=abs(scores.p_fake - scores.is_fake))
    table = table[table["compression"] != STILL]
    table = table.assign(mean=table.groupby(CLIP_KEY)["wrong"].transform("mean"))
    table = table.sort_values(["mean", *CLIP_KEY, "frame"], ascending=[False, *[True] * 4])
    names = table["category"].str.cat([table["compression"], table["clip"]], sep=", ")
    return table.assign(clip=names)[["clip", "frame", "p_fake"]].reset_index(drop=True)


def classification_report(judgement: Evaluation) -> str:
    """Scikit-learn's table of precision, recall and F1, as plain text."""
    from sklearn.metrics import classification_report as printed

    scores, names = judgement.scores, list(judgement.scores.classes)
    return printed(
        scores.actual,
        scores.predicted,
        labels=range(len(names)),
        target_names=names,
        zero_division=0,
        digits=2,
    )
