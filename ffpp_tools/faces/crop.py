"""Crop face boxes from frames and save the crops.

box        the detector's box, enlarged by the margin
square     side of margin × the box's longer side, shifted inside the frame
aligned    rotated and scaled so that the eyes, or five landmarks, are at fixed positions
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from ffpp_tools.errors import FfppError, SettingsError, check_choice
from ffpp_tools.faces.detect import Box, landmark_model
from ffpp_tools.video.image import Image, Picture, through_jpeg

Shape = Literal["square", "box"]
Format = Literal["png", "jpg"]
Alignment = Literal["eyes", "deepfakebench"]
JPEG_QUALITY = 95

# Aligned crops: side in pixels, and the centres of the eyes at margin 1 as fractions of the side.
# They are those of ArcFace's five-point template (112 × 112), which DeepfakeBench's preprocessing
# scales to 256 with a margin of 1.3.
ALIGNED_SIDE = 256
LEFT_EYE = (38.2946 / 112, 51.6963 / 112)
RIGHT_EYE = (73.5318 / 112, 51.5014 / 112)
# The other three points of that template: the tip of the nose and the corners of the mouth.
TEMPLATE = (
    LEFT_EYE,
    RIGHT_EYE,
    (56.0252 / 112, 71.7366 / 112),
    (41.5493 / 112, 92.3655 / 112),
    (70.7299 / 112, 92.2041 / 112),
)
# The points among dlib's 68 that DeepfakeBench maps to the template (preprocessing/preprocess.py
# of its repository): upper eyelids, tip of the nose, and upper lip beside the corners of the mouth
# (49) and the right corner's lower neighbour (55).
FIVE = (37, 44, 30, 49, 55)


@dataclass(frozen=True)
class CropSettings:
    """How faces are cropped; the same for every category of a dataset folder.

    `square` crops a square with a side of `margin` times the box's longer side; `box` crops the box
    enlarged by `margin` (1.0 is the bare box of the paper).
    """

    margin: float = 1.3
    shape: Shape = "square"
    min_face: int = 0  # boxes with a longer side below this, in pixels, are `too_small`
    align: bool = False  # rotate and scale squares so that the eyes are at fixed positions
    size: str = ""  # resize every crop to this, such as "480x320"; empty: keep its size
    format: Format = "png"  # "png", or "jpg" at quality 95
    landmarks: bool = False  # measure 68 facial landmarks in every crop
    alignment: Alignment = "eyes"  # what `align` maps: the eyes, or five points as DeepfakeBench

    def __post_init__(self) -> None:
        """Validate the fields."""
        if not 0.5 <= self.margin <= 5:
            raise SettingsError(f"margin ({self.margin}) must be between 0.5 and 5")
        check_choice("shape", self.shape, get_args(Shape))
        if self.min_face < 0:
            raise SettingsError(f"min_face ({self.min_face}) must not be negative")
        if self.align and self.shape != "square":
            raise SettingsError("aligned crops are square: omit either `align` or `shape`")
        check_choice("alignment", self.alignment, get_args(Alignment))
        if self.alignment != "eyes" and not self.align:
            raise SettingsError(f"alignment {self.alignment} applies to aligned crops: add `align`")
        if self.size and not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", self.size):
            raise SettingsError(f"size ({self.size!r}) must be width x height, such as 480x320")
        check_choice("format", self.format, get_args(Format))


@dataclass(frozen=True)
class Window:
    """The region of a frame that is cropped, in pixels of the frame.

    It is completely inside the frame, except for aligned crops: there, x and y are the upper left
    corner of the rotated square's bounding box, and width and height are the square's side.
    """

    x: int
    y: int
    width: int
    height: int
    clamped: bool  # shifted or shrunk at the frame's edge; if aligned, extends past it


def cut(picture: Picture, box: Box, settings: CropSettings) -> tuple[Image, Window]:
    """Return the crop of a face, (h, w, 3) uint8 RGB, and its window in the frame."""
    if settings.align:
        align = _aligned if settings.alignment == "eyes" else _aligned_as_deepfakebench
        pixels, w = align(picture.image, box, settings.margin)
    else:
        w = window(box, settings, picture.width, picture.height)
        pixels = picture.part(w.x, w.y, w.width, w.height)
    return _resized(pixels, settings.size), w


def whole(picture: Picture, settings: CropSettings) -> tuple[Image, Window]:
    """Return the whole image, resized only if the settings specify a size, and its window."""
    window = Window(0, 0, picture.width, picture.height, clamped=False)
    return _resized(picture.image, settings.size), window


def window(box: Box, settings: CropSettings, width: int, height: int) -> Window:
    """Return the window around `box` in a frame of `width` × `height` pixels, never padded.

    A square is shifted inside the frame, and shrunk only if the frame is smaller; a box-shaped
    window is cut off at the frame's edge.
    """
    centre_x, centre_y = box.x + box.width / 2, box.y + box.height / 2
    if settings.shape == "box":
        half_w, half_h = settings.margin * box.width / 2, settings.margin * box.height / 2
        left, top = round(centre_x - half_w), round(centre_y - half_h)
        right, bottom = round(centre_x + half_w), round(centre_y + half_h)
        x, y = max(left, 0), max(top, 0)
        x_end, y_end = min(right, width), min(bottom, height)
        clamped = (x, y, x_end, y_end) != (left, top, right, bottom)
        return Window(x, y, x_end - x, y_end - y, clamped)
    wanted = round(settings.margin * max(box.width, box.height))
    size = min(wanted, width, height)
    left, top = round(centre_x - size / 2), round(centre_y - size / 2)
    x, y = min(max(left, 0), width - size), min(max(top, 0), height - size)
    return Window(x, y, size, size, clamped=(x, y, size) != (left, top, wanted))


def save(path: Path, image: Image) -> str:
    """Save (H, W, 3) uint8 RGB as PNG or JPEG, depending on the suffix, and return the SHA-256.

    Raises:
        FfppError: the file cannot be written.
    """
    # This PNG filter gives smaller files than the default one, in less time.
    options = {
        ".png": (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
        ".jpg": (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
    }[path.suffix]
    data = cv2.imencode(path.suffix, image[..., ::-1], options)[1].tobytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise FfppError(f"{path}: cannot be written ({error.strerror})") from error
    return hashlib.sha256(data).hexdigest()


def as_saved(image: Image, settings: CropSettings) -> Image:
    """Return the pixels as `save` would store them: (H, W, 3) uint8 RGB."""
    return image if settings.format == "png" else through_jpeg(image, JPEG_QUALITY)


def _resized(image: Image, size: str) -> Image:
    if not size:
        return image
    width, height = (int(side) for side in size.split("x"))
    shrinks = width * height < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def _aligned(image: Image, box: Box, margin: float) -> tuple[Image, Window]:
    """Return the square with the eyes at fixed positions; edge pixels repeat outside the frame."""
    eyes = _eyes(image, box)
    targets = _places(TEMPLATE[:2], margin)
    # The similarity z → turn · z + shift maps the eyes, as complex numbers, to their targets.
    turn = (targets[1] - targets[0]) / (eyes[1] - eyes[0])
    shift = targets[0] - turn * eyes[0]
    window = _window_of(turn, shift, image)
    height, width = image.shape[:2]
    if abs(turn) < 1:  # shrink with area averaging first, since warping samples single pixels
        size = (max(round(width * abs(turn)), 1), max(round(height * abs(turn)), 1))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        turn /= size[0] / width
    # Pixel centres are at half-integer coordinates.
    shift += turn * complex(0.5, 0.5) - complex(0.5, 0.5)
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    aligned = cv2.warpAffine(
        image,
        matrix,
        (ALIGNED_SIDE, ALIGNED_SIDE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(aligned, np.uint8), window


def _aligned_as_deepfakebench(image: Image, box: Box, margin: float) -> tuple[Image, Window]:
    """Return the square with five landmarks as close as possible to their places in the template.

    As in DeepfakeBench's preprocessing, pixels are sampled bilinearly without averaging, and are
    black outside the frame. (It takes the same points from a landmark model with 81 points, whose
    first 68 have the same meaning as dlib's.)
    """
    import dlib

    rectangle = dlib.rectangle(box.x, box.y, box.x + box.width, box.y + box.height)
    parts = landmark_model(68)(np.ascontiguousarray(image), rectangle).parts()
    points = np.array([complex(parts[i].x, parts[i].y) for i in FIVE])
    places = np.array(_places(TEMPLATE, margin))
    # The least-squares similarity z → turn · z + shift from the points to their places.
    centred = points - points.mean()
    turn = complex(np.vdot(centred, places - places.mean()) / np.vdot(centred, centred))
    shift = complex(places.mean() - turn * points.mean())
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    aligned = cv2.warpAffine(image, matrix, (ALIGNED_SIDE, ALIGNED_SIDE), flags=cv2.INTER_LINEAR)
    # Here, integer coordinates are those of pixel centres.
    edge_shift = shift + complex(0.5, 0.5) - turn * complex(0.5, 0.5)
    return np.asarray(aligned, np.uint8), _window_of(turn, edge_shift, image)


def _places(template: Sequence[tuple[float, float]], margin: float) -> list[complex]:
    """Return where points of the template are in an aligned crop, x + iy in pixels."""
    return [
        complex(*((v + (margin - 1) / 2) / margin * ALIGNED_SIDE for v in point))
        for point in template
    ]


def _window_of(turn: complex, shift: complex, image: Image) -> Window:
    """Return the window of the aligned square that the similarity z → turn · z + shift cuts out."""
    corners = [(complex(x, y) * ALIGNED_SIDE - shift) / turn for x in (0, 1) for y in (0, 1)]
    left, top = min(c.real for c in corners), min(c.imag for c in corners)
    right, bottom = max(c.real for c in corners), max(c.imag for c in corners)
    height, width = image.shape[:2]
    side = round(ALIGNED_SIDE / abs(turn))
    clamped = left < 0 or top < 0 or right > width or bottom > height
    return Window(math.floor(left), math.floor(top), side, side, clamped)


def _eyes(image: Image, box: Box) -> tuple[complex, complex]:
    """Return the centres of the eye on the left and on the right of the image (dlib landmarks)."""
    import dlib

    rectangle = dlib.rectangle(box.x, box.y, box.x + box.width, box.y + box.height)
    points = landmark_model()(np.ascontiguousarray(image), rectangle)
    corners = [complex(points.part(i).x + 0.5, points.part(i).y + 0.5) for i in range(4)]
    eyes = ((corners[0] + corners[1]) / 2, (corners[2] + corners[3]) / 2)
    left, right = sorted(eyes, key=lambda z: z.real)
    return left, right
