"""Match frames of a fake to those of its original, and reuse the original's face boxes.

A fake of FF++ shows the frames of its target, aligned frame by frame, with another face or another
expression; the same clip at another compression shows the same frames. A face in the original is
therefore at the same position in the fake, provided that the rest of the frame is the same. To
check this, a small copy of each sampled frame of the original is kept and compared with the frame
of the fake.

The limits below are in grey levels (0 to 255) and were measured on 567 frames of fakes at c40
(Deepfakes, Face2Face, FaceSwap, NeuralTextures of 8 targets):

    mean difference            same frame   of the source clip    one second later
    background                 up to 2.6    from 49               from 0.7 (nothing moves)
    around the face            up to 3.2    from 42               from 1.1 (the head is still)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools.faces.detect import Box, Face
from ffpp_tools.video.image import Image, Picture

Mask = npt.NDArray[np.bool_]

COPY_SIDE = 160  # the longer side of a small copy, in pixels
FACE_REACH = 1.4  # side of the region that a fake may change, in sides of the face's box
NEAR_REACH = 2.2  # side of the region that moves with the head, in sides of the face's box
MAX_DIFFERENCE = 5.0  # maximum mean difference, of the background and of the region around a face

# The difference of a face from the original's is the root mean square of the blurred difference in
# the window of FACE_WINDOW pixels where it is largest, with the face scaled to FACE_SIDE pixels.
FACE_SIDE = 64
FACE_BLUR = 2.0  # sigma in pixels
FACE_WINDOW = 24
SAME_FACE = 0.5  # minimum intersection over union of the boxes of one face in both frames


@dataclass(frozen=True)
class OriginalFrame:
    """The data kept of one frame of an original."""

    compression: str
    width: int  # of the frame, in pixels
    height: int
    small: Image  # (h, w) uint8 grey levels, its longer side COPY_SIDE
    faces: tuple[Face, ...]
    chosen: int | None  # the selected track
    patches: tuple[Image, ...]  # one per face, (FACE_SIDE, FACE_SIDE) uint8 grey levels


@dataclass(frozen=True)
class MatchedFrame:
    """A frame that matches the frame of its original outside the faces."""

    original: OriginalFrame
    faces: tuple[Face, ...]  # the original's, in pixels of this frame
    patches: tuple[Image, ...]  # of this frame, one per face

    def difference(self, box: Box) -> tuple[float, float]:
        """Return how far the face in a box differs from the original's.

        Args:
            box: box of a face in this frame.

        Returns:
            The difference in grey levels, and divided by the standard deviation of the original's
            face; both nan if the original has no face at this box.
        """
        ious = [face.box.iou(box) for face in self.faces]
        best = int(np.argmax(ious))
        if ious[best] < SAME_FACE:
            return math.nan, math.nan
        original = self.original.patches[best]
        level = noise(original, self.patches[best])
        return level, level / max(float(original.std()), 1.0)


def reduce_original(
    picture: Picture, faces: Sequence[Face], chosen: int | None, compression: str
) -> OriginalFrame:
    """Reduce a frame of an original to the data needed for matching."""
    return OriginalFrame(
        compression,
        picture.width,
        picture.height,
        _small(picture.grey),
        tuple(faces),
        chosen,
        tuple(_patch(picture.grey, face.box) for face in faces),
    )


def match(picture: Picture, original: OriginalFrame) -> MatchedFrame | None:
    """Match a frame to its original; None unless the two are the same outside the faces.

    The frame may be cropped: if the sides of the original are not multiples of about 32, Face2Face
    and NeuralTextures keep its centre.
    """
    grey, width, height = picture.grey, picture.width, picture.height
    left, top = (original.width - width) // 2, (original.height - height) // 2
    if left < 0 or top < 0:
        return None
    padded = grey
    if left or top:
        right, bottom = original.width - width - left, original.height - height - top
        bordered = cv2.copyMakeBorder(grey, top, bottom, left, right, cv2.BORDER_CONSTANT)
        padded = np.asarray(bordered, np.uint8)
    difference = cv2.absdiff(_small(padded), original.small)
    visible = _rectangle(original, left, top, left + width, top + height)
    background = visible & ~_around(original, FACE_REACH)
    near_faces = background & _around(original, NEAR_REACH)
    if not background.any() or difference[background].mean() > MAX_DIFFERENCE:
        return None
    if near_faces.any() and difference[near_faces].mean() > MAX_DIFFERENCE:
        return None
    faces = []
    for face in original.faces:
        box = replace(face.box, x=face.box.x - left, y=face.box.y - top)
        if min(box.x, box.y) < 0 or box.x + box.width > width or box.y + box.height > height:
            return None  # the frame's edge cuts a face
        faces.append(replace(face, box=box, box_from="twin"))
    return MatchedFrame(original, tuple(faces), tuple(_patch(grey, face.box) for face in faces))


def noise(patch: Image, other: Image) -> float:
    """Return the largest root mean square, over all windows, of two patches' blurred difference."""
    difference = cv2.subtract(patch, other, dtype=cv2.CV_32F)
    squares = cv2.GaussianBlur(difference, (0, 0), FACE_BLUR) ** 2
    return float(np.sqrt(cv2.blur(squares, (FACE_WINDOW, FACE_WINDOW)).max()))


def _around(original: OriginalFrame, reach: float) -> Mask:
    """Mask of the pixels of the small copy in squares of `reach` box sides around the faces."""
    mask = np.zeros(original.small.shape, np.bool_)
    for face in original.faces:
        (x, y), half = face.box.centre, reach * face.box.side / 2
        mask |= _rectangle(original, x - half, y - half, x + half, y + half)
    return mask


def _rectangle(
    original: OriginalFrame, left: float, top: float, right: float, bottom: float
) -> Mask:
    """Mask of the pixels of the small copy that are completely inside a rectangle of the frame."""
    height, width = original.small.shape
    x, y = width / original.width, height / original.height
    rows, columns = np.arange(height)[:, None], np.arange(width)
    inside_y = (rows >= top * y) & (rows + 1 <= bottom * y)
    return np.asarray(inside_y & (columns >= left * x) & (columns + 1 <= right * x))


def _small(grey: Image) -> Image:
    scale = COPY_SIDE / max(grey.shape)
    size = (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _patch(grey: Image, box: Box) -> Image:
    face = grey[box.y : box.y + box.height, box.x : box.x + box.width]
    size = (FACE_SIDE, FACE_SIDE)
    return np.asarray(cv2.resize(face, size, interpolation=cv2.INTER_AREA), np.uint8)
