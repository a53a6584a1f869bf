"""Backbones that stop early, where their feature maps have a given resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from classify.errors import ModelError

if TYPE_CHECKING:
    import keras

STRIDES = (4, 8, 16)


def up_to_stride(network: keras.Model, stride: int) -> keras.Model:
    """Return the part of a backbone that ends before its features get coarser than a stride.

    It ends at the last layer whose output is `stride` times smaller than the input, rounded to a
    power of two, and through which everything passes: no branch or shortcut goes around it. For
    EfficientNet and a stride of 16 this is `block6a_expand_activation`, where feature pyramids are
    usually attached as well.

    Args:
        network: a backbone without top, with an input of (size, size, 3).
        stride: input pixels per feature, from `STRIDES`.

    Raises:
        ModelError: the backbone has no features of this stride.
    """
    import keras

    size = network.input_shape[1]
    chosen = None
    for layer in _passed_by_everything(network):
        shape = layer.output.shape
        padded = isinstance(layer, keras.layers.InputLayer | keras.layers.ZeroPadding2D)
        if not padded and len(shape) == 4 and _rounded(size / shape[1]) == stride:
            chosen = layer
    if chosen is None:
        raise ModelError(f"{network.name} has no features of stride {stride}; choose another")
    return keras.Model(network.input, chosen.output, name=network.name)


def _rounded(ratio: float) -> int:
    """Return the nearest power of two."""
    return int(2 ** round(math.log2(ratio)))


def _passed_by_everything(network: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers that are not beside a branch or a shortcut, in order."""
    layers = network.layers  # every layer after those that it reads from
    last_use = dict.fromkeys((id(layer.output) for layer in layers), 0)
    for position, layer in enumerate(layers):
        for tensor in _tensors(layer.input):
            last_use[id(tensor)] = position
    passed, latest = [], 0
    for position, layer in enumerate(layers):
        if latest <= position:  # nothing before this layer is read after it
            passed.append(layer)
        latest = max(latest, last_use[id(layer.output)])
    return passed


def _tensors(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]
