"""Figures of a training run or a search, and their image files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 140


def figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """Return an empty figure, its size in inches, and its axes: one, or an array of them."""
    from matplotlib.figure import Figure

    empty = Figure((width, height), layout="constrained")
    return empty, empty.subplots(rows, columns)


def image(figure: Figure, kind: str) -> bytes:
    """Encode a figure as PNG or SVG; the same figure gives the same bytes."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "classify"}):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def learning(log: pd.DataFrame, selected: int) -> Figure:
    """Plot loss, log loss and accuracy over the epochs, for training and, if any, validation.

    Args:
        log: columns as in `checkpoints.Epoch`; older logs have no `log_loss`.
        selected: the epoch in best.keras, counted from 1.
    """
    names = [name for name in ("loss", "log_loss", "accuracy") if name in log]
    drawn, panels = figure(4 * len(names), 3, 1, len(names))
    for axes, name in zip(panels, names, strict=True):
        axes.plot(log["epoch"] + 1, log[name], marker=".", label="train")
        if f"val_{name}" in log:
            axes.plot(log["epoch"] + 1, log[f"val_{name}"], marker=".", label="validation")
        axes.axvline(selected, color="grey", linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
        axes.legend(frameon=False)
    return drawn


def trials(table: pd.DataFrame, measure: str, names: Sequence[str]) -> Figure:
    """Plot a validation metric of every trial of a search over each varied setting."""
    drawn, panels = figure(3 * len(names), 3, 1, len(names))
    for axes, name in zip(np.atleast_1d(panels), names, strict=True):
        values = table[name].astype(str) if name != "learning_rate" else table[name]
        axes.scatter(values, table[measure], alpha=0.7)
        axes.set(xlabel=name, ylabel=measure)
        if name == "learning_rate":
            axes.set_xscale("log")
        else:
            axes.tick_params(axis="x", rotation=35)
    return drawn
