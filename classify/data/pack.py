"""A manifest's crops, decoded and scaled once, as a memory-mapped array."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.errors import PackError
from ffpp_tools.files import path_within, regular_file
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.locks import file_lock
from ffpp_tools.video.image import decoded

INTERPOLATION = "area, cubic"  # used by `scaled`; part of the hash in an array's name
CHECKED = 16  # crops of an array that are compared with their files before it is reused
CHUNK = 64  # crops per task of a thread


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
            PackError: the image is missing or unreadable.
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
ProgressFactory = Callable[[str], Callable[[Iterable[int], int], Iterable[int]]]


def pack(
    manifest: Manifest,
    split: str,
    size: int,
    progress: ProgressFactory | None = None,
    share: Share = Share(),
) -> Packed:
    """Return the split's crops at `size` × `size`, built on the first call and mapped afterwards.

    The array is stored in the manifest's folder under `packed/`. Its name contains a hash of the
    split's crops (names and content), the size and the interpolation, so that an array is never
    reused for another manifest or for crops that were extracted again. While it is built, every
    crop is compared with its recorded hash; before it is reused, some crops are compared with their
    files. If the manifest's folder is read-only, the array is built in the system's folder for
    temporary files, for this process alone. Crops that are not square are stretched, as in the
    paper.

    Args:
        manifest: the manifest that lists the crops.
        split: "train", "val" or "test", or several as "train+val".
        size: side in pixels.
        progress: shows the progress of the build, and first how much will be written where.
        share: the fraction to pack; each fraction has an array of its own.

    Raises:
        PackError: a crop is missing, unreadable or different from when the manifest was created,
            or the array cannot be written.
        TableError: the manifest is damaged, or the crops of its dataset have changed.
    """
    chosen = crops_of(manifest, split, share)
    contents = f"{chosen.contents[0]} {size} {INTERPOLATION}{chosen.contents[1]}"
    name = f"{chosen.name}-{size}"
    path = manifest.folder / "packed" / f"{name}-{content_key(contents)}.npy"
    crops = _Crops(manifest.root, chosen.hashes, size)
    images = _array(path, crops, f"{name}-*.npy", progress)
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


def content_key(contents: str) -> str:
    """Return the part of an array's name that stands for its contents."""
    return hashlib.sha256(contents.encode()).hexdigest()[:16]


def _array(
    path: Path, crops: _Crops, replaced: str, progress: ProgressFactory | None
) -> npt.NDArray[np.uint8]:
    """Return the array at `path`, mapped; it is built first if it is missing or stale.

    Args:
        path: a file under the manifest's folder.
        crops: the crops that the array holds.
        replaced: glob pattern of the arrays that it replaces: those of earlier manifests.
        progress: progress bar factory, see `ProgressFactory`.
    """
    if _is_current(path, crops):
        return _mapped(path)
    if not os.access(path.parent if path.parent.exists() else path.parent.parent, os.W_OK):
        with TemporaryDirectory(prefix="packed-", ignore_cleanup_errors=True) as folder:
            write_packed_array(Path(folder) / path.name, crops, progress)
            return _mapped(Path(folder) / path.name)  # the mapping outlives the file's name
    with file_lock(path.with_suffix(".lock")):  # one process builds, others wait and reuse it
        if not _is_current(path, crops):
            write_packed_array(path, crops, progress)
            for old in path.parent.glob(replaced):
                if old != path:
                    old.unlink()
    return _mapped(path)


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    images: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return images


def scaled(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize an image to `size` × `size`; one that is not square is stretched.

    Area averaging shrinks, cubic interpolation enlarges.
    """
    shrinks = min(image.shape[:2]) >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=interpolation)


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


def read_crop(path: Path, sha256: str) -> npt.NDArray[np.uint8]:
    """Return a crop file's image, (H, W, 3) uint8 RGB.

    Raises:
        PackError: the file is missing, unreadable, or differs from its recorded hash.
    """
    try:
        data = regular_file(path).read_bytes()
    except OSError as error:
        raise PackError(
            f"{path}: cannot be read ({error.strerror}). If the dataset folder was moved, "
            f"create the manifest again with `ffpp-split`."
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PackError(
            f"{path}: differs from the crop that the dataset recorded; extract it again "
            f"(`ffpp-extract --verify` lists all crops that differ)"
        )
    image = decoded(data)
    if image is None:
        raise PackError(f"{path}: not a readable image; extract it again")
    return image


def _is_current(path: Path, crops: _Crops) -> bool:
    """Return whether the array is complete and agrees with the files of a sample of its crops."""
    try:
        images = _mapped(path)
    except (OSError, EOFError, ValueError):  # missing or truncated
        return False
    if images.shape != (len(crops), crops.size, crops.size, 3):
        return False
    sample = np.linspace(0, len(crops) - 1, min(CHECKED, len(crops))).astype(int)
    return all(np.array_equal(images[i], crops.read(i)) for i in sample)


def write_packed_array(path: Path, source: ImageSource, progress: ProgressFactory | None) -> None:
    """Write an array under a temporary name, then rename it: it is complete or missing.

    Raises:
        PackError: an image is missing or unreadable, or the array cannot be written.
    """
    temporary = path.with_suffix(".tmp")
    shape = (len(source), source.size, source.size, 3)
    needed = int(np.prod(shape))
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise PackError(
            f"{path}: {needed / 1e9:.1f} GB are needed for {len(source)} images at "
            f"{source.size} pixels, but only {free / 1e9:.1f} GB are free; free some space, or "
            f"choose a smaller --size"
        )
    try:
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(temporary)

        def fill(start: int) -> range:
            positions = range(start, min(start + CHUNK, len(source)))
            for position in positions:
                images[position] = source.read(position)
            return positions

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            chunks = threads.map(fill, range(0, len(source), CHUNK))
            done = (position for chunk in chunks for position in chunk)
            text = f"packing {len(source)} images ({needed / 1e6:.0f} MB in {path.parent})"
            try:
                for _ in progress(text)(done, len(source)) if progress else done:
                    pass
            finally:
                threads.shutdown(cancel_futures=True)
        images.flush()
        temporary.replace(path)
    except OSError as error:
        raise PackError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _reserve(path: Path) -> None:
    """Reserve a file's disk space, so that a full disk raises an error instead of a crash."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
