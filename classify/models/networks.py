"""Networks that are trained from scratch: the paper's baseline, a small one, published CNNs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def baseline(activation: str) -> list[keras.Layer]:
    """The base model of the paper's section 4.1.1: three separable convolutions, two dense layers.

    The text has Dense 300, 128 and n, the listing Dense 300 and n; this follows the text.
    Neither gives the hidden layers an activation, which in Keras means linear; "relu" was
    probably meant. At 128² the first Dense layer holds 286 million weights.
    """
    import keras

    return [
        keras.layers.Rescaling(1 / 255),
        *(
            keras.layers.SeparableConv2D(filters, 3, activation=activation)
            for filters in (3, 24, 64)
        ),
        keras.layers.Flatten(),
        keras.layers.Dense(300, activation=activation),
        keras.layers.Dense(128, activation=activation),
    ]


def sepconv() -> list[keras.Layer]:
    """A small network similar to the baseline that trains in a minute on a CPU.

    Separable convolutions with stride 2, batch norm, global average pooling.
    """
    import keras

    layers = [
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
    return [*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.2)]


def cnn3() -> list[keras.Layer]:
    """The CNN of *Deepfake detection* on the 140k faces: 32-64-64, Dropout 0.2, Dense 64.

    Its listing has `input_shape=(256, 3)`, which no Conv2D accepts: 256 × 256 × 3 is meant. It
    ends in one sigmoid (`output="sigmoid"`).
    """
    import keras

    return [
        keras.layers.Rescaling(1 / 255),
        *_pooled((32, 64, 64)),
        keras.layers.Dropout(0.2),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.2),
    ]


def cnn6() -> list[keras.Layer]:
    """Salman and Abu-Naser's network (2022): 32-64-128-256-256-512, Dense 512."""
    import keras

    return [
        keras.layers.Rescaling(1 / 255),
        *_pooled((32, 64, 128, 256, 256, 512)),
        keras.layers.Flatten(),
        keras.layers.Dense(512, activation="relu"),
    ]


def cnn9() -> list[keras.Layer]:
    """Nine LeakyReLU convolutions and one dense layer at 96², after Li et al. (2021).

    The publication specifies an input of 96 × 96 × 3, a first step of 64 kernels of 3 × 3 and
    LeakyReLU to 64 maps of 96 × 96, eight more such steps, and one dense layer. Chosen here: every
    second convolution halves the maps, the filters double with each halving up to 512, the slope is
    0.2, and pixels range from -1 to 1.
    """
    import keras

    layers = [keras.layers.Rescaling(1 / 127.5, offset=-1)]
    for number, filters in enumerate((64, 64, 128, 128, 256, 256, 512, 512, 512)):
        layers += [
            keras.layers.Conv2D(filters, 3, strides=1 + number % 2, padding="same"),
            keras.layers.LeakyReLU(0.2),
        ]
    return [*layers, keras.layers.Flatten()]


def _pooled(widths: tuple[int, ...]) -> list[keras.Layer]:
    """3 × 3 convolutions with ReLU, each followed by max pooling that halves the maps."""
    import keras

    layers = []
    for filters in widths:
        layers += [
            keras.layers.Conv2D(filters, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
        ]
    return layers
