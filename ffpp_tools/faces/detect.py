"""Detect faces with dlib's detectors, the ones that `face_recognition` uses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import cv2
import numpy as np

from ffpp_tools.errors import check_choice
from ffpp_tools.video.image import Image, Picture

# Scaled to this longer side, frames of FF++ show every usable face large enough to be detected.
# Finer scans are limited to images in which nothing is found, which is ten times faster.
COARSE_SIDE = 640
# Near a known box, the image is scaled so that the face has about this side: the detector's window
# has 80 pixels and is applied to a pyramid of smaller and smaller scales.
NEAR_SIDE = 100
NEAR_REACH = 2.0  # side of the search region, in longer sides of the known box
# A face with a lower score is uncertain: it is not followed, and confident faces are preferred to
# it. One in a hundred faces on real c40 clips has a lower score.
SURE_SCORE = 0.5


@dataclass(frozen=True)
class Box:
    """A rectangle inside the frame, in pixels of the full frame."""

    x: int
    y: int
    width: int
    height: int

    @property
    def side(self) -> int:
        """The longer side, in pixels."""
        return max(self.width, self.height)

    @property
    def area(self) -> int:
        """The area in square pixels."""
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """The centre (x, y)."""
        return self.x + self.width / 2, self.y + self.height / 2

    def iou(self, other: Box) -> float:
        """Return the intersection over union with another box, 0 to 1.

        >>> Box(0, 0, 10, 10).iou(Box(0, 5, 10, 10))
        0.3333333333333333
        """
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        intersection = max(width, 0) * max(height, 0)
        return intersection / (self.area + other.area - intersection)


@dataclass(frozen=True)
class Face:
    """A face in a frame."""

    box: Box
    score: float  # the detector's confidence; higher is more confident
    box_from: str = "detected"  # or "followed", "twin" (copied from the original), "whole"
    track: int = 0  # number of the person within the clip


class Detector(Protocol):
    """Finds faces in an image."""

    name: str

    def scan(self, image: Image, upsample: int) -> list[tuple[Any, float]]:
        """Return rectangles (left(), top() …) and scores of faces.

        Args:
            image: contiguous (H, W, 3) uint8 RGB.
            upsample: how many times the image is doubled in size first.
        """
        ...


class HogDetector:
    """dlib's frontal face detector: histograms of oriented gradients."""

    name = "hog"

    def __init__(self) -> None:
        """Load the model, which is part of dlib."""
        import dlib

        self._model = dlib.get_frontal_face_detector()

    def scan(self, image: Image, upsample: int) -> list[tuple[Any, float]]:
        """Return rectangles and scores of faces, as described in `Detector`."""
        rectangles, scores, _ = self._model.run(image, upsample, 0.0)
        return list(zip(rectangles, scores, strict=True))


class CnnDetector:
    """dlib's convolutional face detector: also finds turned faces; slow without a GPU."""

    name = "cnn"

    def __init__(self) -> None:
        """Load the model, which is part of face_recognition."""
        import dlib

        self._model = dlib.cnn_face_detection_model_v1(str(model_path("mmod_human_face_detector")))

    def scan(self, image: Image, upsample: int) -> list[tuple[Any, float]]:
        """Return rectangles and scores of faces, as described in `Detector`."""
        return [(face.rect, face.confidence) for face in self._model(image, upsample)]


def model_path(name: str) -> Path:
    """Return the path of a model of face_recognition.

    The package's own functions for this import all of setuptools and print a warning about it.
    """
    spec = find_spec("face_recognition_models")
    assert spec and spec.submodule_search_locations, "a dependency of face_recognition"
    return Path(spec.submodule_search_locations[0]) / "models" / f"{name}.dat"


@cache
def landmark_model(points: Literal[5, 68] = 5) -> Any:
    """Return one of dlib's models: image and face box → landmarks.

    Five points are the corners of the eyes and the nose; 68 also outline chin, brows and mouth.
    """
    import dlib

    return dlib.shape_predictor(str(model_path(f"shape_predictor_{points}_face_landmarks")))


DETECTORS: dict[str, type[HogDetector] | type[CnnDetector]] = {
    "hog": HogDetector,
    "cnn": CnnDetector,
}
Search = Literal["fast", "full"]


@dataclass(frozen=True)
class FindSettings:
    """How faces are detected, in both clips and stills.

    `fast` searches coarse to fine, and in clips near the last box first; `full` returns exactly the
    boxes of `face_recognition.face_locations`, at about twenty times the cost.
    """

    detector: Literal["hog", "cnn"] = "hog"
    search: Search = "fast"

    def __post_init__(self) -> None:
        """Validate the fields."""
        check_choice("detector", self.detector, tuple(DETECTORS))
        check_choice("search", self.search, get_args(Search))


@cache
def load(name: str) -> Detector:
    """Return the detector with a name in `DETECTORS`, loaded once per process."""
    return DETECTORS[name]()


def find_faces(picture: Picture, settings: FindSettings, last: Box | None = None) -> list[Face]:
    """Detect all faces in an image; `last` is a known box, as for `coarse_to_fine`."""
    detector = load(settings.detector)
    if settings.search == "full":
        return full(picture, detector)
    return coarse_to_fine(picture, detector, last)


def full(picture: Picture, detector: Detector) -> list[Face]:
    """Detect faces as `face_recognition.face_locations` does: in the image at double size."""
    return _scan(picture, detector, upsample=1)


def coarse_to_fine(picture: Picture, detector: Detector, last: Box | None = None) -> list[Face]:
    """Scan at `COARSE_SIDE`, then at native size, then at double size, until a face is found.

    If a box `last` is given, the region around it is searched before the scan at native size, since
    a face too small for the coarse scan is likely to be there.
    """
    scale = COARSE_SIDE / max(picture.height, picture.width)
    if scale < 1:
        faces = _scan(picture, detector, scale=scale)
        if not faces and last:
            faces = near(picture, last, detector)
        if faces:
            return faces
    return _scan(picture, detector) or full(picture, detector)


def near(picture: Picture, box: Box, detector: Detector) -> list[Face]:
    """Detect faces in the region around `box`."""
    (x, y), half = box.centre, NEAR_REACH * box.side / 2
    left, top = max(round(x - half), 0), max(round(y - half), 0)
    right, bottom = min(round(x + half), picture.width), min(round(y + half), picture.height)
    region = (left, top, right - left, bottom - top)
    faces = _scan(picture, detector, region, NEAR_SIDE / box.side)
    return [replace(face, box_from="followed") for face in faces]


def _scan(
    picture: Picture,
    detector: Detector,
    region: tuple[int, int, int, int] | None = None,
    scale: float = 1.0,
    upsample: int = 0,
) -> list[Face]:
    """Scan a region (x, y, width, height) of an image once, after scaling it."""
    x, y, width, height = region or (0, 0, picture.width, picture.height)
    image = picture.part(x, y, width, height) if region else picture.image
    if scale != 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)
    faces = []
    for r, score in detector.scan(np.ascontiguousarray(image), upsample):
        left, right = (_clamped(x + round(v / scale), picture.width) for v in (r.left(), r.right()))
        top, bottom = (
            _clamped(y + round(v / scale), picture.height) for v in (r.top(), r.bottom())
        )
        if right > left and bottom > top:
            faces.append(Face(Box(left, top, right - left, bottom - top), float(score)))
    return faces


def _clamped(value: int, end: int) -> int:
    return min(max(value, 0), end)
