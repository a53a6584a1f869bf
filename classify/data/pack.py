"""A manifest's crops, decoded and scaled once, as a memory-mapped array."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.data.cached_arrays import ProgressBar, cached_array, for_each, write_array
from classify.errors import PackError
from ffpp_tools.files import path_within
from ffpp_tools.loading.crop_files import INTERPOLATION, read_crop, scaled
from ffpp_tools.splits.manifest import Manifest

CHECKED = 16  # crops of an array that are compared with their files before it is reused


@dataclass(frozen=True)
class Packed:
    """The crops of one split at the network's input size."""

    images: npt.NDArray[np.uint8]  # (n, size, size, 3) RGB, memory-mapped, read-only
    labels: npt.NDArray[np.int64]  # (n,) class indices
    samples: pd.DataFrame  # the manifest's rows, in the same order


class ImageSource(Protocol):
    """The images that an array is built from."""

    @property
    def size(self) -> int:
        """Side of an image, in pixels."""

    def __len__(self) -> int: ...

    def read(self, position: int) -> npt.NDArray[np.uint8]:
        """Return one image, (size, size, 3) uint8 RGB.

        Raises:
            CropError, PackError: the image is missing or unreadable.
        """


@dataclass(frozen=True)
class Share:
    """A random fraction of a split, the same fraction of every class.

    The members of a pair are drawn together, as far as the classes allow.
    """

    fraction: float = 1.0
    seed: int = 0

    def of(self, samples: pd.DataFrame) -> npt.NDArray[np.intp]:
        """Return the positions of the drawn rows, ascending; at least one per class present."""
        rng = np.random.default_rng(self.seed)
        has_pair = (samples["pair"] != "").to_numpy()
        numbers = rng.random(len(samples)) if has_pair.any() else None
        if numbers is not None:
            of_pair = pd.Series(numbers).groupby(samples["pair"].to_numpy()).transform("first")
            numbers = np.where(has_pair, of_pair, numbers)
        chosen = [
            (rng.permutation(rows) if numbers is None else rows[np.argsort(numbers[rows])])[
                : max(1, round(self.fraction * len(rows)))
            ]
            for _, rows in sorted(samples.groupby("class_index").indices.items())
        ]
        return np.sort(np.concatenate(chosen))


# Takes a description; returns a function that adds a progress bar to an iterable of known length.
ProgressFactory = Callable[[str], ProgressBar]


def pack(
    manifest: Manifest,
    split: str,
    size: int,
    progress: ProgressFactory | None = None,
    share: Share = Share(),
) -> Packed:
    """Return the split's crops at `size` × `size`, built on the first call and mapped afterwards.

    The array is a `cached_array` whose contents are the split's crops (names and content), the size
    and the interpolation, so that it is never reused for another manifest or for crops that were
    extracted again. While it is built, every crop is compared with its recorded hash; before it is
    reused, some crops are compared with their files. Crops that are not square are stretched, as in
    the paper.

    Args:
        manifest: the manifest that lists the crops.
        split: "train", "val" or "test", or several as "train+val".
        size: side in pixels.
        progress: shows the progress of the build, and first how much will be written where.
        share: the fraction to pack; each fraction has an array of its own.

    Raises:
        CropError: a crop is missing, unreadable or different from when the manifest was created.
        PackError: the array cannot be written.
        TableError: the manifest is damaged, or the crops of its dataset have changed.
    """
    chosen = crops_of(manifest, split, share)
    contents = f"{chosen.contents[0]} {size} {INTERPOLATION}{chosen.contents[1]}"
    crops = _Crops(manifest.root, chosen.hashes, size)
    images = cached_array(
        manifest.folder,
        f"{chosen.name}-{size}",
        contents,
        crops.agree_with,
        lambda path: write_packed_array(path, crops, progress),
    )
    return Packed(images, chosen.samples["class_index"].to_numpy(np.int64), chosen.samples)


@dataclass(frozen=True)
class ChosenCrops:
    """The crops of a split, or of a fraction of it."""

    name: str  # of the split and the fraction, as in the names of arrays
    samples: pd.DataFrame  # the manifest's rows
    hashes: pd.Series  # sha256 of the crops, indexed by path, in the same order
    contents: tuple[str, str]  # the crops' content, and the fraction, in words


def crops_of(manifest: Manifest, split: str, share: Share = Share()) -> ChosenCrops:
    """Return the crops of a split, or of several as "train+val".

    Raises:
        TableError: the manifest is damaged, or the crops of its dataset have changed.
    """
    splits = split.split("+")
    tables = [manifest.samples(each) for each in splits]
    samples = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    hashes = pd.concat(list(map(manifest.crop_hashes, splits, tables)))
    contents = str([manifest.info["crops"][each] for each in splits])
    if share.fraction == 1:
        return ChosenCrops(split, samples, hashes, (contents, ""))
    rows = share.of(samples)
    name = f"{split}-{share.fraction:g}-{share.seed}"
    samples = samples.iloc[rows].reset_index(drop=True)
    return ChosenCrops(name, samples, hashes.iloc[rows], (contents, f" {share}"))


@dataclass(frozen=True)
class _Crops:
    """The crop files that an array is built from."""

    root: Path
    hashes: pd.Series  # sha256, indexed by path under the root; a Series takes little memory
    size: int

    def __len__(self) -> int:
        return len(self.hashes)

    def read(self, position: int) -> npt.NDArray[np.uint8]:
        """Return one crop at the network's input size: (size, size, 3) uint8 RGB."""
        path = path_within(self.root, self.hashes.index[position])
        return scaled(read_crop(path, self.hashes.iloc[position]), self.size)

    def agree_with(self, images: npt.NDArray[np.uint8]) -> bool:
        """Return whether an array has the right shape, and agrees with a sample of the files."""
        if images.shape != (len(self), self.size, self.size, 3):
            return False
        sample = np.linspace(0, len(self) - 1, min(CHECKED, len(self))).astype(int)
        return all(np.array_equal(images[i], self.read(i)) for i in sample)


def write_packed_array(path: Path, source: ImageSource, progress: ProgressFactory | None) -> None:
    """Write the images of a source as an array, with `write_array`.

    Raises:
        CropError, PackError: an image is missing or unreadable, or the array cannot be written.
    """
    shape = (len(source), source.size, source.size, 3)
    needed = int(np.prod(shape))
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise PackError(
            f"{path}: {needed / 1e9:.1f} GB are needed for {len(source)} images at "
            f"{source.size} pixels, but only {free / 1e9:.1f} GB are free; free some space, or "
            f"choose a smaller --size"
        )

    def fill(images: npt.NDArray[np.uint8]) -> None:
        def read(position: int) -> None:
            images[position] = source.read(position)

        text = f"packing {len(source)} images ({needed / 1e6:.0f} MB in {path.parent})"
        for_each(read, len(source), progress(text) if progress else None)

    write_array(path, shape, np.uint8, fill)
