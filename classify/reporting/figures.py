"""What a report draws. Every function returns a figure; nothing is shown or written here."""

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
# Paul Tol's bright scheme: told apart by the colour-blind and in grey.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")


def cost(table: pd.DataFrame) -> Figure:
    """The accuracy of runs over the time an image takes; the area is that of the parameters."""
    made, axes = figure(7, 4.6)
    took = 1000 / table["images_per_second"]
    sizes = 30 + 600 * table["parameters"] / table["parameters"].max()
    axes.scatter(took, 100 * table["accuracy"], s=sizes, alpha=0.5, color=COLOURS[0])
    for i, (x, y) in enumerate(zip(took, 100 * table["accuracy"], strict=True)):
        above = (0, 8 if i % 2 else -14)  # neighbours of much the same accuracy stay legible
        name = table["run"].iloc[i]
        axes.annotate(
            name, (x, y), xytext=above, textcoords="offset points", fontsize="small", ha="center"
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set(xlabel="milliseconds per image, on this machine", ylabel="accuracy, %")
    axes.margins(0.2)
    return made


def heat_map(table: pd.DataFrame, cells: pd.DataFrame, title: str, top: float = 100) -> Figure:
    """A table as colours from 0 to `top`, with its cells written into it."""
    made, axes = figure(2.2 + 0.75 * table.shape[1], 1.8 + 0.62 * table.shape[0])
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
    return made


def roc(judgement: Evaluation) -> Figure:
    """The ROC curve of each manipulation against its originals, and of all against all."""
    made, axes = figure(5, 4.6)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    for name, curve, style in _curves(judgement):
        axes.plot(curve.fpr[0], curve.recall[0], label=name, **style)
    axes.set(
        xlabel="reals called fake", ylabel="fakes called fake", title=f"ROC, per {judgement.unit}"
    )
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    return made


def precision_recall(judgement: Evaluation) -> Figure:
    """The precision-recall curves of the same."""
    made, axes = figure(5, 4.6)
    for name, curve, style in _curves(judgement):
        axes.plot(curve.recall[0], curve.precision[0], label=name, **style)
    axes.set(xlabel="recall: fakes called fake", ylabel="precision: fakes among the called")
    axes.set(ylim=(0, 1.05), title=f"Precision and recall, per {judgement.unit}")
    axes.legend(frameon=False, fontsize="small", loc="lower left")
    return made


def calibration(judgement: Evaluation, temperature: float) -> Figure:
    """How often what was given some P(fake) is fake, before and after temperature scaling."""
    from classify.evaluation.scores import p_fake
    from classify.reporting.formatting import number

    scores = judgement.scores
    made, axes = figure(5, 4.6)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    tempered = p_fake(metrics.tempered(scores.probabilities, temperature), scores.classes)
    after = f"temperature {number(temperature)}"
    for name, values in (("as they are", scores.p_fake), (after, tempered)):
        bins = metrics.reliability(scores.is_fake, values)
        axes.plot(bins["probability"], bins["happened"], marker="o", label=name)
    axes.set(
        xlabel="P(fake)", ylabel="share that is fake", title=f"Calibration, per {judgement.unit}"
    )
    axes.legend(frameon=False)
    return made


def over_time(frames: pd.DataFrame, threshold: float) -> Figure:
    """P(fake) over the frames of clips, a panel for each.

    Args:
        frames: columns `clip` (its name as it is to be shown), `frame`, `p_fake`.
        threshold: of P(fake).
    """
    names = list(frames["clip"].unique())[:CLIPS_SHOWN]
    made, panels = figure(8, 1 + 1.1 * len(names), len(names), 1)
    for axes, name in zip(np.atleast_1d(panels), names, strict=True):
        rows = frames[frames["clip"] == name].sort_values("frame")
        axes.plot(rows["frame"], rows["p_fake"], marker=".", color=COLOURS[0])
        _threshold(axes, threshold)
        axes.set_title(name, fontsize="small", loc="left")
    np.atleast_1d(panels)[-1].set_xlabel("frame")
    return made


def timeline(frames: pd.DataFrame, threshold: float) -> Figure:
    """P(fake) of every person of one video over time.

    Args:
        frames: columns `person`, `time_s`, `p_fake`.
        threshold: of P(fake) of a clip.
    """
    made, axes = figure(8, 2.8)
    for number, (person, rows) in enumerate(frames.groupby("person")):
        colour = COLOURS[number % len(COLOURS)]
        label = f"person {person}"
        axes.plot(rows["time_s"], rows["p_fake"], marker=".", color=colour, label=label)
    _threshold(axes, threshold)
    axes.set(xlabel="seconds", ylabel="P(fake)")
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return made


def losses(table: pd.DataFrame, title: str) -> Figure:
    """Bars for every row of a table, a colour for each column; `title` is what they count."""
    made, axes = figure(8, 1 + 0.2 * len(table) + 0.06 * table.size)
    height = 0.8 / table.shape[1]
    for number, name in enumerate(table.columns):
        at = np.arange(len(table)) + (number - (table.shape[1] - 1) / 2) * height
        axes.barh(at, table[name], height, label=name, color=COLOURS[number % len(COLOURS)])
    axes.set_yticks(range(len(table)), table.index)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel=title)
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return made


def _curves(judgement: Evaluation) -> list[tuple[str, metrics.ThresholdCurve, dict[str, Any]]]:
    from classify.evaluation.evaluate import with_originals

    scores = judgement.scores
    found = []
    for number, ((category, compression), rows) in enumerate(with_originals(scores)):
        curve = metrics.threshold_curve(scores.is_fake[rows], scores.p_fake[rows])
        style = {"color": COLOURS[number % len(COLOURS)]}
        found.append((f"{category} {compression}", curve, style))
    if len(set(scores.is_fake)) == 2:
        everything = metrics.threshold_curve(scores.is_fake, scores.p_fake)
        found.append(("all, against all reals", everything, {"color": "black", "linestyle": "--"}))
    return found


def _threshold(axes: Axes, threshold: float) -> None:
    axes.axhline(threshold, color="grey", linestyle=":", linewidth=1)
    axes.set_ylim(-0.05, 1.05)
