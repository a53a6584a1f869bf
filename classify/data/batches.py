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
from classify.data.blend_units import Blending, training_sampler
from classify.data.pack import Packed
from classify.data.sampling import IN_ORDER, Order

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
        batch_size: int,
        seed: int,
        augment: Augmentation | None = None,
        *,
        sampling: str = "all",
        unpaired: float | None = None,
        blending: Blending | None = None,
        weights: npt.NDArray[np.float32] | None = None,
        equal_classes: bool = False,
        epoch: int = 0,
        devices: int = 1,
        on_device: bool = False,
    ) -> None:
        """Divide packed crops into batches.

        Args:
            data: the crops.
            targets: targets of the network, one row per crop.
            batch_size: crops per batch; the last batch may be smaller, and batches of pairs have
                only whole units.
            seed: of order and augmentation.
            augment: augmentation of the crops; None for unmodified crops.
            sampling: one of `settings.Sampling`, or `IN_ORDER`; see `sampling`.
            unpaired: share of the units without partners; see `sampling.Paired`.
            blending: blended faces among the crops; None for none.
            weights: (n,) weight of each crop in the loss.
            equal_classes: weight the crops, blends included, so that all classes have the same
                total weight in the loss, as far as the first epoch tells. Replaces `weights`.
            epoch: the first epoch.
            devices: number of devices that share a batch. Several devices need full batches: the
                crops of a smaller last batch are left for another epoch or, with `IN_ORDER`,
                padded with crops of weight 0.
            on_device: warp on the accelerator rather than on the host.

        Raises:
            ClassifyError: as in `blend_units.training_sampler`.
        """
        super().__init__()
        self.epoch = epoch
        self._data = data
        self._targets = targets
        self._seed = seed
        self._augment = augment
        self._sampling = sampling
        self._on_device = on_device
        self._blending = blending
        self._sampler = training_sampler(sampling, data, batch_size, devices, unpaired, blending)
        self.crops_per_epoch = self._sampler.crops_per_epoch
        count = len(targets)
        if devices > 1 and sampling == IN_ORDER:
            # Keras divides a batch's loss by all its crops; the weights compensate for the padding.
            weights = np.full(count, self.crops_per_epoch / count, np.float32)
        self._weights = weights
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
        if self._class_weights is not None:
            return images, targets, self._class_weights[self._labels(order)]
        if self._weights is None:
            return images, targets
        weights = self._weights[rows]
        if self._sampling == IN_ORDER:
            positions = np.arange(len(rows)) + index * self._sampler.batch_size
            weights = weights * (positions < len(self._targets))
        return images, targets, weights

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


def class_balanced_weights(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """Return a weight per crop so that all classes present have the same total weight.

    >>> class_balanced_weights(np.array([0, 0, 0, 0, 1, 1]), 2).tolist()
    [0.75, 0.75, 0.75, 0.75, 1.5, 1.5]
    """
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    return (len(labels) / (present * counts[labels])).astype(np.float32)
