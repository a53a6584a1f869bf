"""The registry of architectures; `build` creates any of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from classify.errors import ModelError
from classify.models import heads, networks
from classify.models.backbones import BACKBONES, feature_maps
from classify.models.stride import check_stride

if TYPE_CHECKING:
    import keras

OUTPUTS = ("softmax", "sigmoid")
ACTIVATIONS = ("linear", "relu")
CHANNELS = ("rgb", "r", "g", "b")
PAPER = "the paper"
BACKBONES_2022 = "29 backbones on the 140k faces (2022)"


@dataclass(frozen=True)
class Architecture:
    """One network that can be trained."""

    name: str
    origin: str
    parameters: int  # of a backbone without top; of other networks with two classes at `size`
    size: int  # side of the input used by `origin`, in pixels
    head: str | None = None  # default head of a backbone; None: the network has its own top
    layers: Callable[..., list[keras.Layer]] | None = None  # None for a backbone
    least: int = 32  # minimum side of the input, in pixels

    @property
    def pretrained(self) -> bool:
        """Whether ImageNet weights exist for the architecture."""
        return self.layers is None


def _backbone(name: str) -> Architecture:
    head, size, origin = "gap", 128, BACKBONES_2022
    if name == "efficientnetb0":
        head, origin = "max-300-300-l1l2", f"{PAPER}; {BACKBONES_2022}"
    elif name == "inceptionresnetv2":
        origin = f"DCGAN study; CNN study on the 140k faces (2024); {BACKBONES_2022}"
    elif name == "xception":
        head, origin = "flatten-1024", f"CNN study on the 140k faces (2024); {BACKBONES_2022}"
    elif name == "vgg16":
        origin = f"GAN and VGG16 proposal (frozen, head flatten); {BACKBONES_2022}"
    backbone = BACKBONES[name]
    return Architecture(name, origin, backbone.parameters, size, head, least=backbone.least)


ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture("baseline", f"{PAPER}'s base model", 285813864, 128, None, networks.baseline),
        Architecture("sepconv", "small, for a CPU", 22802, 128, None, networks.sepconv),
        Architecture(
            "cnn3", "CNN study on the 140k faces (2024)", 3742914, 256, None, networks.cnn3
        ),
        Architecture(
            "cnn6", "Salman and Abu-Naser (2022)", 3208770, 256, None, networks.cnn6, least=190
        ),
        Architecture("cnn9", "after Li et al. (2021)", 7082050, 96, None, networks.cnn9),
        *(_backbone(name) for name in BACKBONES),
    )
}


def build(
    arch: str,
    classes: int,
    size: int | None = None,
    weights: str = "none",
    head: str | None = None,
    *,
    output: str = "softmax",
    channels: str = "rgb",
    dropout: float | None = None,
    activation: str = "linear",
    stride: int | None = None,
) -> keras.Model:
    """Build an untrained or pretrained network.

    Args:
        arch: a name from `ARCHITECTURES`.
        classes: number of classes.
        size: side of the square input, in pixels; None for the architecture's own.
        weights: of the backbone: "imagenet" (downloaded by Keras), "noisy-student", "none", or a
            path to a weights file without top.
        head: a name from `heads.HEADS`; None for the architecture's own.
        output: "softmax" for a probability per class; "sigmoid" for that of the first of two.
        channels: "rgb", or a single channel that replaces all three.
        dropout: replaces the head's own rates.
        activation: of the baseline's hidden layers, "linear" or "relu".
        stride: end the backbone before its features get coarser than one per `stride` pixels.

    Returns:
        A model from (n, size, size, 3) RGB of 0 to 255 to (n, classes) or (n, 1) probabilities.

    Raises:
        ModelError: unknown names, contradictory settings, an input that is too small, or weights
            that are unavailable or do not fit.
    """
    import keras

    chosen = chosen_arch(arch)
    _check(chosen, classes, weights, head, output, channels, dropout, activation, stride)
    size = size or chosen.size
    if size < chosen.least:
        raise ModelError(f"{arch} needs an input of at least {chosen.least} pixels: --size")
    inputs = keras.Input((size, size, 3), name="pixels")
    x = inputs if channels == "rgb" else _one_channel(inputs, channels)
    if chosen.layers is None:
        x = feature_maps(arch, x, weights, stride)
        layers = heads.layers(head or str(chosen.head), dropout)
    elif arch == "baseline":
        layers = chosen.layers(activation)
    else:
        layers = chosen.layers()
    units = 1 if output == "sigmoid" else classes
    # Probabilities are float32 even under mixed precision.
    layers.append(keras.layers.Dense(units, activation=output, dtype="float32", name="probability"))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x, name=arch)


def backbone_of(model: keras.Model) -> keras.Model | None:
    """Return the pretrained part of a built network, or None if it has none."""
    import keras

    return next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)


def freeze(model: keras.Model, what: str, batch_norm: bool) -> None:
    """Set which layers of a built network's backbone are trainable.

    Args:
        model: as `build` returns it.
        what: "none", "all", or the number of layers, counted from the input, that keep their
            weights; negative for all but the last ones, as in a Python slice.
        batch_norm: whether all batch normalisation layers keep their statistics and weights.

    Raises:
        ModelError: the network has no backbone, or `what` is invalid.
    """
    import keras

    backbone = backbone_of(model)
    if backbone is None:
        if what != "none" or batch_norm:
            raise ModelError(
                "this network has no backbone to freeze: omit --freeze, --freeze-batch-norm and "
                "--head-epochs"
            )
        return
    frozen = len(backbone.layers[: _frozen_layers(what, len(backbone.layers))])
    for position, layer in enumerate(backbone.layers):
        keeps = batch_norm and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = position >= frozen and not keeps


def _frozen_layers(what: str, total: int) -> int | None:
    if what in ("none", "all"):
        return 0 if what == "none" else None
    if not re.fullmatch(r"-?\d+", what) or abs(int(what)) > total:
        raise ModelError(f"--freeze takes all, none or a number up to {total}, not {what}")
    return int(what)


def chosen_arch(name: str) -> Architecture:
    """Return the architecture named `name`.

    Raises:
        ModelError: the name is unknown.
    """
    if name not in ARCHITECTURES:
        raise ModelError(
            f"unknown architecture {name!r}; `classify archs` lists all: {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def _check(
    arch: Architecture,
    classes: int,
    weights: str,
    head: str | None,
    output: str,
    channels: str,
    dropout: float | None,
    activation: str,
    stride: int | None,
) -> None:
    if not arch.pretrained and weights != "none":
        raise ModelError(f"{arch.name} has no pretrained weights; omit --weights or pass none")
    if not arch.pretrained and (head or dropout is not None):
        raise ModelError(f"{arch.name} has its own head; omit --head and --dropout")
    if not arch.pretrained and stride is not None:
        raise ModelError(f"{arch.name} has no backbone that could end early; omit --stride")
    check_stride(stride)
    if activation != "linear" and arch.name != "baseline":
        raise ModelError(f"--activation applies only to baseline; {arch.name} has its own")
    for option, value, known in (
        ("output", output, OUTPUTS),
        ("channels", channels, CHANNELS),
        ("activation", activation, ACTIVATIONS),
    ):
        if value not in known:
            raise ModelError(f"unknown {option} {value!r}; choose from {', '.join(known)}")
    if output == "sigmoid" and classes != 2:
        raise ModelError(f"one sigmoid separates two classes, not {classes}; use softmax")


def _one_channel(pixels: keras.KerasTensor, channel: str) -> keras.KerasTensor:
    """Repeat one colour channel three times: pretrained networks expect three channels."""
    import keras

    position = "rgb".index(channel)
    one = pixels[..., position : position + 1]
    return keras.layers.Concatenate()([one, one, one])
