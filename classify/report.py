"""Predictions to tables, a figure and one self-contained page."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from classify import metrics
from classify.curves import learning_figure
from classify.errors import ClassifyError
from classify.predict import PREFIX, predict_split
from classify.runs import Run, best_epoch
from ffpp_tools import probe
from ffpp_tools.files import write_atomically
from ffpp_tools.rows import STILL
from ffpp_tools.tables import Manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLIP_KEY = ["category", "compression", "clip"]  # four fakes may share one clip name
CHOSEN = {
    "test": "The checkpoint was chosen by validation loss; test chose nothing.",
    "val": "The checkpoint was chosen by the loss on this very split: these figures flatter.",
    "train": "The network was trained on this very split: these figures say what it memorised.",
}
CHOSEN_OF_REFIT = {
    "test": "The network was trained on train and val for a fixed time; nothing was chosen.",
    "val": CHOSEN["train"],
    "train": CHOSEN["train"],
}
UNITS = {
    "frame": "every crop, stills included",
    "clip": "mean over a clip's crops, stills left out",
}


@dataclass(frozen=True)
class Judgement:
    """How well one kind of unit, frames or clips, is classified."""

    unit: str  # "frame" or "clip"
    samples: int
    accuracy: float
    auc: float  # fake against real, fake positive
    confusion: pd.DataFrame  # counts, row per actual class
    per_class: pd.DataFrame  # precision, recall, f1, support
    by_category: pd.DataFrame  # what became of each manipulation and each kind of real

    @property
    def percent(self) -> pd.DataFrame:
        """The confusion in per cent of each row: the paper's Tables 4 and 6."""
        return metrics.row_percent(self.confusion)


@dataclass(frozen=True)
class Report:
    """Everything `classify report` says about a run."""

    run: Run
    split: str
    provenance: str  # what the figures may be trusted for; always the first line
    judgements: tuple[Judgement, ...]
    shortcuts: tuple[probe.Answer, ...]  # what cheap properties alone tell, by ffpp-audit

    @property
    def folder(self) -> Path:
        """Where the report's files lie: `report`, or `report-val` and `report-train`."""
        return self.run.folder / ("report" if self.split == "test" else f"report-{self.split}")


def make_report(run: Run, split: str = "test") -> Report:
    """Judge a run's best checkpoint on a split and write its report folder.

    Writes report.json, report.html, the tables as CSV and the figures as PNG.

    Raises:
        ClassifyError: an unknown split.
        RunError: no epoch was finished, or the manifest changed since training.
        PackError: a crop is missing.
    """
    if split not in CHOSEN:
        raise ClassifyError(f"unknown split {split!r}; choose from {', '.join(CHOSEN)}")
    predictions = predict_split(run, split)
    manifest = run.manifest
    classes = manifest.classes
    judgements = [judge(predictions, classes, "frame")]
    clips = clip_scores(predictions)
    if len(clips):
        judgements.append(judge(clips, classes, "clip"))
    shortcuts = tuple(probe.read(manifest))
    report = Report(run, split, _provenance(run, manifest, split), tuple(judgements), shortcuts)
    _write(report)
    return report


def clip_scores(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per clip: the mean probabilities of its crops. Stills are left out.

    A clip is identified by category, compression and name: `000_003` alone names four fakes.
    """
    clips = predictions[predictions["compression"] != STILL]
    scores = [c for c in predictions if c.startswith(PREFIX)]
    kept = dict.fromkeys(["class", "class_index", "label"], "first")
    return clips.groupby(CLIP_KEY, as_index=False).agg({**kept, **dict.fromkeys(scores, "mean")})


def judge(scored: pd.DataFrame, classes: dict[str, str], unit: str) -> Judgement:
    """Every measure of a table of probabilities.

    Args:
        scored: rows with category, compression, label, class_index and `p_<class>` columns.
        classes: class → "real" or "fake", in index order.
        unit: "frame" or "clip", for the record.
    """
    names = list(classes)
    probabilities = scored[[f"{PREFIX}{name}" for name in names]].to_numpy()
    actual = scored["class_index"].to_numpy()
    predicted = probabilities.argmax(axis=1)
    is_fake = (scored["label"] == "fake").to_numpy()
    p_fake = probabilities[:, [classes[name] == "fake" for name in names]].sum(axis=1)
    return Judgement(
        unit=unit,
        samples=len(scored),
        accuracy=metrics.accuracy(actual, predicted),
        auc=metrics.auc(is_fake, p_fake),
        confusion=metrics.confusion(actual, predicted, names),
        per_class=metrics.per_class(actual, predicted, names),
        by_category=_by_category(scored.assign(p_fake=p_fake, is_fake=is_fake)),
    )


def _by_category(scored: pd.DataFrame) -> pd.DataFrame:
    """A row per category and compression: how often it is called fake, and its own AUC.

    Each manipulation is set against Youtube of the same compression alone: easy stills among
    the reals would flatter every one of them.
    """
    rows = []
    for (category, compression), part in scored.groupby(["category", "compression"]):
        row = {
            "category": category,
            "compression": compression,
            "label": part["label"].iloc[0],
            "samples": len(part),
            "called_fake_percent": 100 * float((part["p_fake"] > 0.5).mean()),
            "auc_against_youtube": math.nan,
        }
        if row["label"] == "fake":
            own = (scored["category"] == "Youtube") & (scored["compression"] == compression)
            versus = pd.concat([part, scored[own]])
            row["auc_against_youtube"] = metrics.auc(versus["is_fake"], versus["p_fake"])
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["label", "category", "compression"], ignore_index=True)


def _provenance(run: Run, manifest: Manifest, split: str) -> str:
    chosen = CHOSEN_OF_REFIT if run.settings.refit else CHOSEN
    groups = manifest.info["groups"][split]
    behind = [f"its {kind} show {n} group(s) of people" for kind, n in groups.items() if n]
    said = f"{manifest.info['summary']}. In {split}, {', '.join(behind)}. {chosen[split]}"
    return f"{said} {run.borrowed}".strip()


def _write(report: Report) -> None:
    folder = report.folder
    figures = {}
    for j in report.judgements:
        for name, table in (
            ("confusion", j.confusion),
            ("confusion-percent", j.percent),
            ("per-class", j.per_class),
        ):
            write_atomically(folder / f"{name}-{j.unit}.csv", table.to_csv().encode())
        by_category = j.by_category.to_csv(index=False)
        write_atomically(folder / f"by-category-{j.unit}.csv", by_category.encode())
        figures[j.unit] = confusion_figure(j)
        write_atomically(folder / f"confusion-{j.unit}.png", _image(figures[j.unit], "png"))
    learning = learning_figure(report.run.log)
    write_atomically(folder / "learning.png", _image(learning, "png"))
    text = json.dumps(as_dict(report), indent=2, allow_nan=False) + "\n"
    write_atomically(folder / "report.json", text.encode())
    write_atomically(folder / "report.html", _html(report, figures, learning).encode())


def as_dict(report: Report) -> dict[str, Any]:
    """The report as plain values: what report.json holds; nan becomes null."""
    units = {
        j.unit: {
            "samples": j.samples,
            "accuracy": j.accuracy,
            "auc_fake_against_real": _number(j.auc),
            "confusion": j.confusion.to_dict("index"),
            "per_class": {
                name: {k: _number(v) for k, v in row.items()}
                for name, row in j.per_class.to_dict("index").items()
            },
            "by_category": [
                {k: _number(v) for k, v in row.items()} for row in j.by_category.to_dict("records")
            ],
        }
        for j in report.judgements
    }
    return {
        "provenance": report.provenance,
        "run": report.run.folder.name,
        "arch": report.run.settings.arch,
        "split": report.split,
        "epochs": len(report.run.log),
        "best_epoch": best_epoch(report.run.log),
        "units": units,
        "shortcuts": [
            {"question": a.question, "auc": _number(a.auc), "auc_scaled": _number(a.auc_scaled)}
            for a in report.shortcuts
        ],
    }


def confusion_figure(judgement: Judgement) -> Figure:
    """The confusion matrix in per cent as a heat map."""
    from matplotlib.figure import Figure

    percent = judgement.percent
    side = 2.2 + 0.75 * len(percent)
    figure = Figure(figsize=(side, side * 0.86), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(percent.fillna(0), cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(len(percent)), percent.columns, rotation=35, ha="right")
    axes.set_yticks(range(len(percent)), percent.index)
    axes.set(xlabel="predicted", ylabel="actual")
    axes.set_title(f"per {judgement.unit}, per cent of each row")
    for row in range(len(percent)):
        for column in range(len(percent)):
            value = percent.iloc[row, column]
            colour = "white" if value > 55 else "black"
            axes.text(column, row, cell(value), ha="center", va="center", color=colour)
    return figure


def cell(value: float) -> str:
    """A percentage as the paper prints it: N/A for none.

    >>> cell(98.8), cell(0), cell(100)
    ('98.8', 'N/A', '100')
    """
    return "N/A" if math.isnan(value) or value == 0 else f"{value:.2f}".rstrip("0").rstrip(".")


def number(value: float) -> str:
    """A measure between 0 and 1 with three digits; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _image(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=140)
    return buffer.getvalue()


def _html(report: Report, figures: dict[str, Figure], learning: Figure) -> str:
    from jinja2 import Environment

    def data_uri(figure: Figure) -> str:
        encoded = base64.b64encode(_image(figure, "svg")).decode()
        return f"data:image/svg+xml;base64,{encoded}"

    template = files("classify").joinpath("templates/report.html").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        report=report,
        settings=report.run.settings,
        epochs=len(report.run.log),
        best_epoch=best_epoch(report.run.log),
        units=UNITS,
        cell=cell,
        number=number,
        figures={unit: data_uri(figure) for unit, figure in figures.items()},
        learning=data_uri(learning),
    )
