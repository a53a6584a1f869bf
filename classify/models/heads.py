"""Heads: the layers between a backbone's feature maps and its probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classify.errors import ModelError

if TYPE_CHECKING:
    import keras

HEADS = {
    "max-300-300-l1l2": "max pooling, 2 × Dense 300 with L1L2 0.001 and dropout 0.2: the paper",
    "flatten-758-512-256": "Dense 758, 512, 256 with dropout 0.5, 0.3: 29 backbones (2022)",
    "flatten-1024": "Dense 1024: InceptionResNetV2 study on the 140k faces (2024)",
    "flatten": "no hidden layers: the proposal with a frozen VGG16",
    "gap": "global average pooling: the DCGAN study",
}


def layers(head: str, dropout: float | None = None) -> list[keras.Layer]:
    """Return a head's layers up to the probabilities, which `build` adds.

    Args:
        head: a name from `HEADS`.
        dropout: replaces the head's own rates; a head without dropout gets it at its end.

    Raises:
        ModelError: the name is unknown.
    """
    import keras

    def rate(default: float) -> float:
        return default if dropout is None else dropout

    if head not in HEADS:
        raise ModelError(f"unknown head {head!r}; choose from {', '.join(HEADS)}")
    if head == "max-300-300-l1l2":
        hidden = [keras.layers.GlobalMaxPooling2D()]
        for _ in range(2):
            penalty = keras.regularizers.L1L2(l1=0.001, l2=0.001)
            hidden += [
                keras.layers.Dense(300, activation="relu", kernel_regularizer=penalty),
                keras.layers.Dropout(rate(0.2)),
            ]
        return hidden
    if head == "flatten-758-512-256":
        return [
            keras.layers.Flatten(),
            keras.layers.Dense(758, activation="relu"),
            keras.layers.Dropout(rate(0.5)),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dropout(rate(0.3)),
            keras.layers.Dense(256, activation="relu"),
        ]
    hidden = [
        keras.layers.GlobalAveragePooling2D() if head == "gap" else keras.layers.Flatten(),
    ]
    if head == "flatten-1024":
        hidden.append(keras.layers.Dense(1024, activation="relu"))
    return [*hidden, keras.layers.Dropout(dropout)] if dropout else hidden
