"""Fréchet distance between generated and real faces, in features of an unrelated network.

The Fréchet Inception distance (Heusel et al., 2017) fits a normal distribution to the Inception
features of each set and computes the distance between them. Here the features are EfficientNetB0's,
whose weights this project uses anyway: the values are not FIDs and not comparable to published
ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from classify.evaluation.predict import predict_probabilities
from classify.models import build
from ffpp_tools.loading.crop_files import scaled

if TYPE_CHECKING:
    import keras

SIZE = 128  # side of the images for the features, in pixels

Floats = npt.NDArray[np.floating]


def feature_network(weights: str) -> keras.Model:
    """Return EfficientNetB0 up to its pooled features.

    It maps (n, 128, 128, 3) RGB from 0 to 255 to (n, 1280).

    Args:
        weights: "imagenet", or a file without top.

    Raises:
        DownloadError: the weights are missing and cannot be downloaded.
        ModelError: the file does not fit.
    """
    import keras

    classifier = build("efficientnetb0", 2, SIZE, weights, "gap")
    return keras.Model(classifier.input, classifier.layers[-2].output, name="features")


def features(network: keras.Model, images: npt.NDArray[np.uint8]) -> Floats:
    """Return the (n, 1280) features of (n, size, size, 3) uint8 RGB by `feature_network`."""
    return predict_probabilities(network, np.stack([scaled(image, SIZE) for image in images]))


def frechet_distance(one: Floats, other: Floats) -> float:
    """Return the squared Fréchet distance of normal distributions fitted to (n, d) and (m, d) rows.

    |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½). With C = FᵀF for centred rows F, the last trace is the
    sum of the singular values of F₁ F₂ᵀ: exact, and fast if there are fewer rows than features.
    Fewer rows give larger distances, even for equal distributions: compare only at equal numbers.

    Raises:
        ValueError: fewer than two rows.

    >>> rows = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> round(frechet_distance(rows, rows), 6), round(frechet_distance(rows, rows + [3, 4]), 6)
    (0.0, 25.0)
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a distribution needs at least two rows")
    means, centred = [], []
    for rows in (one, other):
        mean = rows.mean(axis=0, dtype=np.float64)
        means.append(mean)
        centred.append((rows - mean) / np.sqrt(len(rows) - 1))
    spread = sum(float((rows**2).sum()) for rows in centred)
    shared = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    return float(((means[0] - means[1]) ** 2).sum() + spread - 2 * shared)
