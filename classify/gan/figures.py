"""Figures of a DCGAN's training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.gan.collapse import COLLAPSED
from classify.training.curves import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLES = 5  # faces shown per epoch


def epoch(number: int, samples: npt.NDArray[np.uint8], losses: pd.DataFrame) -> Figure:
    """Plot generated faces above both losses over the batches of an epoch.

    Args:
        number: of the epoch, from 1.
        samples: (n, size, size, 3) uint8 RGB, always from the same noise.
        losses: a row per batch, columns generator_loss and discriminator_loss.
    """
    drawn, panels = figure(8, 4.2, 2, 1)
    row = np.concatenate(list(samples), axis=1)
    panels[0].imshow(row, interpolation="nearest")
    panels[0].set_axis_off()
    panels[0].set_title(f"epoch {number}")
    _losses(panels[1], losses, np.arange(len(losses)) + 1, "batch")
    return drawn


def course(log: pd.DataFrame) -> Figure:
    """Plot losses, the discriminator's accuracy and the diversity over the epochs."""
    drawn, panels = figure(8, 7, 3, 1)
    epochs = log["epoch"] + 1
    _losses(panels[0], log, epochs, "epoch")
    for name in ("real", "generated"):
        panels[1].plot(epochs, log[f"{name}_accuracy"], label=f"{name} pictures")
    panels[1].axhline(0.5, color="grey", linestyle=":")
    panels[1].set(xlabel="epoch", ylabel="discriminator's accuracy", ylim=(0, 1.05))
    panels[2].plot(epochs, log["diversity"], label="generated ÷ real")
    panels[2].axhline(COLLAPSED, color="grey", linestyle=":", label="collapsed below")
    panels[2].set(xlabel="epoch", ylabel="diversity", ylim=(0, None))
    for axes in panels[1:]:
        axes.legend(frameon=False)
    return drawn


def _losses(axes: Axes, table: pd.DataFrame, x: Any, xlabel: str) -> None:
    for name in ("generator", "discriminator"):
        axes.plot(x, table[f"{name}_loss"], label=name)
    axes.set(xlabel=xlabel, ylabel="binary cross-entropy")
    axes.legend(frameon=False)
