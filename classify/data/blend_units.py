"""Blended faces in training batches: which real crops are blended, and how many in a batch.

A blend stands right after the real crop that it was made from, with the same augmentation, so that
the two differ in nothing but the blend. The other crops of a batch are those of the sampling:

    real, its blend, real, its blend, …, crops of the sampling, …
    └────────── 2 · units ──────────┘  └── batch size - 2 · units ──┘
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.data.blend import blend
from classify.data.landmarks import Landmarks, usable
from classify.data.sampling import Balanced, Ints, Order, Sampler, sampler
from classify.errors import ClassifyError


@dataclass(frozen=True)
class Blending:
    """Blended faces among the training crops of a split."""

    share: float  # of blends among the fake crops, above 0 to 1
    landmarks: Landmarks  # (n, 68, 2) fractions of a crop's sides, NaN where there are none
    target: npt.NDArray[np.float32]  # (k,) of a blend; the network's output has k values
    label: int  # class index of a blend

    def blend_in(self, images: npt.NDArray[np.uint8], order: Order, seed: tuple[int, ...]) -> None:
        """Make the blends of a batch, in place.

        Args:
            images: (n, size, size, 3) uint8 RGB crops. A crop of a blend is replaced by the blend,
                and the crop before it, the same real crop, by the background of the blend.
            order: the crops of the batch.
            seed: of the batch; each blend has a generator of its own.
        """
        side = images.shape[1]
        for position in np.flatnonzero(order.blended).tolist():
            points = self.landmarks[order.rows[position]] * side - 0.5
            rng = np.random.default_rng((*seed, position + 1))
            made = blend(images[position], points.astype(np.float32), rng)
            images[position - 1], images[position] = made.background, made.image


class WithBlends:
    """Batches of blend units, filled with the crops of another sampler.

    All batches are full. An epoch has about as many crops as without blends.
    """

    def __init__(
        self,
        samples: pd.DataFrame,
        blending: Blending,
        batch_size: int,
        filling: Callable[[int], Sampler],
        *,
        by_category: bool,
        devices: int = 1,
    ) -> None:
        """Divide a batch between blend units and other crops.

        Args:
            samples: the manifest's rows of the split.
            blending: the share of blends, and the landmarks of the real crops.
            batch_size: the most crops in a batch; with pairs, a batch may be smaller.
            filling: batch size → sampler of the other crops.
            by_category: draw the real crops to be blended by category, clip and crop; otherwise,
                all equally often.
            devices: number of devices that share a batch.

        Raises:
            ClassifyError: no real crop has usable landmarks, a batch has no room for a unit, or as
                in `filling`.
        """
        self._reals = np.flatnonzero(usable(blending.landmarks))
        if not len(self._reals):
            raise ClassifyError(
                "blended faces need facial landmarks, and dlib found none in the real crops of the "
                "training split; omit --blend, or extract larger faces (`ffpp-extract --margin`)"
            )
        self._evenly = None
        if by_category:
            reals = samples.iloc[self._reals].reset_index(drop=True)
            # By category first: there may be more photographs than clips.
            self._evenly = Balanced(reals.assign(**{"class": reals["category"]}), 1)

        step = devices // math.gcd(devices, 2)  # of the units, so that devices share the crops
        fakes = 0.5
        if blending.share < 1:
            is_fake = (samples["label"] == "fake").to_numpy()
            whole = filling(batch_size).order(np.random.default_rng(0))
            fakes = float(is_fake[whole.rows].mean())
        self.units, self._filling = _division(blending.share, batch_size, fakes, step, filling)
        others = self._filling.batch_size if self._filling else 0
        self.batch_size = 2 * self.units + others
        self._batches = max(len(samples) // self.batch_size, 1)

    @property
    def crops_per_epoch(self) -> int:
        """Crops in all batches of an epoch."""
        return self._batches * self.batch_size

    def order(self, rng: np.random.Generator) -> Order:
        """Return the crops of an epoch; in each batch, the units come first."""
        drawn = self._drawn(rng, self._batches * self.units).reshape(self._batches, self.units)
        rows, draws, blended = (
            np.empty((self._batches, self.batch_size), kind) for kind in (np.int64, np.int64, bool)
        )
        end = 2 * self.units
        numbers = np.arange(drawn.size).reshape(drawn.shape)
        rows[:, :end], draws[:, :end] = drawn.repeat(2, axis=1), numbers.repeat(2, axis=1)
        blended[:] = False
        blended[:, 1:end:2] = True
        if self._filling:
            others = self._filling.order(rng)
            shape = (self._batches, self.batch_size - end)
            rows[:, end:] = np.resize(others.rows, shape)
            draws[:, end:] = np.resize(others.draws, shape) + drawn.size
        return Order(rows.ravel(), draws.ravel(), blended.ravel())

    def _drawn(self, rng: np.random.Generator, count: int) -> Ints:
        """Draw real crops to be blended: in random rounds or by category, clip and crop."""
        if self._evenly:
            return np.asarray(self._reals[self._evenly.drawn(rng, count)], np.int64)
        rounds = [rng.permutation(self._reals) for _ in range(-(-count // len(self._reals)))]
        return np.concatenate(rounds)[:count].astype(np.int64)


def _division(
    share: float, batch_size: int, fakes: float, step: int, filling: Callable[[int], Sampler]
) -> tuple[int, Sampler | None]:
    """Return how many units a batch has, and the sampler of its other crops.

    With u units and r other crops, of which a fraction f is fake, the share of blends among the
    fakes is s = u / (u + f · r). With r = B - 2u, this gives u = s · f · B / (1 - s + 2 · s · f).

    Args:
        share: s.
        batch_size: B, the most crops in a batch.
        fakes: f.
        step: the number of units is a multiple of it.
        filling: batch size → sampler, whose batches may be smaller.

    Raises:
        ClassifyError: a batch has no room for a unit, or the share is too small for one.
    """
    if share == 1 or fakes == 0:
        units = batch_size // 2 // step * step
        if not units:
            raise ClassifyError(f"batch_size ({batch_size}) must be at least {2 * step} with blend")
        return units, None
    wanted = share * fakes * batch_size / (1 - share + 2 * share * fakes)
    units = round(wanted / step) * step
    if not units:
        least = step / (step + 2 * fakes * (batch_size - step))  # of half of `step` units
        raise ClassifyError(
            f"a share of {share:g} blended faces rounds to none in a batch of {batch_size}: use a "
            f"larger batch_size, a share above {least:.2g}, or no blend"
        )
    if batch_size <= 2 * units:
        raise ClassifyError(
            f"batch_size ({batch_size}) is too small for a share of {share:g} blended faces: use a "
            f"larger one, or blend 1 (real faces and their blends alone)"
        )
    try:
        others = filling(batch_size - 2 * units)
    except ClassifyError as error:
        raise ClassifyError(
            f"{error}. Blended faces and their real crops take {2 * units} crops of {batch_size}"
        ) from error
    if others.batch_size < batch_size - 2 * units:  # only whole units of pairs
        units = max(round(share * fakes * others.batch_size / (1 - share) / step), 1) * step
    return units, others


def training_sampler(
    sampling: str,
    samples: pd.DataFrame,
    batch_size: int,
    devices: int = 1,
    unpaired: float | None = None,
    blending: Blending | None = None,
) -> Sampler:
    """Return the sampler of a training split, with blended faces if there are to be any.

    Args:
        sampling: one of `settings.Sampling`.
        samples: the manifest's rows of the split.
        batch_size: the most crops in a batch.
        devices: number of devices that share a batch.
        unpaired: as in `sampling.Paired`.
        blending: blended faces among the crops; None for none.

    Raises:
        ClassifyError: as in `WithBlends` and `sampling.sampler`.
    """

    def of_size(size: int) -> Sampler:
        return sampler(sampling, samples, size, devices, unpaired)

    if blending is None:
        return of_size(batch_size)
    by_category = sampling != "all"
    return WithBlends(
        samples, blending, batch_size, of_size, by_category=by_category, devices=devices
    )
