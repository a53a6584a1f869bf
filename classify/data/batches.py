"""Batches of crops: prefetching, augmentation and loss weights."""

from __future__ import annotations

import math
import os
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from classify.data.augment import Augmentation
from classify.data.pack import Packed
from classify.data.sampling import IN_ORDER, Order, sampler

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
        weights: npt.NDArray[np.float32] | None = None,
        epoch: int = 0,
        devices: int = 1,
        on_device: bool = False,
    ) -> None:
        """Divide packed crops into batches.

        Args:
            data: the crops.
            targets: targets of the network, one row per crop.
            batch_size: crops per batch; the last batch may be smaller. With pairs, the maximum.
            seed: of order and augmentation.
            augment: augmentation of the crops; None for unmodified crops.
            sampling: one of `settings.Sampling`, or `sampling.IN_ORDER`; see `sampling`.
            unpaired: with pairs, the share of units without partners; see `sampling.Pairs`.
            weights: (n,) weight of each crop in the loss.
            epoch: the first epoch.
            devices: number of devices that share a batch; see `sampling.sampler`. Crops that fill
                a batch of `IN_ORDER` have weight 0.
            on_device: warp on the accelerator rather than on the host.

        Raises:
            ClassifyError: `batch_size` is not a multiple of `devices`; with pairs, there are none,
                or `batch_size` is too small.
        """
        super().__init__()
        self.epoch = epoch
        self._data = data
        self._targets = targets
        self._seed = seed
        self._augment = augment
        self._sampling = sampling
        self._on_device = on_device
        self._sampler = sampler(sampling, data.samples, batch_size, devices, unpaired)
        self._batch_size = self._sampler.batch_size
        self.crops_per_epoch = self._sampler.crops_per_epoch
        if devices > 1 and sampling == IN_ORDER:
            # Keras divides a batch's loss by all its crops; the weights compensate for the padding.
            weights = np.full(len(targets), self.crops_per_epoch / len(targets), np.float32)
        self._weights = weights
        self._orders: dict[int, Order] = {}
        self._ordering = Lock()
        self._threads = ThreadPoolExecutor(min(os.cpu_count() or 1, AHEAD))
        self._prefetched: dict[tuple[int, int], Future[tuple[Any, ...]]] = {}

    def __len__(self) -> int:
        return math.ceil(self.crops_per_epoch / self._batch_size)

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
        crops = self.crops(epoch, index)
        rows = crops.rows
        images = self._data.images[rows]
        if self._augment is not None:
            rng = np.random.default_rng((self._seed, epoch, index + 1))
            images = self._augment(images, rng, self._on_device, crops.draws)
        if self._weights is None:
            return images, self._targets[rows]
        weights = self._weights[rows]
        if self._sampling == IN_ORDER:
            positions = np.arange(len(rows)) + index * self._batch_size
            weights = weights * (positions < len(self._targets))
        return images, self._targets[rows], weights

    def crops(self, epoch: int, index: int) -> Order:
        """Return the crops of a batch."""
        with self._ordering:  # only one of the threads computes an order
            order = self._orders.get(epoch)
            if order is None:
                order = self._sampler.order(np.random.default_rng((self._seed, epoch, 0)))
                self._orders = {epoch: order}
        return order.part(index * self._batch_size, (index + 1) * self._batch_size)

    def face_ids(self, epoch: int, index: int) -> list[str]:
        """Return the `face_id` of each crop of a batch."""
        return list(self._data.samples["face_id"].iloc[self.crops(epoch, index).rows])


def class_balanced_weights(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """Return a weight per crop so that all classes present have the same total weight.

    >>> class_balanced_weights(np.array([0, 0, 0, 0, 1, 1]), 2).tolist()
    [0.75, 0.75, 0.75, 0.75, 1.5, 1.5]
    """
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    return (len(labels) / (present * counts[labels])).astype(np.float32)
