"""Images and video frames, converted to RGB lazily."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools.errors import DecodeError
from ffpp_tools.files import regular_file

if TYPE_CHECKING:
    import av

Image = npt.NDArray[np.uint8]

# Pixel formats with one byte per sample and brightness in the first plane.
PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p")
# Most video has black at 16 and white at 235.
FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG
FROM_LIMITED = np.clip((np.arange(256) - 16) * 255 / 219 + 0.5, 0, 255).astype(np.uint8)
# Rectangles of a frame are converted from and to multiples of these, in pixels: neighbours share
# colour samples, and libswscale's vector code must give the same result as on the whole frame.
STEP_X, STEP_Y = 32, 2
PNG = b"\x89PNG\r\n\x1a\n"
NOT_CRITICAL = 0x20  # bit in the first letter of a chunk's name: pixels do not depend on the chunk
# Ancillary chunks that nevertheless change the displayed image, with their allowed sizes in bytes.
PNG_EXTRAS: Mapping[bytes, Sequence[int]] = {
    b"acTL": (8,),
    b"fcTL": (26,),
    b"fdAT": range(4, 2**31),
    b"eXIf": range(8, 2**16),
}


def read_image(path: Path) -> Image | None:
    """Read an image file as (H, W, 3) uint8 RGB; None if it cannot be read."""
    try:
        return decoded(regular_file(path).read_bytes())
    except OSError:
        return None


def strip_png_metadata(data: bytes) -> bytes:
    """Remove chunks that pixels do not depend on, such as text and profiles, from a PNG.

    Decoders differ in how far they read, unpack and check these chunks, so that damage in them may
    make an image unreadable that viewers display. Chunks that determine the orientation and the
    first image of an animation are kept. Other files are returned unchanged.
    """
    if not data.startswith(PNG):
        return data
    chunks, start = [PNG], len(PNG)
    while start + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, start)
        name, end = data[start + 4 : start + 8], start + 12 + size
        if name[0] & NOT_CRITICAL:
            valid_size = size in PNG_EXTRAS.get(name, ())
            if valid_size and data[end - 4 : end] == struct.pack(
                ">I", zlib.crc32(data[start + 4 : end - 4])
            ):
                chunks.append(data[start:end])
        else:
            chunks.append(data[start:end])
        start = end
    chunks.append(data[start:])
    return b"".join(chunks)


def decoded(data: bytes) -> Image | None:
    """Decode the bytes of an image file to (H, W, 3) uint8 RGB; None if they are not an image.

    An image that declares more than `MAX_PIXELS` is rejected too, before memory is allocated.
    """
    try:
        image = cv2.imdecode(np.frombuffer(strip_png_metadata(data), np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # no data, or more pixels than allowed
        return None
    return None if image is None else np.ascontiguousarray(image[..., ::-1], np.uint8)


def through_jpeg(image: Image, quality: int) -> Image:
    """Return (H, W, 3) uint8 RGB after JPEG compression at a quality of 1 to 100."""
    data = cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


class Picture:
    """An image in memory.

    Attributes:
        image: (H, W, 3) uint8 RGB.
    """

    def __init__(self, image: Image) -> None:
        """Wrap (H, W, 3) uint8 RGB."""
        self.image = image
        self.height, self.width = image.shape[:2]

    @cached_property
    def grey(self) -> Image:
        """Brightness, (H, W) uint8."""
        return np.asarray(cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY), np.uint8)

    def part(self, x: int, y: int, width: int, height: int) -> Image:
        """Return the pixels of a rectangle inside the image: (height, width, 3) uint8 RGB."""
        return self.image[y : y + height, x : x + width]


class DecodedPicture(Picture):
    """A decoded frame that is converted to RGB on first use, in part or as a whole.

    `part` returns the same pixels as the whole image has there.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        """Wrap a decoded frame without converting it."""
        self._frame = frame
        self.width, self.height = frame.width, frame.height

    @cached_property
    def image(self) -> Image:  # type: ignore[override]
        """The whole frame, (H, W, 3) uint8 RGB."""
        return _rgb(self._frame)

    @cached_property
    def grey(self) -> Image:
        """Brightness, (H, W) uint8."""
        if self._frame.format.name not in PLANAR:
            return super().grey
        luma = _plane(self._frame, 0)
        if self._frame.color_range == FULL_RANGE:
            return luma
        return np.asarray(cv2.LUT(luma, FROM_LIMITED), np.uint8)

    def part(self, x: int, y: int, width: int, height: int) -> Image:
        """Return the pixels of a rectangle inside the image: (height, width, 3) uint8 RGB."""
        # libswscale converts frames of odd height differently from rectangles of even height.
        is_odd, is_planar = self.height % 2, self._frame.format.name in PLANAR
        if "image" in self.__dict__ or is_odd or not is_planar:
            return super().part(x, y, width, height)
        left, top = x // STEP_X * STEP_X, y // STEP_Y * STEP_Y
        right = min(-(-(x + width) // STEP_X) * STEP_X, self.width)
        bottom = min(-(-(y + height) // STEP_Y) * STEP_Y, self.height)
        image = _rgb(_cut(self._frame, left, top, right - left, bottom - top))
        return image[y - top : y - top + height, x - left : x - left + width]


@dataclass(frozen=True)
class Orientation:
    """How decoded frames must be transposed and mirrored for display."""

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """Return the orientation from a frame's display matrix; it is the same for a whole video.

        Call this for one frame per video only: reading side data creates a reference cycle that
        keeps the frame in memory.
        """
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        # A pixel at (x, y) is displayed at (a x + c y, b x + d y), up to a translation.
        a, b, _, c, d, *_ = (int(v) for v in np.frombuffer(cast("bytes", matrix), np.int32))
        if a == 0 and d == 0:
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def picture(self, frame: av.VideoFrame) -> Picture:
        """Return the frame in the orientation for display."""
        if self == Orientation():
            return DecodedPicture(frame)
        image = _rgb(frame).transpose(1, 0, 2) if self.transposed else _rgb(frame)
        image = image[:: -1 if self.flipped_y else 1, :: -1 if self.flipped_x else 1]
        return Picture(np.ascontiguousarray(image))


def _rgb(frame: av.VideoFrame) -> Image:
    import av

    try:
        return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.FFmpegError, ValueError) as error:
        raise DecodeError(
            f"a frame of format {frame.format.name} cannot be converted to RGB ({error})"
        ) from error


def _cut(frame: av.VideoFrame, x: int, y: int, width: int, height: int) -> av.VideoFrame:
    """Copy a rectangle of a planar frame to a new frame of the same format."""
    import av

    part = av.VideoFrame(width, height, frame.format.name)
    part.colorspace, part.color_range = frame.colorspace, frame.color_range
    for i, plane in enumerate(part.planes):
        # Colour planes may have half the width and height, rounded up.
        left = x // 2 if frame.planes[i].width < frame.width else x
        top = y // 2 if frame.planes[i].height < frame.height else y
        source = _plane(frame, i)
        _plane(part, i)[:] = source[top : top + plane.height, left : left + plane.width]
    return part


def _plane(frame: av.VideoFrame, number: int) -> Image:
    """Return one plane of a frame, (h, w) uint8, without copying it."""
    plane = frame.planes[number]
    rows = np.frombuffer(cast("bytes", plane), np.uint8)[: plane.line_size * plane.height]
    return rows.reshape(plane.height, plane.line_size)[:, : plane.width]
