"""The paper's base model: three separable convolutions and three dense layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def build(classes: int, size: int, weights: str, activation: str) -> keras.Model:
    """The network of the paper's section 4.1.1.

    The text has Dense 300, 128 and n, the listing Dense 300 and n; this is the text's.
    Neither gives the hidden layers an activation, which in Keras means linear; "relu" is
    what was probably meant. At 128² the first Dense layer holds 286 million weights.
    """
    import keras

    layers = [
        keras.Input((size, size, 3)),
        keras.layers.Rescaling(1 / 255),
        *(
            keras.layers.SeparableConv2D(filters, 3, activation=activation)
            for filters in (3, 24, 64)
        ),
        keras.layers.Flatten(),
        keras.layers.Dense(300, activation=activation),
        keras.layers.Dense(128, activation=activation),
        keras.layers.Dense(classes, activation="softmax"),
    ]
    return keras.Sequential(layers, name="baseline")
