"""Where the faces are in an image: dlib's detectors, those behind `face_recognition`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from ffpp_tools.errors import check_choice
from ffpp_tools.video.image import Image, Picture

# An image this large shows every face that is of use in FF++; finer scans are kept for
# the images in which nothing was found (a factor of ten in time).
COARSE_SIDE = 640
# Near a known box, the image is scaled so that the face has about this side: the detector's
# window has 80 pixels, and is moved over a pyramid of scales from there on.
NEAR_SIDE = 100
NEAR_REACH = 2.0  # side of the region that is searched, in longer sides of the known box
# A face of a lower score is a guess: not followed, and not preferred to a sure one. Of the faces
# on real c40 clips one in a hundred scores less.
SURE_SCORE = 0.5


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the full frame, inside it."""

    x: int
    y: int
    width: int
    height: int

    @property
    def side(self) -> int:
        """The longer side."""
        return max(self.width, self.height)

    @property
    def area(self) -> int:
        """In square pixels."""
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y)."""
        return self.x + self.width / 2, self.y + self.height / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union, 0 to 1.

        >>> Box(0, 0, 10, 10).overlap(Box(0, 5, 10, 10))
        0.3333333333333333
        """
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(width, 0) * max(height, 0)
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True)
class Face:
    """A face in a frame."""

    box: Box
    score: float  # the detector's confidence, higher is surer
    box_from: str = "detected"  # or "followed", "twin", "whole"
    track: int = 0  # which person of the clip


class Detector(Protocol):
    """Finds faces in an image."""

    name: str

    def scan(self, image: Image, upsample: int) -> list[tuple[Any, float]]:
        """Rectangles (left(), top() …) and scores, of an image doubled `upsample` times.

        `image` is (H, W, 3) uint8 RGB, contiguous.
        """
        ...


class HogDetector:
    """dlib's frontal face detector: histograms of oriented gradients."""

    name = "hog"

    def __init__(self) -> None:
        """Load the model, which comes with dlib."""
        import dlib

        self._find = dlib.get_frontal_face_detector()

    def scan(self, image: Image, upsample: int) -> list[tuple[Any, float]]:
        """As in `Detector`."""
        rectangles, scores, _ = self._find.run(image, upsample, 0.0)
        return list(zip(rectangles, scores, strict=True))


class CnnDetector:
    """dlib's convolutional face detector: finds turned faces too, slow without a GPU."""

    name = "cnn"

    def __init__(self) -> None:
        """Load the model, which comes with face_recognition."""
        import dlib

        self._find = dlib.cnn_face_detection_model_v1(str(model_path("mmod_human_face_detector")))

    def scan(self, image: Image, upsample: int) -> list[tuple[Any, float]]:
        """As in `Detector`."""
        return [(found.rect, found.confidence) for found in self._find(image, upsample)]


def model_path(name: str) -> Path:
    """Where a model of face_recognition lies.

    Its own functions for that load all of setuptools, and print a warning that they do.
    """
    spec = find_spec("face_recognition_models")
    assert spec and spec.submodule_search_locations, "a dependency of face_recognition"
    return Path(spec.submodule_search_locations[0]) / "models" / f"{name}.dat"


@cache
def landmark_model() -> Any:
    """Dlib's five-point model: from an image and a face's box the eyes' corners and the nose."""
    import dlib

    return dlib.shape_predictor(str(model_path("shape_predictor_5_face_landmarks")))


DETECTORS: dict[str, type[HogDetector] | type[CnnDetector]] = {
    "hog": HogDetector,
    "cnn": CnnDetector,
}
SEARCHES = ("fast", "full")


@dataclass(frozen=True)
class FindSettings:
    """How faces are looked for, in clips and stills alike.

    `fast` looks coarse to fine, and in clips near the last box first; `full` gives exactly the
    boxes of `face_recognition.face_locations`, at about twenty times the cost.
    """

    detector: str = "hog"
    search: str = "fast"

    def __post_init__(self) -> None:
        """Refuse what is not there."""
        check_choice("detector", self.detector, tuple(DETECTORS))
        check_choice("search", self.search, SEARCHES)


@cache
def load(name: str) -> Detector:
    """The detector of a name in `DETECTORS`; loaded once in each process."""
    return DETECTORS[name]()


def find_faces(picture: Picture, settings: FindSettings, last: Box | None = None) -> list[Face]:
    """All faces in a whole picture; `last` as in `coarse_to_fine`."""
    detector = load(settings.detector)
    if settings.search == "full":
        return full(picture, detector)
    return coarse_to_fine(picture, detector, last)


def full(picture: Picture, detector: Detector) -> list[Face]:
    """What `face_recognition.face_locations` finds: a scan of the image doubled once."""
    return _scan(picture, detector, upsample=1)


def coarse_to_fine(picture: Picture, detector: Detector, last: Box | None = None) -> list[Face]:
    """Scans at `COARSE_SIDE`, then at native size, then doubled, till something is found.

    Near the box `last`, if one is given, before native size: a face too small for the coarse scan
    is likely to be there.
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
    """Faces in the surroundings of `box`."""
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
    """One pass over a region (x, y, width, height) of a picture, scaled first."""
    x, y, width, height = region or (0, 0, picture.width, picture.height)
    image = picture.part(x, y, width, height) if region else picture.image
    if scale != 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
    faces = []
    for r, score in detector.scan(np.ascontiguousarray(image), upsample):
        left, right = (_within(x + round(v / scale), picture.width) for v in (r.left(), r.right()))
        top, bottom = (_within(y + round(v / scale), picture.height) for v in (r.top(), r.bottom()))
        if right > left and bottom > top:
            faces.append(Face(Box(left, top, right - left, bottom - top), float(score)))
    return faces


def _within(value: int, end: int) -> int:
    return min(max(value, 0), end)
