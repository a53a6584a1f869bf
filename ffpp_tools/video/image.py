"""An image that is brought to RGB only as far as somebody looks at it."""

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

# Formats of one byte for each sample, brightness in the first plane.
PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p")
# Most video has black at 16 and white at 235.
FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG
FROM_LIMITED = np.clip((np.arange(256) - 16) * 255 / 219 + 0.5, 0, 255).astype(np.uint8)
# Parts of a frame start and end at multiples of these, in pixels, where colours are shared by
# neighbours and libswscale's vector code does the same as on the whole frame.
STEP_X, STEP_Y = 32, 2
PNG = b"\x89PNG\r\n\x1a\n"
NOT_CRITICAL = 0x20  # in the first letter of a chunk's name: pixels may be had without it
# Chunks that change what is shown all the same, and how many bytes these have.
PNG_EXTRAS: Mapping[bytes, Sequence[int]] = {
    b"acTL": (8,),
    b"fcTL": (26,),
    b"fdAT": range(4, 2**31),
    b"eXIf": range(8, 2**16),
}


def read_image(path: Path) -> Image | None:
    """An image file, (H, W, 3) uint8 RGB, or None where it cannot be read."""
    try:
        return decoded(regular_file(path).read_bytes())
    except OSError:
        return None


def strip_png_metadata(data: bytes) -> bytes:
    """A PNG without what its pixels do not depend on: text, profiles, what is damaged of these.

    Decoders differ in how much of it they read, unpack and check; viewers show the picture. What
    it shows first of an animation, and which way up, is kept. Other files are as they were.
    """
    if not data.startswith(PNG):
        return data
    kept, at = [PNG], len(PNG)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + size
        if kind[0] & NOT_CRITICAL:
            fits = size in PNG_EXTRAS.get(kind, ())
            if fits and data[end - 4 : end] == struct.pack(
                ">I", zlib.crc32(data[at + 4 : end - 4])
            ):
                kept.append(data[at:end])
        else:
            kept.append(data[at:end])
        at = end
    kept.append(data[at:])
    return b"".join(kept)


def decoded(data: bytes) -> Image | None:
    """The image in a file's bytes, (H, W, 3) uint8 RGB, or None where there is none.

    One that declares more than `MAX_PIXELS` is none: nothing is allocated for it.
    """
    try:
        image = cv2.imdecode(np.frombuffer(strip_png_metadata(data), np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # nothing at all, or more pixels than allowed
        return None
    return None if image is None else np.ascontiguousarray(image[..., ::-1], np.uint8)


def through_jpeg(image: Image, quality: int) -> Image:
    """(H, W, 3) uint8 RGB after JPEG at a quality of 1 to 100."""
    data = cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


class Picture:
    """An image in memory.

    Attributes:
        image: (H, W, 3) uint8 RGB.
    """

    def __init__(self, image: Image) -> None:
        """From (H, W, 3) uint8 RGB."""
        self.image = image
        self.height, self.width = image.shape[:2]

    @cached_property
    def grey(self) -> Image:
        """(H, W) uint8: brightness alone."""
        return np.asarray(cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY), np.uint8)

    def part(self, x: int, y: int, width: int, height: int) -> Image:
        """The pixels of a rectangle inside the image: (height, width, 3) uint8 RGB."""
        return self.image[y : y + height, x : x + width]


class DecodedPicture(Picture):
    """A frame as it comes out of the decoder.

    Parts, and the whole, have the same pixels whichever is asked for.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        """Nothing is converted yet."""
        self._frame = frame
        self.width, self.height = frame.width, frame.height

    @cached_property
    def image(self) -> Image:  # type: ignore[override]
        """(H, W, 3) uint8 RGB."""
        return _rgb(self._frame)

    @cached_property
    def grey(self) -> Image:
        """(H, W) uint8: brightness alone."""
        if self._frame.format.name not in PLANAR:
            return super().grey
        luma = _plane(self._frame, 0)
        if self._frame.color_range == FULL_RANGE:
            return luma
        return np.asarray(cv2.LUT(luma, FROM_LIMITED), np.uint8)

    def part(self, x: int, y: int, width: int, height: int) -> Image:
        """As in `Picture`."""
        # libswscale treats frames of odd height in another way than parts of even height.
        odd, planar = self.height % 2, self._frame.format.name in PLANAR
        if "image" in self.__dict__ or odd or not planar:
            return super().part(x, y, width, height)
        left, top = x // STEP_X * STEP_X, y // STEP_Y * STEP_Y
        right = min(-(-(x + width) // STEP_X) * STEP_X, self.width)
        bottom = min(-(-(y + height) // STEP_Y) * STEP_Y, self.height)
        image = _rgb(_cut(self._frame, left, top, right - left, bottom - top))
        return image[y - top : y - top + height, x - left : x - left + width]


@dataclass(frozen=True)
class Orientation:
    """How frames are to be turned and mirrored before they are shown."""

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """As the frame's display matrix says; the same for all frames of a video.

        Ask one frame of each video only: the answer makes the frame part of a circle of references.
        """
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        # A pixel at (x, y) is shown at (a x + c y, b x + d y), up to a shift.
        a, b, _, c, d, *_ = (int(v) for v in np.frombuffer(cast("bytes", matrix), np.int32))
        if a == 0 and d == 0:
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def picture(self, frame: av.VideoFrame) -> Picture:
        """The frame as it is to be shown."""
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
        raise DecodeError(f"a frame of format {frame.format.name} has no RGB ({error})") from error


def _cut(frame: av.VideoFrame, x: int, y: int, width: int, height: int) -> av.VideoFrame:
    """A rectangle of a planar frame, as a frame of the same format."""
    import av

    part = av.VideoFrame(width, height, frame.format.name)
    part.colorspace, part.color_range = frame.colorspace, frame.color_range
    for i, plane in enumerate(part.planes):
        # Planes of colour may have half the width and height, rounded up.
        left = x // 2 if frame.planes[i].width < frame.width else x
        top = y // 2 if frame.planes[i].height < frame.height else y
        source = _plane(frame, i)
        _plane(part, i)[:] = source[top : top + plane.height, left : left + plane.width]
    return part


def _plane(frame: av.VideoFrame, number: int) -> Image:
    """One plane of a frame, (h, w) uint8, not copied."""
    plane = frame.planes[number]
    rows = np.frombuffer(cast("bytes", plane), np.uint8)[: plane.line_size * plane.height]
    return rows.reshape(plane.height, plane.line_size)[:, : plane.width]
