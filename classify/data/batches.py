"""What the network is shown: which crops, in which order, changed how, with which weight."""

from __future__ import annotations

import math
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from classify.data.augment import Augmentation
from classify.data.pack import Packed
from classify.errors import ClassifyError

IN_ORDER = "in order"
AHEAD = 8  # batches that are made at a time, the one in use included
CLIP = ["class", "category", "compression", "clip"]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of packed crops, made ahead by threads.

    What batch k of epoch e holds follows from the seed alone, so that a training that was cut short
    goes on exactly as it would have. Whoever trains sets `epoch`: Keras's own hooks and queues
    also run when it only looks at the data, and carry batches from one epoch into the next.
    """

    def __init__(
        self,
        data: Packed,
        targets: npt.NDArray[np.float32],
        batch_size: int,
        seed: int,
        augment: Augmentation | None = None,
        *,
        sampling: str = "all",
        weights: npt.NDArray[np.float32] | None = None,
        epoch: int = 0,
        devices: int = 1,
        on_device: bool = False,
    ) -> None:
        """Cut packed crops into batches.

        Args:
            data: the crops.
            targets: what the network is to say of each, a row per crop.
            batch_size: of all but perhaps the last batch.
            seed: of order and augmentation.
            augment: how to change them; None to show them as they are.
            sampling: one of `settings.SAMPLINGS`, or `IN_ORDER`. "all" shows each crop once an
                epoch; "balanced" draws as many, each from a random class, of that a random clip (a
                still is its own), of that a random crop; `IN_ORDER` shows each once, always in the
                manifest's order, to judge by.
            weights: (n,) how much each crop counts in the loss.
            epoch: the first one.
            devices: that share a batch. More than one want whole batches: crops that would make
                the last one smaller wait for another epoch or, in order, are filled up with such
                as count nothing.
            on_device: warp on the accelerator rather than on the host.

        Raises:
            ClassifyError: a batch cannot be shared out evenly.
        """
        if batch_size % devices:
            raise ClassifyError(
                f"batch_size ({batch_size}) must be a multiple of {devices} devices"
            )
        super().__init__()
        self.epoch = epoch
        self._data = data
        self._targets = targets
        self._batch_size = batch_size
        self._seed = seed
        self._augment = augment
        self._sampling = sampling
        self._on_device = on_device
        self._clips = _by_class_and_clip(data) if sampling == "balanced" else []
        self.shown = count = len(targets)  # crops of an epoch
        if devices > 1 and sampling == IN_ORDER:
            self.shown += -count % batch_size
            # Keras divides a batch's loss by all its crops: those that count make up for the rest.
            weights = np.full(count, self.shown / count, np.float32)
        elif devices > 1:
            self.shown = max(count - count % batch_size, batch_size)
        self._weights = weights
        self._orders: dict[int, npt.NDArray[np.int64]] = {}
        self._threads = ThreadPoolExecutor(min(os.cpu_count() or 1, AHEAD))
        self._made: dict[tuple[int, int], Future[tuple[Any, ...]]] = {}

    def __len__(self) -> int:
        return math.ceil(self.shown / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        wanted = [(self.epoch, i) for i in range(index, min(index + AHEAD, len(self)))]
        made = {
            key: self._made.get(key) or self._threads.submit(self._make, *key) for key in wanted
        }
        # Each batch is handed out once: TensorFlow takes arrays over without copying them and may
        # write its own results into them.
        batch = made.pop((self.epoch, index))
        self._made = made
        return batch.result()

    def _make(self, epoch: int, index: int) -> tuple[Any, ...]:
        rows = self.rows(epoch, index)
        images = self._data.images[rows]
        if self._augment is not None:
            rng = np.random.default_rng((self._seed, epoch, index + 1))
            images = self._augment(images, rng, self._on_device)
        if self._weights is None:
            return images, self._targets[rows]
        weights = self._weights[rows]
        if self._sampling == IN_ORDER:
            positions = np.arange(len(rows)) + index * self._batch_size
            weights = weights * (positions < len(self._targets))
        return images, self._targets[rows], weights

    def rows(self, epoch: int, index: int) -> npt.NDArray[np.int64]:
        """Which crops a batch shows."""
        start = index * self._batch_size
        order = self._orders.get(epoch)
        if order is None:
            order = self._draw(epoch)
            self._orders = {epoch: order}
        return order[start : start + self._batch_size]

    def face_ids(self, epoch: int, index: int) -> list[str]:
        """The names of the crops that a batch shows."""
        return list(self._data.samples["face_id"].iloc[self.rows(epoch, index)])

    def _draw(self, epoch: int) -> npt.NDArray[np.int64]:
        count = len(self._targets)
        if self._sampling == IN_ORDER:
            return np.resize(np.arange(count), self.shown)
        rng = np.random.default_rng((self._seed, epoch, 0))
        if self._sampling == "all":
            return np.resize(rng.permutation(count), self.shown)
        drawn = np.empty(self.shown, np.int64)
        for position, (of_class, of_clip, of_crop) in enumerate(rng.random((self.shown, 3))):
            clips = self._clips[int(of_class * len(self._clips))]
            crops = clips[int(of_clip * len(clips))]
            drawn[position] = crops[int(of_crop * len(crops))]
        return drawn


def _by_class_and_clip(data: Packed) -> list[list[npt.NDArray[np.int64]]]:
    """For each class, for each of its clips: the positions of its crops."""
    classes: dict[str, list[npt.NDArray[np.int64]]] = {}
    for (name, *_), positions in data.samples.groupby(CLIP).indices.items():
        classes.setdefault(name, []).append(positions)
    return list(classes.values())


def class_balanced_weights(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """A weight per crop, so that every class that is there counts the same in sum.

    >>> class_weights(np.array([0, 0, 0, 0, 1, 1]), 2).tolist()
    [0.75, 0.75, 0.75, 0.75, 1.5, 1.5]
    """
    counts = np.bincount(labels, minlength=classes)
    there = np.count_nonzero(counts)
    return (len(labels) / (there * counts[labels])).astype(np.float32)
