"""dlib's 68 facial landmarks, measured in crops.

The points are, in this order: the jaw from ear to ear (17), the brows (5 each), the nose (9), the
eyes (6 each), the outer (12) and the inner lips (8). dlib's model needs a face box: that of the
crop table, converted to pixels of the crop. In crops whose box in the crop is not known, HOG
searches for the face.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import FindSettings, coarse_to_fine, landmark_model, load
from ffpp_tools.faces.select import largest_face
from ffpp_tools.files import path_within
from ffpp_tools.loading.crop_files import read_crop
from ffpp_tools.store.schema import LANDMARKS, FaceRow, LandmarkRow
from ffpp_tools.video.image import Image, Picture

Corners = tuple[float, float, float, float]  # left, top, right, bottom as fractions of a crop


def landmark_row(face: FaceRow, dataset: Path, crop: CropSettings) -> LandmarkRow:
    """Measure the landmarks of one crop of a dataset folder.

    Raises:
        CropError: the crop is missing, unreadable, or differs from its recorded hash.
    """
    image = read_crop(path_within(dataset, face.path), face.sha256)
    points = landmarks_in(image, corners_in_crop(face, crop))
    height, width = image.shape[:2]
    return LandmarkRow(face.face_id, width, height, points.ravel().tolist())


def landmarks_in(image: Image, corners: Corners | None) -> npt.NDArray[np.int64]:
    """Return the landmarks of the face in a crop: (68, 2), x and y in pixels of the crop.

    Points may be outside the crop. A point's coordinates are those of a pixel, whose centre is half
    a pixel to the right and below.

    Args:
        image: the crop, (H, W, 3) uint8 RGB.
        corners: of the face box; None to search for the face. All points are -1 if there is none.
    """
    import dlib

    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    corners = corners or _searched(image)
    if corners is None:
        return np.full((LANDMARKS, 2), -1, np.int64)
    pixels = np.array(corners) * [width, height, width, height]
    rectangle = dlib.rectangle(*(round(v) for v in pixels.tolist()))
    parts = landmark_model(LANDMARKS)(image, rectangle).parts()
    return np.array([(part.x, part.y) for part in parts], np.int64)


def as_fractions(points: npt.ArrayLike, width: int, height: int) -> npt.NDArray[np.float32]:
    """Convert landmarks in pixels of a crop to fractions of its sides, (68, 2) float32."""
    places = np.asarray(points, np.float64).reshape(LANDMARKS, 2)
    return ((places + 0.5) / (width, height)).astype(np.float32)


def corners_in_crop(face: Any, crop: CropSettings) -> Corners | None:
    """Return the corners of a face's box in its crop.

    None stands for a box whose place in the crop is not known: that of a whole photograph, in which
    no face was detected; of aligned crops, which are rotated; and of box-shaped crops that were cut
    off at the frame's edge, as the table has only their longer side. A crop's own size does not
    matter, because resizing (`--size`) keeps fractions.

    Args:
        face: a `FaceRow`, or a row of faces.parquet.
        crop: how the dataset's faces were cropped.
    """
    if crop.align or face.box_from == "whole":
        return None
    if crop.shape == "square":
        width = height = face.crop_size
    elif face.clamped:
        return None
    else:
        width, height = face.box_w * crop.margin, face.box_h * crop.margin
    x, y = face.box_x - face.crop_x, face.box_y - face.crop_y
    return x / width, y / height, (x + face.box_w) / width, (y + face.box_h) / height


def _searched(image: Image) -> Corners | None:
    """Return the box of the largest face that HOG detects in a crop; None if it detects none."""
    height, width = image.shape[:2]
    faces = coarse_to_fine(Picture(image), load(FindSettings()))
    if not faces:
        return None
    box = largest_face(faces).box
    right, bottom = box.x + box.width, box.y + box.height
    return box.x / width, box.y / height, right / width, bottom / height
