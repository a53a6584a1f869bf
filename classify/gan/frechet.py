"""How far generated faces are from real ones, by a network that knows neither.

The Fréchet Inception distance (Heusel et al., 2017) fits a normal distribution to Inception's
features of each and measures their distance. Here the features are EfficientNetB0's, whose weights
this project uses anyway: the figures are no FID and cannot be set beside published ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from classify.data.pack import scaled
from classify.evaluation.predict import predict_probabilities
from classify.models import build

if TYPE_CHECKING:
    import keras

SIZE = 128  # of the pictures that the features are taken of, in pixels

Floats = npt.NDArray[np.floating]


def feature_network(weights: str) -> keras.Model:
    """EfficientNetB0 up to its pooled features: (n, 128, 128, 3) RGB of 0 to 255 to (n, 1280).

    Args:
        weights: "imagenet", or a file without top.

    Raises:
        DownloadError: they are not there and cannot be downloaded.
        ModelError: the file does not fit.
    """
    import keras

    whole = build("efficientnetb0", 2, SIZE, weights, "gap")
    return keras.Model(whole.input, whole.layers[-2].output, name="features")


def features(network: keras.Model, images: npt.NDArray[np.uint8]) -> Floats:
    """What `feature_network` makes of (n, size, size, 3) uint8 RGB: (n, 1280)."""
    return predict_probabilities(network, np.stack([scaled(image, SIZE) for image in images]))


def frechet_distance(one: Floats, other: Floats) -> float:
    """The squared Fréchet distance of two normal distributions, fitted to (n, d) and (m, d) rows.

    |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½). With C = FᵀF for centred rows F, the last trace is the
    sum of the singular values of F₁ F₂ᵀ: exact, and quick where there are fewer rows than features.
    The fewer rows, the larger it is, also between equals: compare only at equal numbers.

    Raises:
        ValueError: fewer than two rows.

    >>> rows = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> round(frechet_distance(rows, rows), 6), round(frechet_distance(rows, rows + [3, 4]), 6)
    (0.0, 25.0)
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a distribution needs two rows or more")
    means, centred = [], []
    for rows in (one, other):
        mean = rows.mean(axis=0, dtype=np.float64)
        means.append(mean)
        centred.append((rows - mean) / np.sqrt(len(rows) - 1))
    spread = sum(float((rows**2).sum()) for rows in centred)
    shared = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    return float(((means[0] - means[1]) ** 2).sum() + spread - 2 * shared)
