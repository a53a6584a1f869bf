"""Mode collapse and a stalled generator, which loss curves do not show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist

from classify.reporting.formatting import decimals, percent

WATCHED = 64  # generated images, always from the same noise, and as many real ones
COLLAPSED = 0.5  # mode collapse below this fraction of the diversity of real images
UNFOOLED = 0.99  # discriminator accuracy above which the generator gets no useful gradient


@dataclass(frozen=True, kw_only=True)
class GanEpoch:
    """A row of log.csv."""

    epoch: int  # from 0
    generator_loss: float  # means over the epoch, binary cross-entropy
    discriminator_loss: float  # sum over real and generated images
    real_accuracy: float  # of the discriminator on real images
    generated_accuracy: float  # of the discriminator on generated images
    diversity: float  # of the watched images, as a fraction of that of real ones (`diversity`)
    images_per_second: float
    seconds: float


def diversity(images: npt.NDArray[np.uint8]) -> float:
    """Return the root mean square difference of two images, averaged over all pairs.

    It is 0 for copies of one image. As a distance of pixels it detects a collapse to few faces, but
    not faces that are merely similar.

    Args:
        images: (n, h, w, 3) uint8 RGB, two or more.

    Returns:
        Grey levels, from 0 to 255.

    >>> round(diversity(np.array([[[[0] * 3]], [[[30] * 3]]], np.uint8)), 6)
    30.0
    """
    flat = images.reshape(len(images), -1).astype(np.float64)
    return float(pdist(flat).mean() / np.sqrt(flat.shape[1]))


def remarks(last: GanEpoch) -> list[str]:
    """Return warnings about the state of training after an epoch, as sentences; often none."""
    epochs, warnings = int(last.epoch) + 1, []
    if last.diversity < COLLAPSED:
        warnings.append(
            f"COLLAPSED: after epoch {epochs} the generated faces are only "
            f"{decimals(100 * last.diversity, 0)} % as diverse as real ones."
        )
    if min(last.real_accuracy, last.generated_accuracy) > UNFOOLED:
        warnings.append(
            f"NOT FOOLED: in epoch {epochs} the discriminator detected "
            f"{percent(last.generated_accuracy)} % of the generated faces; the generator "
            f"gets no useful gradient."
        )
    return warnings
