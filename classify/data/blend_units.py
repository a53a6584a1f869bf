"""Blended faces in training batches: which real crops are blended, and how many in a batch.

A blend stands right after the real crop that it was made from, with the same augmentation, so that
the two differ in nothing but the blend. The other crops of the batch are those of the sampling:

    real, its blend, real, its blend, …, crops of the sampling, …
    └────────── 2 · units ──────────┘  └── batch size - 2 · units ──┘
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classify.data.blend import blend
from classify.data.landmarks import Landmarks, usable
from classify.data.pack import Packed
from classify.errors import ClassifyError

CLIP = ["class", "category", "compression", "clip"]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Blending:
    """What blended faces of a split are made from, and their target in the loss."""

    share: float  # of blends among the fake crops, above 0 to 1
    landmarks: Landmarks  # (n, 68, 2) fractions of a crop's sides, NaN where there are none
    target: npt.NDArray[np.float32]  # (k,) of a blend; the network's output has k values

    def units(self, batch_size: int, fakes: float) -> int:
        """Return how many blends a batch has, so that they are the share of its fakes.

        With u units, B - 2u crops are left to the sampling, and a fraction f of these is fake.
        u = share · (u + f · (B - 2u)) gives the number. It is at least 1, and with a share of 1
        the units fill the batch.

        Args:
            batch_size: B.
            fakes: f, the fraction of fakes that the sampling draws.

        >>> half = Blending(0.5, np.empty((0, 68, 2), np.float32), np.ones(1, np.float32))
        >>> half.units(32, 0.5), half.units(32, 0.8)
        (8, 10)
        """
        if self.share == 1 or fakes == 0:
            return batch_size // 2
        units = self.share * batch_size * fakes / (1 - self.share + 2 * self.share * fakes)
        return min(max(round(units), 1), batch_size // 2)

    def check(self, source: str) -> None:
        """Check that there is a real crop to blend.

        Args:
            source: what the crops are, for the message.

        Raises:
            ClassifyError: no real crop has usable landmarks.
        """
        if not usable(self.landmarks).any():
            raise ClassifyError(
                f"{source}: no real crop has facial landmarks that dlib can find, which blended "
                f"faces need; omit --blend, or extract larger faces (`ffpp-extract --margin`)"
            )

    def reals(self, data: Packed, count: int, rng: np.random.Generator, even: bool) -> Rows:
        """Draw real crops to be blended, of those that have landmarks.

        Args:
            data: the crops.
            count: how many to draw.
            rng: the source of randomness.
            even: draw a class, then one of its clips (a still counts as a clip), then one of its
                crops; otherwise all crops in random order, again and again.
        """
        rows = np.flatnonzero(usable(self.landmarks))
        if not even:
            rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
            return np.concatenate([*rounds, rows[:0]])[:count].astype(np.int64)
        classes: dict[str, list[npt.NDArray[np.intp]]] = {}
        for (name, *_), found in data.samples.iloc[rows].groupby(CLIP).indices.items():
            classes.setdefault(name, []).append(rows[found])
        by_class = list(classes.values())
        drawn = np.empty(count, np.int64)
        for position, (for_class, for_clip, for_crop) in enumerate(rng.random((count, 3))):
            clips = by_class[int(for_class * len(by_class))]
            crops = clips[int(for_clip * len(clips))]
            drawn[position] = crops[int(for_crop * len(crops))]
        return drawn

    def blend_in(
        self,
        images: npt.NDArray[np.uint8],
        rows: Rows,
        blended: npt.NDArray[np.bool_],
        seed: tuple[int, ...],
    ) -> None:
        """Make the blends of a batch, in place.

        Args:
            images: (n, size, size, 3) uint8 RGB crops. Where `blended`, the crop is replaced by a
                blend of the crop before it, and that one by the background of the blend.
            rows: (n,) positions of the crops in the split.
            blended: (n,) which crops are blends; the crop before each is the same crop.
            seed: of the batch; each blend has a generator of its own.
        """
        side = images.shape[1]
        for position in np.flatnonzero(blended):
            points = self.landmarks[rows[position]] * side - 0.5
            rng = np.random.default_rng((*seed, int(position) + 1))
            made = blend(images[position], points.astype(np.float32), rng)
            images[position - 1], images[position] = made.background, made.image
