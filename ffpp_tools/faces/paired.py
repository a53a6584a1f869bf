"""What a fake has in common with its original: the boxes, after proof that they fit.

A fake of FF++ shows its target's frames, aligned frame by frame, with another face or another
expression in them; so does the same clip at another compression. A face found in the original is
where the fake's face is, provided that the rest of the frame is the same. Of every planned frame
of an original a small copy is kept, and the fake's frame is compared with that.

The limits below are in grey levels (0 to 255) and were measured on 567 frames of fakes at c40
(Deepfakes, Face2Face, FaceSwap, NeuralTextures of 8 targets):

    mean difference            of twins     of the source clip    one second later
    background                 up to 2.6    from 49               from 0.7 (nothing moves)
    round the face             up to 3.2    from 42               from 1.1 (the head is still)
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
FACE_REACH = 1.4  # what a fake may have changed, in sides of the face's box
NEAR_REACH = 2.2  # what moves when the head does
MAX_DIFFERENCE = 5.0  # mean, of the background and of what is round a face

# How far a face differs from its original's: the root mean square of the blurred difference, in
# the window of FACE_WINDOW pixels in which it is largest, the face having FACE_SIDE pixels.
FACE_SIDE = 64
FACE_BLUR = 2.0  # sigma in pixels
FACE_WINDOW = 24
SAME_FACE = 0.5  # intersection over union of a box found in both


@dataclass(frozen=True)
class OriginalFrame:
    """What is kept of one frame of an original."""

    compression: str
    width: int  # of the frame, in pixels
    height: int
    small: Image  # (h, w) uint8 grey levels, its longer side COPY_SIDE
    faces: tuple[Face, ...]
    chosen: int | None  # the track whose crop was voted for
    patches: tuple[Image, ...]  # one for each face, (FACE_SIDE, FACE_SIDE) uint8 grey levels


@dataclass(frozen=True)
class MatchedFrame:
    """A frame that shows what its original shows."""

    original: OriginalFrame
    faces: tuple[Face, ...]  # the original's, in pixels of this frame
    patches: tuple[Image, ...]

    def difference(self, box: Box) -> tuple[float, float]:
        """How far the face in a box differs from the original's.

        Args:
            box: of a face found in this frame.

        Returns:
            The difference in grey levels, and the same as a multiple of the standard deviation
            of the original's face; both nan where the original has no face at this box.
        """
        overlaps = [face.box.overlap(box) for face in self.faces]
        at = int(np.argmax(overlaps))
        if overlaps[at] < SAME_FACE:
            return math.nan, math.nan
        original = self.original.patches[at]
        level = noise(original, self.patches[at])
        return level, level / max(float(original.std()), 1.0)


def reduce_original(
    picture: Picture, faces: Sequence[Face], chosen: int | None, compression: str
) -> OriginalFrame:
    """What to keep of an original's frame."""
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
    """The original's faces in a frame, or None unless the rest of the two is the same.

    The frame may be cut: Face2Face and NeuralTextures keep the middle of frames whose sides are
    no multiples of 32 or so.
    """
    grey, width, height = picture.grey, picture.width, picture.height
    left, top = (original.width - width) // 2, (original.height - height) // 2
    if left < 0 or top < 0:
        return None
    whole = grey
    if left or top:
        right, bottom = original.width - width - left, original.height - height - top
        padded = cv2.copyMakeBorder(grey, top, bottom, left, right, cv2.BORDER_CONSTANT)
        whole = np.asarray(padded, np.uint8)
    difference = cv2.absdiff(_small(whole), original.small)
    visible = _rectangle(original, left, top, left + width, top + height)
    fixed = visible & ~_around(original, FACE_REACH)
    near = fixed & _around(original, NEAR_REACH)
    if not fixed.any() or difference[fixed].mean() > MAX_DIFFERENCE:
        return None
    if near.any() and difference[near].mean() > MAX_DIFFERENCE:
        return None
    faces = []
    for face in original.faces:
        box = replace(face.box, x=face.box.x - left, y=face.box.y - top)
        if min(box.x, box.y) < 0 or box.x + box.width > width or box.y + box.height > height:
            return None  # cut through a face
        faces.append(replace(face, box=box, box_from="twin"))
    return MatchedFrame(original, tuple(faces), tuple(_patch(grey, face.box) for face in faces))


def noise(patch: Image, other: Image) -> float:
    """The largest root mean square of the blurred difference in any window of two patches."""
    difference = cv2.subtract(patch, other, dtype=cv2.CV_32F)
    squares = cv2.GaussianBlur(difference, (0, 0), FACE_BLUR) ** 2
    return float(np.sqrt(cv2.blur(squares, (FACE_WINDOW, FACE_WINDOW)).max()))


def _around(original: OriginalFrame, reach: float) -> Mask:
    """Which pixels of the small copy lie within `reach` box sides round a face."""
    mask = np.zeros(original.small.shape, np.bool_)
    for face in original.faces:
        (x, y), half = face.box.centre, reach * face.box.side / 2
        mask |= _rectangle(original, x - half, y - half, x + half, y + half)
    return mask


def _rectangle(
    original: OriginalFrame, left: float, top: float, right: float, bottom: float
) -> Mask:
    """Which pixels of the small copy lie wholly inside a rectangle of the frame."""
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
    part = grey[box.y : box.y + box.height, box.x : box.x + box.width]
    size = (FACE_SIDE, FACE_SIDE)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
