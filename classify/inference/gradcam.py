"""Grad-CAM (Selvaraju et al., 2017) for any registered network.

The feature maps of the last convolution are weighted by the gradient of the class's logit, averaged
over their pixels, and summed; positive values support the class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.backend import gradient
from classify.data.pack import pack
from classify.errors import ModelError
from classify.evaluation.metrics import Floats
from classify.models import backbone_of
from classify.training.runs import Run, trained_classes
from ffpp_tools.video.image import Image

if TYPE_CHECKING:
    import keras

BATCH = 16
CONVOLUTIONS = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
PART_OF_CONVOLUTION = ("BatchNormalization", "ReLU", "LeakyReLU")  # if they follow a convolution
FACES_OF_A_CLASS = 12
MAX_OF_A_CLASS = 200  # for the mean map


@dataclass(frozen=True)
class Explanation:
    """Grad-CAM maps for faces of one class."""

    name: str  # of the class
    samples: pd.DataFrame  # columns of the manifest, `predicted`, `probability`; a row per face
    faces: Sequence[Image]  # at the network's input size
    maps: Sequence[npt.NDArray[np.float32]]  # (size, size), 0 to 1, for the predicted class
    mean_face: Image
    mean_map: npt.NDArray[np.float32]  # over all faces that were explained
    looked: int  # number of these faces


def explain(run: Run, split: str = "test") -> list[Explanation]:
    """Explain a run's best checkpoint on faces of every class of a split.

    Each map is for the predicted class, whether it is correct or not.

    Raises:
        RunError: no epoch has finished, or the manifest has changed since training.
        CropError: a crop is missing or was changed.
        ModelError: the network has no convolution.
    """
    model = run.best_model()
    data = pack(run.manifest, split, model.input_shape[1])
    names = list(trained_classes(run.manifest, run.settings))
    explanations = []
    for index, name in enumerate(run.manifest.classes):
        rows = _evenly_spaced(np.flatnonzero(data.labels == index), MAX_OF_A_CLASS)
        if len(rows) == 0:
            continue
        images = np.asarray(data.images[rows])
        maps, probabilities = cams(model, images)
        predicted = probabilities.argmax(axis=1)
        shown = _evenly_spaced(np.arange(len(rows)), FACES_OF_A_CLASS)
        samples = data.samples.iloc[rows[shown]].assign(
            predicted=[names[i] for i in predicted[shown]],
            probability=probabilities[shown].max(axis=1),
        )
        mean_face = np.rint(images.mean(axis=0)).astype(np.uint8)
        mean_map = np.asarray(maps.mean(axis=0), np.float32)
        explanations.append(
            Explanation(
                name,
                samples,
                [images[i] for i in shown],
                [maps[i] for i in shown],
                mean_face,
                mean_map,
                len(rows),
            )
        )
    return explanations


def cams(
    model: keras.Model, images: npt.NDArray[np.uint8], classes: Sequence[int] | None = None
) -> tuple[npt.NDArray[np.float32], Floats]:
    """Compute the Grad-CAM maps of images.

    Args:
        model: as `models.build` returns it.
        images: (n, size, size, 3) uint8 RGB.
        classes: (n,) indices of the classes to explain; None for the predicted ones.

    Returns:
        (n, size, size) maps from 0 to 1, each scaled to its own maximum, and (n, classes)
        probabilities. A map in which nothing supports the class is 0.

    Raises:
        ModelError: the network has no convolution.
    """
    head, tail = _split(model)
    maps, probabilities = [], []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        targets = None if classes is None else np.asarray(classes[start : start + BATCH])
        batch_maps, batch_probabilities = _cams(head, tail, batch, targets)
        maps.append(batch_maps)
        probabilities.append(batch_probabilities)
    return np.concatenate(maps), np.concatenate(probabilities)


def _cams(
    head: keras.Model,
    tail: Callable[[Any], Any],
    batch: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.intp] | None,
) -> tuple[npt.NDArray[np.float32], Floats]:
    import keras

    features = keras.ops.cast(head(batch.astype(np.float32)), "float32")
    logits = keras.ops.convert_to_numpy(tail(features))
    chosen = logits.argmax(axis=1) if targets is None else targets
    one_hot = keras.ops.convert_to_tensor(np.eye(logits.shape[1], dtype=np.float32)[chosen])
    gradients = keras.ops.convert_to_numpy(
        gradient(lambda values: keras.ops.sum(tail(values) * one_hot), features)
    )
    values = keras.ops.convert_to_numpy(features)
    raw = np.maximum((values * gradients.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)
    size = batch.shape[1:3]
    resized = np.stack([cv2.resize(m, size, interpolation=cv2.INTER_LINEAR) for m in raw])
    maximum = resized.max(axis=(1, 2), keepdims=True)
    maps = np.divide(resized, maximum, where=maximum > 0, out=np.zeros_like(resized))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return maps, powers / powers.sum(axis=1, keepdims=True)


def _split(model: keras.Model) -> tuple[keras.Model, Callable[[Any], Any]]:
    """Split a network after its last convolution: up to the feature maps, and on to the logits.

    A backbone, whose blocks may bypass their convolutions, is split after its final maps.
    """
    import keras

    backbone = backbone_of(model)
    last = [
        i
        for i, layer in enumerate(model.layers)
        if layer is backbone or type(layer).__name__ in CONVOLUTIONS
    ]
    if not last:
        raise ModelError(f"{model.name} has no convolution, which Grad-CAM requires")
    end = last[-1] + 1
    while type(model.layers[end]).__name__ in PART_OF_CONVOLUTION:
        end += 1
    after = model.layers[end:]
    head = keras.Model(model.input, after[0].input)
    *between, probability = after

    def logits(values: Any) -> Any:
        for layer in between:
            values = layer(values)
        outputs = keras.ops.matmul(keras.ops.cast(values, "float32"), probability.kernel)
        outputs += probability.bias
        if outputs.shape[1] > 1:
            return outputs
        # The softmax of these two logits equals the sigmoid of the single one.
        return keras.ops.concatenate([outputs / 2, -outputs / 2], axis=1)

    return head, logits


def _evenly_spaced(items: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """Return at most `count` of the items, evenly spaced."""
    positions = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return items[positions]
