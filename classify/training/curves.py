"""Figures of a training or a search, and figures as files."""

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
    """An empty figure of some inches and its axes, one or an array of them."""
    from matplotlib.figure import Figure

    made = Figure((width, height), layout="constrained")
    return made, made.subplots(rows, columns)


def image(figure: Figure, kind: str) -> bytes:
    """A figure as a PNG or SVG file; the same figure gives the same bytes."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "classify"}):
        when = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=when)
    return buffer.getvalue()


def learning(log: pd.DataFrame, kept: int) -> Figure:
    """Loss, log loss and accuracy over the epochs, training and, where there is one, validation.

    Args:
        log: columns as in `checkpoints.Epoch`; without `log_loss` where it is older than that.
        kept: the epoch, counted from 1, whose network was kept.
    """
    names = [name for name in ("loss", "log_loss", "accuracy") if name in log]
    made, panels = figure(4 * len(names), 3, 1, len(names))
    for axes, name in zip(panels, names, strict=True):
        axes.plot(log["epoch"] + 1, log[name], marker=".", label="train")
        if f"val_{name}" in log:
            axes.plot(log["epoch"] + 1, log[f"val_{name}"], marker=".", label="validation")
        axes.axvline(kept, color="grey", linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
        axes.legend(frameon=False)
    return made


def trials(table: pd.DataFrame, measure: str, names: Sequence[str]) -> Figure:
    """What every trial of a search was worth, over each setting that was varied."""
    made, panels = figure(3 * len(names), 3, 1, len(names))
    for axes, name in zip(np.atleast_1d(panels), names, strict=True):
        values = table[name].astype(str) if name != "learning_rate" else table[name]
        axes.scatter(values, table[measure], alpha=0.7)
        axes.set(xlabel=name, ylabel=measure)
        if name == "learning_rate":
            axes.set_xscale("log")
        else:
            axes.tick_params(axis="x", rotation=35)
    return made
