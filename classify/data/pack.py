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

INTERPOLATION = "area, cubic"  # what `scaled` does; part of an array's name
CHECKED = 16  # crops of an array that are compared with their files before it is used
CHUNK = 64  # crops that a thread takes at a time


@dataclass(frozen=True)
class Packed:
    """One split at training size."""

    images: npt.NDArray[np.uint8]  # (n, size, size, 3) RGB, memory-mapped, read-only
    labels: npt.NDArray[np.int64]  # (n,) class indices
    samples: pd.DataFrame  # the manifest's rows, in the same order


class Pictures(Protocol):
    """What an array is made of."""

    @property
    def size(self) -> int:
        """Side of a picture, in pixels."""

    def __len__(self) -> int: ...

    def read(self, position: int) -> npt.NDArray[np.uint8]:
        """A picture: (size, size, 3) uint8 RGB.

        Raises:
            PackError: it cannot be had.
        """


@dataclass(frozen=True)
class Share:
    """A part of a split, drawn at random, of every class alike."""

    fraction: float = 1.0
    seed: int = 0

    def of(self, samples: pd.DataFrame) -> npt.NDArray[np.intp]:
        """Which rows, ascending: of every class that is there one or more."""
        rng = np.random.default_rng(self.seed)
        chosen = [
            rng.permutation(rows)[: max(1, round(self.fraction * len(rows)))]
            for _, rows in sorted(samples.groupby("class_index").indices.items())
        ]
        return np.sort(np.concatenate(chosen))


# Given what is being done: wraps an iterable of known length, to show how far it is.
ProgressFactory = Callable[[str], Callable[[Iterable[int], int], Iterable[int]]]


def pack(
    manifest: Manifest,
    split: str,
    size: int,
    progress: ProgressFactory | None = None,
    share: Share = Share(),
) -> Packed:
    """The split's crops at `size` × `size`, built on the first call and mapped afterwards.

    The array lies in the manifest's folder under `packed/`, named by a fingerprint of the split's
    crops (names and content), the size and the interpolation, so that neither another manifest nor
    crops made anew ever meet an old array. While it is built, every crop is compared with the hash
    it had; before it is used again, some are compared with their files. Beside a manifest that may
    only be read it is built in the system's folder for temporary files, for this process alone.
    Crops that are not square are stretched, as the paper's are.

    Args:
        manifest: whose crops.
        split: "train", "val" or "test", or several as "train+val".
        size: side in pixels.
        progress: shows how far the building is, and first how much will be written where.
        share: how much of it; another share has an array of its own.

    Raises:
        PackError: a crop is missing, unreadable or not what it was when the manifest was made, or
            the array cannot be written.
        TableError: the manifest is damaged, or its dataset has other crops now.
    """
    splits = split.split("+")
    parts = [manifest.samples(part) for part in splits]
    samples = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    hashes = pd.concat(list(map(manifest.crop_hashes, splits, parts)))
    what = f"{[manifest.info['crops'][part] for part in splits]} {size} {INTERPOLATION}"
    name = split
    if share.fraction < 1:
        rows = share.of(samples)
        samples, hashes = samples.iloc[rows].reset_index(drop=True), hashes.iloc[rows]
        name, what = f"{split}-{share.fraction:g}-{share.seed}", f"{what} {share}"
    fingerprint = hashlib.sha256(what.encode()).hexdigest()[:16]
    path = manifest.folder / "packed" / f"{name}-{size}-{fingerprint}.npy"
    crops = _Crops(manifest.root, hashes, size)
    images = _array(path, crops, f"{name}-{size}-*.npy", progress)
    return Packed(images, samples["class_index"].to_numpy(np.int64), samples)


def _array(
    path: Path, crops: _Crops, alike: str, progress: ProgressFactory | None
) -> npt.NDArray[np.uint8]:
    """The array at `path`, mapped; built first where it is not there.

    Args:
        path: below the manifest's folder.
        crops: what it holds.
        alike: a pattern of the arrays beside it that it replaces: those of a manifest before.
        progress: as `pack` takes it.
    """
    if _is_right(path, crops):
        return _mapped(path)
    if not os.access(path.parent if path.parent.exists() else path.parent.parent, os.W_OK):
        with TemporaryDirectory(prefix="packed-", ignore_cleanup_errors=True) as folder:
            write_packed_array(Path(folder) / path.name, crops, progress)
            return _mapped(Path(folder) / path.name)  # which stays when the file has no name left
    with file_lock(path.with_suffix(".lock")):  # one process builds, others wait and find it
        if not _is_right(path, crops):
            write_packed_array(path, crops, progress)
            for old in path.parent.glob(alike):
                if old != path:
                    old.unlink()
    return _mapped(path)


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    images: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return images


def scaled(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """A picture at `size` × `size`, stretched if it is no square.

    Shrinks by averaging over areas, enlarges by cubic interpolation.
    """
    shrinks = min(image.shape[:2]) >= size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=how)


@dataclass(frozen=True)
class _Crops:
    """The files behind an array."""

    root: Path
    hashes: pd.Series  # sha256 by path below the root; kept as a table, which costs little memory
    size: int

    def __len__(self) -> int:
        return len(self.hashes)

    def read(self, position: int) -> npt.NDArray[np.uint8]:
        """A crop at training size: (size, size, 3) uint8 RGB."""
        path = path_within(self.root, self.hashes.index[position])
        try:
            data = regular_file(path).read_bytes()
        except OSError as error:
            raise PackError(
                f"{path}: cannot be read ({error.strerror}). If the dataset folder was moved, "
                f"make the manifest again with `ffpp-split`."
            ) from error
        if hashlib.sha256(data).hexdigest() != self.hashes.iloc[position]:
            raise PackError(
                f"{path}: not the crop it was when the dataset was made; extract it again "
                f"(`ffpp-extract --verify` lists all that differ)"
            )
        image = decoded(data)
        if image is None:
            raise PackError(f"{path}: not a readable image; extract it again")
        return scaled(image, self.size)


def _is_right(path: Path, crops: _Crops) -> bool:
    """Whether the array is there, whole, and holds what its crops hold, as far as some tell."""
    try:
        images = _mapped(path)
    except (OSError, EOFError, ValueError):  # none, or not a whole array
        return False
    if images.shape != (len(crops), crops.size, crops.size, 3):
        return False
    some = np.linspace(0, len(crops) - 1, min(CHECKED, len(crops))).astype(int)
    return all(np.array_equal(images[i], crops.read(i)) for i in some)


def write_packed_array(path: Path, pictures: Pictures, progress: ProgressFactory | None) -> None:
    """Fill an array under a temporary name, then rename: it is whole or not there.

    Raises:
        PackError: a picture cannot be had, or the array cannot be written.
    """
    temporary = path.with_suffix(".tmp")
    shape = (len(pictures), pictures.size, pictures.size, 3)
    needed = int(np.prod(shape))
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise PackError(
            f"{path}: {needed / 1e9:.1f} GB are needed for {len(pictures)} pictures at "
            f"{pictures.size} pixels and {free / 1e9:.1f} GB are free; make room, or choose a "
            f"smaller --size"
        )
    try:
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(temporary)

        def fill(start: int) -> range:
            positions = range(start, min(start + CHUNK, len(pictures)))
            for position in positions:
                images[position] = pictures.read(position)
            return positions

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            chunks = threads.map(fill, range(0, len(pictures), CHUNK))
            done = (position for chunk in chunks for position in chunk)
            text = f"packing {len(pictures)} pictures ({needed / 1e6:.0f} MB in {path.parent})"
            try:
                for _ in progress(text)(done, len(pictures)) if progress else done:
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
    """Claim the disk space of a file, so that a disk that fills up is an error, not a crash."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
