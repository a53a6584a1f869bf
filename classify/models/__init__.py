"""The registry of architectures: `build` makes any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from classify.errors import ModelError
from classify.models import baseline, efficientnet, sepconv

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Architecture:
    """One network that can be trained."""

    name: str
    origin: str
    build: Callable[[int, int, str, str], keras.Model]  # classes, size, weights, activation
    pretrained: bool  # whether ImageNet weights exist for it


ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture("baseline", "the paper's SeparableConv2D network", baseline.build, False),
        Architecture("sepconv", "small strided separable network", sepconv.build, False),
        Architecture(
            "efficientnetb0", "EfficientNetB0 with the paper's head", efficientnet.build, True
        ),
    )
}


def build(
    arch: str, classes: int, size: int = 128, weights: str = "none", activation: str = "linear"
) -> keras.Model:
    """An untrained or pretrained network.

    Args:
        arch: a name from `ARCHITECTURES`.
        classes: how many probabilities come out.
        size: side of the square input, in pixels.
        weights: "imagenet" (downloaded by Keras), "none", or a path to a weights file without
            top.
        activation: of the baseline's hidden layers, "linear" or "relu".

    Returns:
        A model from (n, size, size, 3) RGB of 0 to 255 to (n, classes) probabilities.

    Raises:
        ModelError: unknown names, or weights that cannot be had or do not fit.
    """
    chosen = _chosen(arch)
    if not chosen.pretrained and weights != "none":
        raise ModelError(f"{arch} has no pretrained weights; leave --weights out or say none")
    if activation != "linear" and arch != "baseline":
        raise ModelError(f"--activation is the baseline's; {arch} has its own")
    return chosen.build(classes, size, weights, activation)


def default_weights(arch: str) -> str:
    """The weights a network starts from when nobody says: "imagenet" where there are such."""
    return "imagenet" if _chosen(arch).pretrained else "none"


def _chosen(arch: str) -> Architecture:
    if arch not in ARCHITECTURES:
        raise ModelError(f"unknown architecture {arch!r}; choose from {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[arch]
