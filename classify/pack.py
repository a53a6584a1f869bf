"""A manifest's crops, decoded and scaled once, as a memory-mapped array."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.errors import PackError
from ffpp_tools.files import below
from ffpp_tools.tables import Manifest


@dataclass(frozen=True)
class Packed:
    """One split at training size."""

    images: npt.NDArray[np.uint8]  # (n, size, size, 3) RGB, memory-mapped, read-only
    labels: npt.NDArray[np.int64]  # (n,) class indices
    samples: pd.DataFrame  # the manifest's rows, in the same order


Progress = Callable[[Iterable[Path], int], Iterable[Path]]


def pack(manifest: Manifest, split: str, size: int, progress: Progress | None = None) -> Packed:
    """The split's crops at `size` × `size`, built on the first call and mapped afterwards.

    The array lies in the manifest's folder under `packed/`, named by a fingerprint of the
    split's rows, the dataset's table of crops (with their hashes) and the size, so that neither
    another manifest nor crops made anew ever meet an old array. Crops that
    are not square are stretched, as the paper's are.

    Args:
        manifest: whose crops.
        split: "train", "val" or "test".
        size: side in pixels.
        progress: wraps the crops while they are packed, given with their number.

    Raises:
        PackError: a crop is missing or unreadable, or the array cannot be written.
        TableError: the manifest is damaged.
    """
    samples = manifest.samples(split)
    what = samples["path"].to_csv(index=False) + manifest.info["tables"]["faces.parquet"]
    fingerprint = hashlib.sha256(f"{what} {size}".encode()).hexdigest()[:16]
    path = manifest.folder / "packed" / f"{split}-{size}-{fingerprint}.npy"
    if not path.exists():
        crops = [below(manifest.root, p) for p in samples["path"]]
        _build(path, progress(crops, len(crops)) if progress else crops, len(crops), size)
    images = np.load(path, mmap_mode="r", allow_pickle=False)
    return Packed(images, samples["class_index"].to_numpy(np.int64), samples)


def read_image(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """An image file at `size` × `size`: (size, size, 3) uint8 RGB.

    Shrinks by averaging over areas, enlarges by cubic interpolation.

    Raises:
        PackError: missing or unreadable.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise PackError(
            f"{path}: cannot be read ({error.strerror}). If the dataset folder was moved, "
            f"make the manifest again with `ffpp-split`."
        ) from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise PackError(f"{path}: not a readable image; extract it again")
    shrinks = min(image.shape[:2]) >= size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=how)[..., ::-1]


def _build(path: Path, crops: Iterable[Path], count: int, size: int) -> None:
    """Fill the array under a temporary name, then rename: it is whole or not there."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    shape = (count, size, size, 3)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        for position, crop in enumerate(crops):
            images[position] = read_image(crop, size)
        images.flush()
        temporary.replace(path)
    except OSError as error:
        raise PackError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)
