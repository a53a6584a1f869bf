"""A face's perceptual hash: nearly the same for one photograph at any size and compression.

The face is turned and scaled by its landmarks first, for CelebA and CelebA-HQ show the same
photograph with other margins. Of its brightness, at 32 × 32 pixels, the hash keeps for each of the
255 lowest frequencies of the cosine transform whether it is above their median.

Measured between 12 photographs of CelebA and the same in CelebA-HQ: 10 to 50 of 255 bits differ;
between 214,000 pairs of other photographs: from 62 on (and 16 and 22 for two that CelebA holds
twice). With dlib's landmarks on one box, not on seven, it is up to 86 for the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.faces.detect import landmark_model
from ffpp_tools.grouping.feature_cache import face_box_in_crop
from ffpp_tools.video.frame_hash import SMALL, low_frequencies
from ffpp_tools.video.image import Image

Points = npt.NDArray[np.complex128]

BITS = 255
SIDE = 64  # of the turned face, in pixels
LANDMARK_SIDE = 150  # what a face's box is scaled to before landmarks are looked for
# Mean landmarks (the corners of both eyes, and the nose) of 655 stills, in the turned face.
PLACES = np.array([46.0 + 28.7j, 38.0 + 29.2j, 18.2 + 28.7j, 26.1 + 29.2j, 31.8 + 44.3j])
# The landmarks depend a little on the box: they are the median over the box and these of
# (right, down, larger), in sides of it.
MOVES = (
    (0, 0, 1),
    (0.05, 0, 1),
    (-0.05, 0, 1),
    (0, 0.05, 1),
    (0, -0.05, 1),
    (0, 0, 0.9),
    (0, 0, 1.1),
)


def perceptual_hash(image: Image, row: pd.Series) -> npt.NDArray[np.uint8]:
    """The bits of a crop, (255,) of 0 and 1. Whole stills are hashed as they are."""
    if row["detector"] == "none":
        face = cv2.GaussianBlur(image, (0, 0), 1)
    else:
        face = cv2.GaussianBlur(aligned_face(image, face_box_in_crop(image, row)), (0, 0), 1)
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    small = np.asarray(cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA), np.uint8)
    return low_frequencies(small)


def aligned_face(image: Image, box: tuple[float, float, float, float]) -> Image:
    """The face with its landmarks where those of the mean face are, (64, 64, 3) uint8 RGB."""
    x, y, width, height = box
    scale = LANDMARK_SIDE / max(width, height)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(image, None, fx=scale, fy=scale, interpolation=interpolation)
    scaled = np.ascontiguousarray(scaled)
    found = np.array(
        list(_landmarks(scaled, (x * scale, y * scale, width * scale, height * scale)))
    )
    points = np.median(found.real, axis=0) + 1j * np.median(found.imag, axis=0)
    # The similarity z → turn · z + shift that brings the points nearest to their places.
    centre, goal = points.mean(), PLACES.mean()
    away = points - centre
    turn = np.vdot(away, PLACES - goal) / np.vdot(away, away)
    shift = goal - turn * centre
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    face = cv2.warpAffine(
        scaled, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(face, np.uint8)


def _landmarks(image: Image, box: tuple[float, float, float, float]) -> Iterator[Points]:
    import dlib

    x, y, width, height = box
    for right, down, larger in MOVES:
        centre_x, centre_y = x + width * (0.5 + right), y + height * (0.5 + down)
        half = max(width, height) * larger / 2
        corners = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
        found = landmark_model()(image, dlib.rectangle(*(int(c) for c in corners)))
        yield np.array([complex(p.x, p.y) for p in found.parts()])
