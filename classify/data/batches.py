"""Batches of crops: prefetching, blends, augmentation and loss weights."""

from __future__ import annotations

import math
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from classify.data.augment import Augmentation
from classify.data.blend_units import Blending
from classify.data.pack import Packed
from classify.data.sampling import InOrder, Order, Sampler

AHEAD = 8  # batches prefetched at a time, including the one in use


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of packed crops, prefetched by worker threads.

    The contents of batch k of epoch e depend on the seed alone, so that an interrupted training run
    resumes exactly as if it had never stopped. The training loop sets `epoch`: Keras's own hooks
    and queues also run when Keras only inspects the data, and carry batches into the next epoch.
    """

    def __init__(
        self,
        data: Packed,
        targets: npt.NDArray[np.float32],
        sampler: Sampler,
        seed: int,
        augment: Augmentation | None = None,
        *,
        blending: Blending | None = None,
        equal_classes: bool = False,
        on_device: bool = False,
    ) -> None:
        """Divide packed crops into batches, starting with epoch 0.

        Args:
            data: the crops.
            targets: targets of the network, one row per crop.
            sampler: chooses the crops of every batch.
            seed: of order and augmentation.
            augment: augmentation of the crops; None for unmodified crops.
            blending: how the crops that the sampler marks as blends are made; None without blends.
            equal_classes: weight the crops, blends included, so that all classes have the same
                total weight in the loss, as far as the first epoch tells.
            on_device: warp on the accelerator rather than on the host.
        """
        super().__init__()
        self.epoch = 0
        self.crops_per_epoch = sampler.crops_per_epoch
        self._data = data
        self._targets = targets
        self._sampler = sampler
        self._seed = seed
        self._augment = augment
        self._blending = blending
        self._on_device = on_device
        self._is_padded = isinstance(sampler, InOrder) and sampler.crops_per_epoch > sampler.count
        self._class_weights = self._equal_class_weights() if equal_classes else None
        self._orders: dict[int, Order] = {}
        self._threads = ThreadPoolExecutor(min(os.cpu_count() or 1, AHEAD))
        self._prefetched: dict[tuple[int, int], Future[tuple[Any, ...]]] = {}

    def __len__(self) -> int:
        return math.ceil(self.crops_per_epoch / self._sampler.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        keys = [(self.epoch, i) for i in range(index, min(index + AHEAD, len(self)))]
        prefetched = {
            key: self._prefetched.get(key) or self._threads.submit(self._batch, *key)
            for key in keys
        }
        # A batch is returned only once: TensorFlow takes over arrays without copying them and may
        # write its own results into them.
        batch = prefetched.pop((self.epoch, index))
        self._prefetched = prefetched
        return batch.result()

    def _batch(self, epoch: int, index: int) -> tuple[Any, ...]:
        order = self._order(epoch, index)
        rows, blended = order.rows, order.blended
        images = self._data.images[rows]
        targets = self._targets[rows]
        if self._blending is not None:
            self._blending.blend_in(images, order, (self._seed, epoch, index + 1))
            targets[blended] = self._blending.target
        if self._augment is not None:
            rng = np.random.default_rng((self._seed, epoch, index + 1))
            images = self._augment(images, rng, self._on_device, order.draws)
        weights = self._weights(order, index)
        return (images, targets) if weights is None else (images, targets, weights)

    def _weights(self, order: Order, index: int) -> npt.NDArray[np.float32] | None:
        """Return the weight of each crop of a batch in the loss; None if all have the same."""
        if self._class_weights is not None:
            return self._class_weights[self._labels(order)]
        if not self._is_padded:
            return None
        # Keras divides a batch's loss by all its crops; the weights compensate for the padding.
        count = len(self._targets)
        positions = np.arange(len(order.rows)) + index * self._sampler.batch_size
        weights = np.where(positions < count, self.crops_per_epoch / count, 0)
        return weights.astype(np.float32)

    def _labels(self, order: Order) -> npt.NDArray[np.int64]:
        """Return the class index of each crop, that of blends included."""
        labels = self._data.labels[order.rows]
        if self._blending is not None:
            labels[order.blended] = self._blending.label
        return labels

    def _equal_class_weights(self) -> npt.NDArray[np.float32]:
        """Return a weight per class, so that classes have the same total in the first epoch."""
        order = self._sampler.order(np.random.default_rng((self._seed, 0, 0)))
        counts = np.bincount(self._labels(order), minlength=self._count_classes())
        weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return np.where(counts, weights, 1).astype(np.float32)

    def _count_classes(self) -> int:
        """Return the number of classes up to the last that the crops and the blends have."""
        of_blends = -1 if self._blending is None else self._blending.label
        return int(max(self._data.labels.max(), of_blends)) + 1

    def _order(self, epoch: int, index: int) -> Order:
        """Return the crops of a batch."""
        order = self._orders.get(epoch)
        if order is None:
            order = self._sampler.order(np.random.default_rng((self._seed, epoch, 0)))
            self._orders = {epoch: order}
        start = index * self._sampler.batch_size
        return order[start : start + self._sampler.batch_size]

    def face_ids(self, epoch: int, index: int) -> list[str]:
        """Return the `face_id` of each crop of a batch."""
        return list(self._data.samples["face_id"].iloc[self._order(epoch, index).rows])
