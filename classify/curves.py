"""The learning curves of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classify.runs import best_epoch

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def learning_figure(log: pd.DataFrame) -> Figure:
    """Loss and accuracy over the epochs, training and, where there is one, validation."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(log["epoch"] + 1, log[name], marker=".", label="train")
        if f"val_{name}" in log:
            axes.plot(log["epoch"] + 1, log[f"val_{name}"], marker=".", label="validation")
        axes.axvline(best_epoch(log), color="grey", linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=name)
        axes.legend(frameon=False)
    return figure
