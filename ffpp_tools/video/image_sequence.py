"""Frames that were written as images: FF++'s own script makes <clip>/0000.png, 0001.png …."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ffpp_tools.errors import DecodeError
from ffpp_tools.files import sha256 as files_sha256
from ffpp_tools.video.decode import Frame
from ffpp_tools.video.demux import ASSUMED_RATE, Video
from ffpp_tools.video.image import Picture, read_image

MOST_FRAMES = 1_000_000  # eleven hours of video: a larger number is a date, or damage


def read_sequence(folder: Path) -> Video:
    """Count the frames of a folder; a file's number is its frame's index.

    Nothing tells when a frame is shown: the times of the video are nan.

    Raises:
        DecodeError: no numbered images there, or numbers beyond reason.
    """
    numbers = _files(folder)
    if not numbers:
        raise DecodeError(f"{folder}: no frames; expected images called 0000.png, 0001.png, …")
    last = max(numbers)
    if last >= MOST_FRAMES:
        raise DecodeError(
            f"{numbers[last]}: frame {last} of a folder of {len(numbers)} images; frames are "
            f"numbered from 0 and below {MOST_FRAMES:,}: rename or remove the image"
        )
    return Video(folder, (), range(last + 1), range(last + 1), float("nan"), 0)


def frames(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    """Read exactly the wanted frames; those that are not there, or no images, are left out."""
    files = _files(video.path)
    for index in wanted:
        path = files.get(index)
        image = None if path is None else read_image(path)
        if image is not None:
            yield Frame(index, index / ASSUMED_RATE, Picture(image))


def sha256(folder: Path, wanted: Sequence[int]) -> str:
    """One hash for the wanted frames' files; empty where none of them can be read."""
    digest, files = hashlib.sha256(), _files(folder)
    for index in wanted:
        with suppress(OSError, KeyError):
            digest.update(f"{index} {files_sha256(files[index])}\n".encode())
    return "" if digest.digest() == hashlib.sha256().digest() else digest.hexdigest()


def _files(folder: Path) -> dict[int, Path]:
    try:
        found = sorted(folder.glob("[!.]*.png"))
    except OSError as error:
        raise DecodeError(f"{folder}: cannot be read ({error.strerror})") from error
    return {int(p.stem): p for p in found if p.stem.isascii() and p.stem.isdigit()}
