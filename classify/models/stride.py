"""Backbones that stop early, where their feature maps have a given resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from classify.errors import ModelError

if TYPE_CHECKING:
    import keras

WHOLE = 32  # every backbone's own stride
STRIDES = (4, 8, 16, WHOLE)


def check_stride(stride: int | None) -> None:
    """Raise a ModelError for a stride that is neither None nor one of `STRIDES`."""
    if stride not in (None, *STRIDES):
        raise ModelError(f"stride ({stride}) must be one of {', '.join(map(str, STRIDES))}")


def up_to_stride(network: keras.Model, stride: int) -> keras.Model:
    """Return the part of a backbone that ends before its features get coarser than a stride.

    It ends at the output of the last block whose features are `stride` times smaller than the
    input, rounded to a power of two: where branches, or a block and its shortcut, meet, with the
    normalization and activation that follow. The next block may begin with layers of the same
    resolution; they are not part of it. For EfficientNet and a stride of 16 this is `block5c_add`.
    If no block ends at this stride, as in networks without branches, it ends at the last layer of
    the stride that has no other path beside it.

    Args:
        network: a backbone without top, with an input of (size, size, 3).
        stride: input pixels per feature, from `STRIDES`; `WHOLE` for the whole backbone.

    Raises:
        ModelError: the backbone has no features of this stride.
    """
    import keras

    if stride == WHOLE:
        return network
    size = network.input_shape[1]
    last = block_end = None
    ends_block = False
    for layer, paths_meet in _without_other_paths(network):
        ends_block = paths_meet or (ends_block and isinstance(layer, _following()))
        shape = layer.output.shape
        padded = isinstance(layer, keras.layers.InputLayer | keras.layers.ZeroPadding2D)
        if not padded and len(shape) == 4 and _rounded(size / shape[1]) == stride:
            last = layer
            block_end = layer if ends_block else block_end
    chosen = block_end or last
    if chosen is None:
        raise ModelError(f"{network.name} has no features of stride {stride}; choose another")
    return keras.Model(network.input, chosen.output, name=network.name)


def _rounded(ratio: float) -> int:
    """Return the nearest power of two."""
    return int(2 ** round(math.log2(ratio)))


def _following() -> tuple[type[keras.layers.Layer], ...]:
    """Return the layers that may follow the end of a block and are still part of it."""
    import keras

    layers = keras.layers
    return layers.BatchNormalization, layers.LayerNormalization, layers.Activation, layers.ReLU


def _without_other_paths(network: keras.Model) -> list[tuple[keras.layers.Layer, bool]]:
    """Return the layers that have no other path beside them, and whether paths meet in them."""
    layers = network.layers  # every layer after those that it reads from
    last_use = dict.fromkeys((id(layer.output) for layer in layers), 0)
    for position, layer in enumerate(layers):
        for tensor in _tensors(layer.input):
            last_use[id(tensor)] = position
    passed, latest, alone = [], 0, True
    for position, layer in enumerate(layers):
        if latest <= position:  # nothing before this layer is read after it
            passed.append((layer, not alone))
        alone = latest <= position
        latest = max(latest, last_use[id(layer.output)])
    return passed


def _tensors(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]
