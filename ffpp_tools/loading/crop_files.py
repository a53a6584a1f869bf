"""Crop files as arrays: checked against their recorded hash, decoded and scaled."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2

from ffpp_tools.errors import CropError
from ffpp_tools.files import regular_file
from ffpp_tools.video.image import Image, decoded

INTERPOLATION = "area, cubic"  # used by `scaled`; part of the hash in the name of a packed array


def checked_bytes(path: Path, sha256: str) -> bytes:
    """Return the contents of a crop file.

    Raises:
        CropError: the file is missing, cannot be read, or differs from its recorded hash.
    """
    try:
        data = regular_file(path).read_bytes()
    except OSError as error:
        raise CropError(
            f"{path}: cannot be read ({error.strerror}). If the dataset folder was moved, "
            f"create the manifest again with `ffpp-split`."
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CropError(
            f"{path}: differs from the crop that the dataset recorded; extract it again "
            f"(`ffpp-extract --verify` lists all crops that differ)"
        )
    return data


def read_crop(path: Path, sha256: str) -> Image:
    """Return a crop file's image, (H, W, 3) uint8 RGB.

    Raises:
        CropError: the file is missing, unreadable, or differs from its recorded hash.
    """
    image = decoded(checked_bytes(path, sha256))
    if image is None:
        raise CropError(f"{path}: not a readable image; extract it again")
    return image


def scaled(image: Image, size: int) -> Image:
    """Resize an image to `size` × `size`; one that is not square is stretched.

    Area averaging shrinks, cubic interpolation enlarges.
    """
    shrinks = min(image.shape[:2]) >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=interpolation)
