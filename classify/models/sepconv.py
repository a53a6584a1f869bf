"""A small network in the baseline's spirit that learns in a minute on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def build(classes: int, size: int, weights: str, activation: str) -> keras.Model:
    """Separable convolutions with stride 2, batch norm, global average pooling."""
    import keras

    layers = [
        keras.Input((size, size, 3)),
        keras.layers.Rescaling(1 / 127.5, offset=-1),
        keras.layers.Conv2D(24, 5, strides=2, padding="same", use_bias=False),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.ReLU(),
    ]
    for filters in (48, 96, 128):
        layers += [
            keras.layers.SeparableConv2D(filters, 3, strides=2, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
        ]
    layers += [
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(classes, activation="softmax"),
    ]
    return keras.Sequential(layers, name="sepconv")
