"""Perceptual hash of a face, nearly invariant to the size and compression of a photograph.

The face is first aligned by its landmarks, because CelebA and CelebA-HQ contain the same
photographs with different margins. It is then converted to grey and reduced to 32 × 32 pixels. Each
bit of the hash states whether one of the 255 lowest frequencies of the cosine transform is above
the median of all 255.

Between 12 photographs of CelebA and their versions in CelebA-HQ, 10 to 50 of 255 bits differ.
Between 214,000 pairs of different photographs, at least 62 bits differ, except for two pairs that
are duplicates in CelebA (16 and 22 bits). With landmarks from one box instead of seven, up to 86
bits differ between versions of one photograph.
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
SIDE = 64  # of the aligned face, in pixels
LANDMARK_SIDE = 150  # side of a face's box, in pixels, when landmarks are detected
# Mean landmarks of 655 stills in the aligned face, x + iy in pixels: the corners of both eyes, and
# the nose.
PLACES = np.array([46.0 + 28.7j, 38.0 + 29.2j, 18.2 + 28.7j, 26.1 + 29.2j, 31.8 + 44.3j])
# Landmarks depend slightly on the box. The median over these variants of the box is used:
# (shift right, shift down, scale), with shifts in box sides.
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
    """Compute the hash of a crop, (255,) of 0 and 1. Whole stills are hashed without alignment."""
    if row["detector"] == "none":
        face = cv2.GaussianBlur(image, (0, 0), 1)
    else:
        face = cv2.GaussianBlur(aligned_face(image, face_box_in_crop(image, row)), (0, 0), 1)
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    small = np.asarray(cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA), np.uint8)
    return low_frequencies(small)


def aligned_face(image: Image, box: tuple[float, float, float, float]) -> Image:
    """Align a face so that its landmarks match those of the mean face, (64, 64, 3) uint8 RGB."""
    x, y, width, height = box
    scale = LANDMARK_SIDE / max(width, height)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(image, None, fx=scale, fy=scale, interpolation=interpolation)
    scaled = np.ascontiguousarray(scaled)
    landmarks = np.array(
        list(_landmarks(scaled, (x * scale, y * scale, width * scale, height * scale)))
    )
    points = np.median(landmarks.real, axis=0) + 1j * np.median(landmarks.imag, axis=0)
    # The least-squares similarity z → turn · z + shift from the landmarks to their places.
    centre, target_centre = points.mean(), PLACES.mean()
    centred = points - centre
    turn = np.vdot(centred, PLACES - target_centre) / np.vdot(centred, centred)
    shift = target_centre - turn * centre
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    face = cv2.warpAffine(
        scaled, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(face, np.uint8)


def _landmarks(image: Image, box: tuple[float, float, float, float]) -> Iterator[Points]:
    """Yield the landmarks for each shifted and scaled box, (5,) complex."""
    import dlib

    x, y, width, height = box
    for right, down, factor in MOVES:
        centre_x, centre_y = x + width * (0.5 + right), y + height * (0.5 + down)
        half = max(width, height) * factor / 2
        corners = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
        shape = landmark_model()(image, dlib.rectangle(*(int(c) for c in corners)))
        yield np.array([complex(p.x, p.y) for p in shape.parts()])
