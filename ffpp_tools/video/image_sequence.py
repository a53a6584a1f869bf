"""Clips stored as numbered images <clip>/0000.png, 0001.png, …, as FF++'s script writes them."""

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

MAX_FRAMES = 1_000_000  # eleven hours of video: larger numbers are dates or other errors


def read_sequence(folder: Path) -> Video:
    """Count the frames of a folder; the number in a file name is the index of the frame.

    Frame times are unknown: those of the video are nan.

    Raises:
        DecodeError: there are no numbered images, or a number is unreasonably large.
    """
    numbers = _files(folder)
    if not numbers:
        raise DecodeError(f"{folder}: no frames; expected images named 0000.png, 0001.png, …")
    last = max(numbers)
    if last >= MAX_FRAMES:
        raise DecodeError(
            f"{numbers[last]}: frame number {last} in a folder of {len(numbers)} images; frames "
            f"are numbered from 0 and below {MAX_FRAMES:,}: rename or remove the image"
        )
    return Video(folder, (), range(last + 1), range(last + 1), float("nan"), 0)


def frames(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    """Read exactly the wanted frames; missing and unreadable ones are omitted."""
    files = _files(video.path)
    for index in wanted:
        path = files.get(index)
        image = None if path is None else read_image(path)
        if image is not None:
            yield Frame(index, index / ASSUMED_RATE, Picture(image))


def sha256(folder: Path, wanted: Sequence[int]) -> str:
    """Return one SHA-256 for the files of the wanted frames; empty if none can be read."""
    digest, files = hashlib.sha256(), _files(folder)
    for index in wanted:
        with suppress(OSError, KeyError):
            digest.update(f"{index} {files_sha256(files[index])}\n".encode())
    return "" if digest.digest() == hashlib.sha256().digest() else digest.hexdigest()


def _files(folder: Path) -> dict[int, Path]:
    try:
        paths = sorted(folder.glob("[!.]*.png"))
    except OSError as error:
        raise DecodeError(f"{folder}: cannot be read ({error.strerror})") from error
    return {int(p.stem): p for p in paths if p.stem.isascii() and p.stem.isdigit()}
