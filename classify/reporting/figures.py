"""Figures of reports. Each function returns a figure and neither shows nor writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from classify.evaluation import metrics
from classify.training.curves import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from classify.evaluation.evaluate import Evaluation

CLIPS_SHOWN = 6
# Paul Tol's bright scheme: distinguishable by colour-blind readers and in greyscale.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")


def cost(table: pd.DataFrame) -> Figure:
    """Plot accuracy of runs over time per image; discs grow with the number of parameters."""
    drawing, axes = figure(7, 4.6)
    time_ms = 1000 / table["images_per_second"]
    sizes = 30 + 600 * table["parameters"] / table["parameters"].max()
    axes.scatter(time_ms, 100 * table["accuracy"], s=sizes, alpha=0.5, color=COLOURS[0])
    for i, (x, y) in enumerate(zip(time_ms, 100 * table["accuracy"], strict=True)):
        offset = (0, 8 if i % 2 else -14)  # alternates, so that labels of neighbours do not overlap
        name = table["run"].iloc[i]
        axes.annotate(
            name, (x, y), xytext=offset, textcoords="offset points", fontsize="small", ha="center"
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set(xlabel="milliseconds per image, on this machine", ylabel="accuracy, %")
    axes.margins(0.2)
    return drawing


def heat_map(table: pd.DataFrame, cells: pd.DataFrame, title: str, top: float = 100) -> Figure:
    """Plot a table as colours from 0 to `top`, with the text of `cells` in it."""
    drawing, axes = figure(2.2 + 0.75 * table.shape[1], 1.8 + 0.62 * table.shape[0])
    axes.imshow(table.fillna(0), cmap="Blues", vmin=0, vmax=top, aspect="auto")
    axes.set_xticks(range(table.shape[1]), table.columns, rotation=35, ha="right")
    axes.set_yticks(range(table.shape[0]), table.index)
    axes.set(xlabel=table.columns.name, ylabel=table.index.name)
    axes.set_title(title)
    for row in range(table.shape[0]):
        for column in range(table.shape[1]):
            colour = "white" if table.iloc[row, column] > 0.55 * top else "black"
            text = cells.iloc[row, column]
            axes.text(column, row, text, ha="center", va="center", color=colour)
    return drawing


def roc(evaluation: Evaluation) -> Figure:
    """Plot the ROC curve of each manipulation against its originals, and of all fakes and reals."""
    drawing, axes = figure(5, 4.6)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    for name, curve, style in _curves(evaluation):
        axes.plot(curve.fpr[0], curve.recall[0], label=name, **style)
    axes.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
        title=f"ROC, per {evaluation.unit}",
    )
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    return drawing


def precision_recall(evaluation: Evaluation) -> Figure:
    """Plot the precision-recall curves of the same fakes and reals as `roc`."""
    drawing, axes = figure(5, 4.6)
    for name, curve, style in _curves(evaluation):
        axes.plot(curve.recall[0], curve.precision[0], label=name, **style)
    axes.set(xlabel="recall of fakes", ylabel="precision", ylim=(0, 1.05))
    axes.set_title(f"Precision and recall, per {evaluation.unit}")
    axes.legend(frameon=False, fontsize="small", loc="lower left")
    return drawing


def calibration(evaluation: Evaluation, temperature: float) -> Figure:
    """Plot the observed share of fakes over P(fake), before and after temperature scaling."""
    from classify.evaluation.scores import p_fake
    from classify.reporting.formatting import number

    scores = evaluation.scores
    drawing, axes = figure(5, 4.6)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    tempered = p_fake(metrics.tempered(scores.probabilities, temperature), scores.classes)
    after = f"temperature {number(temperature)}"
    for name, values in (("uncalibrated", scores.p_fake), (after, tempered)):
        bins = metrics.reliability(scores.is_fake, values)
        axes.plot(bins["probability"], bins["happened"], marker="o", label=name)
    axes.set(
        xlabel="P(fake)",
        ylabel="observed share of fakes",
        title=f"Calibration, per {evaluation.unit}",
    )
    axes.legend(frameon=False)
    return drawing


def over_time(frames: pd.DataFrame, threshold: float) -> Figure:
    """Plot P(fake) over the frames of clips, one panel per clip.

    Args:
        frames: columns `clip` (name for display), `frame`, `p_fake`.
        threshold: decision threshold of P(fake).
    """
    names = list(frames["clip"].unique())[:CLIPS_SHOWN]
    drawing, panels = figure(8, 1 + 1.1 * len(names), len(names), 1)
    for axes, name in zip(np.atleast_1d(panels), names, strict=True):
        rows = frames[frames["clip"] == name].sort_values("frame")
        axes.plot(rows["frame"], rows["p_fake"], marker=".", color=COLOURS[0])
        _threshold(axes, threshold)
        axes.set_title(name, fontsize="small", loc="left")
    np.atleast_1d(panels)[-1].set_xlabel("frame")
    return drawing


def timeline(frames: pd.DataFrame, threshold: float) -> Figure:
    """Plot P(fake) of every person in one video over time.

    Args:
        frames: columns `person`, `time_s`, `p_fake`.
        threshold: decision threshold of P(fake) per clip.
    """
    drawing, axes = figure(8, 2.8)
    for number, (person, rows) in enumerate(frames.groupby("person")):
        colour = COLOURS[number % len(COLOURS)]
        label = f"person {person}"
        axes.plot(rows["time_s"], rows["p_fake"], marker=".", color=colour, label=label)
    _threshold(axes, threshold)
    axes.set(xlabel="seconds", ylabel="P(fake)")
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return drawing


def losses(table: pd.DataFrame, title: str) -> Figure:
    """Plot bars for every row of a table, one colour per column; `title` labels their axis."""
    drawing, axes = figure(8, 1 + 0.2 * len(table) + 0.06 * table.size)
    height = 0.8 / table.shape[1]
    for number, name in enumerate(table.columns):
        positions = np.arange(len(table)) + (number - (table.shape[1] - 1) / 2) * height
        axes.barh(positions, table[name], height, label=name, color=COLOURS[number % len(COLOURS)])
    axes.set_yticks(range(len(table)), table.index)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel=title)
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return drawing


def _curves(evaluation: Evaluation) -> list[tuple[str, metrics.ThresholdCurve, dict[str, Any]]]:
    """Return name, curve and line style of each manipulation and of all fakes and reals."""
    from classify.evaluation.evaluate import with_originals

    scores = evaluation.scores
    curves = []
    for number, ((category, compression), rows) in enumerate(with_originals(scores)):
        curve = metrics.threshold_curve(scores.is_fake[rows], scores.p_fake[rows])
        style = {"color": COLOURS[number % len(COLOURS)]}
        curves.append((f"{category} {compression}", curve, style))
    if len(set(scores.is_fake)) == 2:
        overall = metrics.threshold_curve(scores.is_fake, scores.p_fake)
        curves.append(("all, against all reals", overall, {"color": "black", "linestyle": "--"}))
    return curves


def _threshold(axes: Axes, threshold: float) -> None:
    axes.axhline(threshold, color="grey", linestyle=":", linewidth=1)
    axes.set_ylim(-0.05, 1.05)
