"""Detect faces, with dlib's detectors, which `face_recognition` uses, or with YuNet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

import cv2
import numpy as np

from ffpp_tools.errors import SettingsError, check_choice
from ffpp_tools.faces import yunet
from ffpp_tools.video.image import Image, Picture

# Scaled to this longer side, frames of FF++ show every usable face large enough for dlib's
# detectors. Finer scans are limited to images in which nothing is found, which is ten times faster.
COARSE_SIDE = 640
# Near a known box, the image is scaled so that the face has about this side: the window of dlib's
# detectors has 80 pixels and is applied to a pyramid of smaller and smaller scales.
NEAR_SIDE = 100
NEAR_REACH = 2.0  # side of the search region, in longer sides of the known box
# A face with a lower score is uncertain: it is not followed, and confident faces are preferred to
# it. One in a hundred faces that HOG detects on real c40 clips has a lower score; no face of YuNet
# has one, as its minimum is `yunet.MIN_SCORE`.
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
    coarse_sides: tuple[int, ...]  # longer sides to which images are scaled first, ascending
    near_side: int  # side to which a face near a known box is scaled, in pixels

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
    coarse_sides = (COARSE_SIDE,)
    near_side = NEAR_SIDE

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
    coarse_sides = (COARSE_SIDE,)
    near_side = NEAR_SIDE

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


DETECTORS: dict[str, type[HogDetector] | type[CnnDetector] | type[yunet.YunetDetector]] = {
    "hog": HogDetector,
    "cnn": CnnDetector,
    "yunet": yunet.YunetDetector,
}
WITH_MODEL_FILE = ("yunet",)  # detectors whose model is a file that the user has to name
Search = Literal["fast", "full"]
NOT_RECORDED = {"recorded": False}  # metadata of fields that are not in settings.json


@dataclass(frozen=True)
class FindSettings:
    """How faces are detected, in both clips and stills.

    `fast` searches coarse to fine, and in clips near the last box first; `full` returns exactly the
    boxes of `face_recognition.face_locations`, at about twenty times the cost.

    YuNet's model is a file. Its SHA-256 is the setting, and `model_file` is only where it is on
    this machine: without it, settings can be compared, but no faces detected.
    """

    detector: Literal["hog", "cnn", "yunet"] = "hog"
    search: Search = "fast"
    # Of YuNet: a name in `yunet.KNOWN`, or "unknown". A later release may know the file.
    detector_model: str = field(default="", compare=False)
    detector_sha256: str = ""  # of YuNet's model file
    model_file: Path | None = field(default=None, compare=False, metadata=NOT_RECORDED)

    def __post_init__(self) -> None:
        """Validate the fields, and identify the model file."""
        check_choice("detector", self.detector, tuple(DETECTORS))
        check_choice("search", self.search, get_args(Search))
        if self.detector not in WITH_MODEL_FILE:
            if self.model_file or self.detector_model or self.detector_sha256:
                raise SettingsError(
                    f"detector {self.detector} has no model file: omit it, or choose detector "
                    f"{WITH_MODEL_FILE[0]}"
                )
            return
        if self.search == "full":
            raise SettingsError(
                f"search full gives the boxes of face_recognition, which does not have "
                f"{self.detector}: use search fast"
            )
        if self.model_file:
            self._identify(self.model_file)
        elif not self.detector_sha256:
            raise SettingsError(
                f"detector {self.detector} needs a model file, with --detector-model FILE. "
                f"{yunet.how_to_get()}"
            )

    @property
    def detector_label(self) -> str:
        """The detector's name in `faces.parquet`, with that of its model file if it has one."""
        if not self.detector_sha256:
            return self.detector
        known = self.detector_model != yunet.UNKNOWN
        digest = "" if known else f"-{self.detector_sha256[:12]}"
        return f"{self.detector}-{self.detector_model}{digest}"

    def _identify(self, model_file: Path) -> None:
        """Set the name and the SHA-256 of the model file, or compare them with those given."""
        name, digest = yunet.identify(model_file)
        if self.detector_sha256 not in ("", digest):
            raise SettingsError(
                f"{model_file} is another model file than the one that these settings require: its "
                f"SHA-256 is {digest}, not {self.detector_sha256} ({self.detector_model}). "
                f"{yunet.how_to_get(self.detector_model)}"
            )
        object.__setattr__(self, "detector_model", name)
        object.__setattr__(self, "detector_sha256", digest)


def load(settings: FindSettings) -> Detector:
    """Return the detector that the settings name, loaded once per process.

    Raises:
        SettingsError: its model file is not given, is missing or has changed.
    """
    if settings.detector not in WITH_MODEL_FILE:
        return _loaded(settings.detector)
    if not settings.model_file:
        raise SettingsError(
            f"detector {settings.detector} needs the model file {settings.detector_model} (SHA-256 "
            f"{settings.detector_sha256}), with --detector-model FILE. "
            f"{yunet.how_to_get(settings.detector_model)}"
        )
    return _loaded_from(settings.detector, settings.model_file, settings.detector_sha256)


@cache
def _loaded(name: str) -> Detector:
    detector: Any = DETECTORS[name]
    return cast("Detector", detector())


@cache
def _loaded_from(name: str, model_file: Path, sha256: str) -> Detector:
    """Load a detector from its file, unless the file has changed, as it may on another machine."""
    if yunet.identify(model_file)[1] != sha256:
        raise SettingsError(f"{model_file} has changed: its SHA-256 is no longer {sha256}")
    detector: Any = DETECTORS[name]
    return cast("Detector", detector(model_file))


def find_faces(picture: Picture, settings: FindSettings, last: Box | None = None) -> list[Face]:
    """Detect all faces in an image; `last` is a known box, as for `coarse_to_fine`.

    Raises:
        SettingsError: as `load`.
    """
    detector = load(settings)
    if settings.search == "full":
        return full(picture, detector)
    return coarse_to_fine(picture, detector, last)


def full(picture: Picture, detector: Detector) -> list[Face]:
    """Detect faces as `face_recognition.face_locations` does: in the image at double size."""
    return _scan(picture, detector, upsample=1)


def coarse_to_fine(picture: Picture, detector: Detector, last: Box | None = None) -> list[Face]:
    """Scan at the detector's coarse sides, at native and at double size, until a face is found.

    If a box `last` is given, the region around it is searched after the first scan, since a face
    too small for it is likely to be there.
    """
    longer = max(picture.height, picture.width)
    for number, side in enumerate(side for side in detector.coarse_sides if side < longer):
        faces = _scan(picture, detector, scale=side / longer)
        if not faces and last and number == 0:
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
    faces = _scan(picture, detector, region, detector.near_side / box.side)
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
