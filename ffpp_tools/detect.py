"""Where the faces are: dlib's HOG detector, the one behind `face_recognition`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

# A frame this large shows every face that is of use in FF++; finer scans are kept for
# the frames in which nothing was found (a factor of ten in time).
COARSE_SIDE = 640


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the full frame, inside it."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Face:
    """A detected face; `score` is the detector's confidence, higher is surer."""

    box: Box
    score: float


class Detector(Protocol):
    """Finds faces in an image."""

    name: str

    def detect(self, image: Image) -> list[Face]:
        """Faces in (H, W, 3) uint8 RGB, in any order; empty when there is none."""
        ...


class HogDetector:
    """dlib's frontal face detector, coarse to fine.

    Scans at `COARSE_SIDE` first, then at native size, then upsampled once (the default of
    `face_recognition.face_locations`); a finer scan runs only where the coarser ones found
    nothing.
    """

    name = "hog"

    def detect(self, image: Image) -> list[Face]:
        """Faces in (H, W, 3) uint8 RGB; boxes are cut to the image."""
        longer = max(image.shape[:2])
        if longer > COARSE_SIDE:
            scale = COARSE_SIDE / longer
            size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            if faces := _scan(small, 0, image.shape, scale):
                return faces
        return _scan(image, 0, image.shape) or _scan(image, 1, image.shape)


def largest(faces: list[Face]) -> Face:
    """The face with the largest box; among equals the leftmost, then the topmost."""
    return min(faces, key=lambda f: (-f.box.width * f.box.height, f.box.x, f.box.y))


def _scan(image: Image, upsample: int, shape: tuple[int, ...], scale: float = 1.0) -> list[Face]:
    """One HOG pass over an image that is `scale` times the frame of `shape`."""
    rectangles, scores, _ = _hog().run(np.ascontiguousarray(image), upsample, 0.0)
    height, width = shape[:2]
    faces = []
    for r, score in zip(rectangles, scores, strict=True):
        left, right = (min(max(round(v / scale), 0), width) for v in (r.left(), r.right()))
        top, bottom = (min(max(round(v / scale), 0), height) for v in (r.top(), r.bottom()))
        if right > left and bottom > top:
            faces.append(Face(Box(left, top, right - left, bottom - top), float(score)))
    return faces


@cache
def _hog() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()
