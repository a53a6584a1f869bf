"""Whether a generator still makes different faces, and learns: what a loss curve does not tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist

from classify.reporting.formatting import decimals, percent

WATCHED = 64  # generated pictures, always of the same noise, and as many real ones
COLLAPSED = 0.5  # below this share of the real pictures' diversity a generator has collapsed
UNFOOLED = 0.99  # above this accuracy on both sides the discriminator teaches nothing any more


@dataclass(frozen=True, kw_only=True)
class GanEpoch:
    """A row of log.csv."""

    epoch: int  # from 0
    generator_loss: float  # means over the epoch, binary cross-entropy
    discriminator_loss: float  # of real and of generated pictures, added up
    real_accuracy: float  # of the discriminator: real pictures called real
    generated_accuracy: float  # generated pictures called generated
    diversity: float  # of the watched pictures, as a share of real ones' (`diversity`)
    images_per_second: float
    seconds: float


def diversity(images: npt.NDArray[np.uint8]) -> float:
    """How different pictures are: the root mean square difference of two, averaged over all pairs.

    Of the same picture over and over it is 0, whatever the picture. It is a distance of pixels, and
    sees a generator collapse to few faces, not faces that are merely alike.

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
    """What is wrong with a training as it stands after an epoch, in sentences; often none."""
    epochs, found = int(last.epoch) + 1, []
    if last.diversity < COLLAPSED:
        found.append(
            f"COLLAPSED: after epoch {epochs} the generated faces are only "
            f"{decimals(100 * last.diversity, 0)} % as diverse as real ones."
        )
    if min(last.real_accuracy, last.generated_accuracy) > UNFOOLED:
        found.append(
            f"NOT FOOLED: in epoch {epochs} the discriminator knew "
            f"{percent(last.generated_accuracy)} % of the generated faces; the generator "
            f"learns next to nothing from that."
        )
    return found
