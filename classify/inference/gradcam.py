"""Where a network looks: Grad-CAM (Selvaraju et al., 2017), for any registered network.

The maps behind the last convolution are weighed by how much the class's logit would rise with them,
on average over their pixels, and summed up; what is left above zero speaks for the class.
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
from classify.training.runs import Run
from ffpp_tools.video.image import Image

if TYPE_CHECKING:
    import keras

BATCH = 16
CONVOLUTIONS = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
PART_OF_CONVOLUTION = ("BatchNormalization", "ReLU", "LeakyReLU")  # where they follow one
FACES_OF_A_CLASS = 12
MAX_OF_A_CLASS = 200  # for the mean


@dataclass(frozen=True)
class Explanation:
    """Where the network looks when it sees one class."""

    name: str  # of the class
    samples: pd.DataFrame  # a manifest's columns, `predicted`, `probability`; a row per face
    faces: Sequence[Image]  # as the network sees them
    maps: Sequence[npt.NDArray[np.float32]]  # (size, size), 0 to 1, for the predicted class
    mean_face: Image
    mean_map: npt.NDArray[np.float32]  # over all faces that were looked at
    looked: int  # how many these are


def explain(run: Run, split: str = "test") -> list[Explanation]:
    """Explain a run's best checkpoint on faces of every class of a split.

    Each map is for the class that is predicted, right or wrong.

    Raises:
        RunError: no epoch was finished, or the manifest changed since training.
        PackError: a crop is missing.
        ModelError: the network has no convolution.
    """
    model = run.best_model()
    data = pack(run.manifest, split, model.input_shape[1])
    names = list(run.manifest.classes)
    found = []
    for index, name in enumerate(names):
        at = _spread(np.flatnonzero(data.labels == index), MAX_OF_A_CLASS)
        if len(at) == 0:
            continue
        images = np.asarray(data.images[at])
        maps, probabilities = cams(model, images)
        predicted = probabilities.argmax(axis=1)
        shown = _spread(np.arange(len(at)), FACES_OF_A_CLASS)
        samples = data.samples.iloc[at[shown]].assign(
            predicted=[names[i] for i in predicted[shown]],
            probability=probabilities[shown].max(axis=1),
        )
        mean_face = np.rint(images.mean(axis=0)).astype(np.uint8)
        faces, own = [images[i] for i in shown], [maps[i] for i in shown]
        mean_map = np.asarray(maps.mean(axis=0), np.float32)
        found.append(Explanation(name, samples, faces, own, mean_face, mean_map, len(at)))
    return found


def cams(
    model: keras.Model, images: npt.NDArray[np.uint8], classes: Sequence[int] | None = None
) -> tuple[npt.NDArray[np.float32], Floats]:
    """The Grad-CAM maps of images.

    Args:
        model: as `models.build` returns it.
        images: (n, size, size, 3) uint8 RGB.
        classes: (n,) indices of the classes to explain; None for the predicted ones.

    Returns:
        (n, size, size) maps from 0 to 1, each scaled to its own highest value, and (n, classes)
        probabilities. A map without anything that speaks for the class is 0.

    Raises:
        ModelError: the network has no convolution.
    """
    head, tail = _split(model)
    maps, probabilities = [], []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        asked = None if classes is None else np.asarray(classes[start : start + BATCH])
        found, given = _cams(head, tail, batch, asked)
        maps.append(found)
        probabilities.append(given)
    return np.concatenate(maps), np.concatenate(probabilities)


def _cams(
    head: keras.Model,
    tail: Callable[[Any], Any],
    batch: npt.NDArray[np.uint8],
    asked: npt.NDArray[np.intp] | None,
) -> tuple[npt.NDArray[np.float32], Floats]:
    import keras

    features = keras.ops.cast(head(batch.astype(np.float32)), "float32")
    logits = keras.ops.convert_to_numpy(tail(features))
    chosen = logits.argmax(axis=1) if asked is None else asked
    wanted = keras.ops.convert_to_tensor(np.eye(logits.shape[1], dtype=np.float32)[chosen])
    slopes = keras.ops.convert_to_numpy(
        gradient(lambda values: keras.ops.sum(tail(values) * wanted), features)
    )
    values = keras.ops.convert_to_numpy(features)
    raw = np.maximum((values * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)
    size = batch.shape[1:3]
    large = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in raw])
    top = large.max(axis=(1, 2), keepdims=True)
    maps = np.divide(large, top, where=top > 0, out=np.zeros_like(large))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return maps, powers / powers.sum(axis=1, keepdims=True)


def _split(model: keras.Model) -> tuple[keras.Model, Callable[[Any], Any]]:
    """A network up to the maps behind its last convolution, and from there to the logits.

    Of a backbone, whose blocks may lead round their convolutions, these are the maps it ends in.
    """
    import keras

    backbone = backbone_of(model)
    last = [
        i
        for i, layer in enumerate(model.layers)
        if layer is backbone or type(layer).__name__ in CONVOLUTIONS
    ]
    if not last:
        raise ModelError(f"{model.name} has no convolution whose maps could be shown")
    end = last[-1] + 1
    while type(model.layers[end]).__name__ in PART_OF_CONVOLUTION:
        end += 1
    after = model.layers[end:]
    head = keras.Model(model.input, after[0].input)
    *between, probability = after

    def logits(values: Any) -> Any:
        for layer in between:
            values = layer(values)
        found = keras.ops.matmul(keras.ops.cast(values, "float32"), probability.kernel)
        found += probability.bias
        if found.shape[1] > 1:
            return found
        # The softmax of these two is the sigmoid of the one.
        return keras.ops.concatenate([found / 2, -found / 2], axis=1)

    return head, logits


def _spread(items: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """At most so many of some items, evenly spread over them."""
    at = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return items[at]
