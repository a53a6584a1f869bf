"""EfficientNetB0 with the paper's head."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classify.errors import ModelError

if TYPE_CHECKING:
    import keras

# ImageNet's standard deviations (RGB, of values from 0 to 1).
DEVIATIONS = (0.229, 0.224, 0.225)


def build(classes: int, size: int, weights: str, activation: str) -> keras.Model:
    """The network of the paper's section 4.1.2, every layer trainable.

    Keras's EfficientNetB0 scales and normalises raw 0–255 RGB itself, in a layer of seven
    numbers that the paper's `efficientnet` package leaves to the caller.
    """
    import keras

    penalty = keras.regularizers.L1L2(l1=0.001, l2=0.001)
    layers = [keras.Input((size, size, 3)), _backbone(size, weights)]
    for _ in range(2):
        layers += [
            keras.layers.Dense(300, activation="relu", kernel_regularizer=penalty),
            keras.layers.Dropout(0.2),
        ]
    layers.append(keras.layers.Dense(classes, activation="softmax"))
    return keras.Sequential(layers, name="efficientnetb0")


def _backbone(size: int, weights: str) -> keras.Model:
    """B0 without top and with max pooling: (n, size, size, 3) → (n, 1280)."""
    import keras

    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ModelError(f"weights file {weights} does not exist; pass a path, imagenet or none")
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that a file does not hold and leaves them at random.
            warnings.filterwarnings("error", "Skipping nested container", UserWarning)
            backbone = keras.applications.EfficientNetB0(
                include_top=False,
                weights=None if weights == "none" else weights,
                input_shape=(size, size, 3),
                pooling="max",
            )
    except Exception as error:  # Keras raises a bare Exception when a download fails
        if "URL fetch failure" in str(error):
            raise ModelError(
                "the ImageNet weights cannot be downloaded (no network?). Where there is one, "
                "fetch efficientnetb0_notop.h5 from https://storage.googleapis.com/"
                "keras-applications/ and pass --weights PATH, or train from nothing with "
                "--weights none."
            ) from error
        if isinstance(error, ValueError | OSError | KeyError | UserWarning) and weights != "none":
            raise ModelError(
                f"{weights}: not the weights of EfficientNetB0 without top ({error})"
            ) from error
        raise
    if Path(weights).is_file():
        _correct_variance(backbone)
    return backbone


def _correct_variance(backbone: keras.Model) -> None:
    """Make a normalisation that was loaded from a file divide by the standard deviation.

    The weights that Keras publishes hold the deviation where the variance belongs. Keras makes
    up for it with a layer of its own, but only when it downloads them itself.
    """
    import keras

    layer = next(x for x in backbone.layers if isinstance(x, keras.layers.Normalization))
    mean, variance, count = layer.get_weights()
    if np.allclose(variance, DEVIATIONS, atol=1e-4):
        layer.set_weights([mean, np.square(variance), count])
        layer.finalize_state()
