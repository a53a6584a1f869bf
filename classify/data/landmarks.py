"""Facial landmarks of a split's real crops, measured once and kept beside the packed crops.

dlib's model has 68 points, in this order: the jaw from ear to ear (17), the brows (5 each), the
nose (9), the eyes (6 each), the outer (12) and the inner lips (8). It needs a face box: that of the
dataset, converted to pixels of the crop. In crops whose box in the crop is not known, dlib's
detector searches for the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.data.cached_arrays import cached_array, for_each, write_array
from classify.data.pack import ChosenCrops, ProgressFactory, Share, crops_of, read_crop
from ffpp_tools.extraction.settings_file import required_settings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import FindSettings, coarse_to_fine, landmark_model, load
from ffpp_tools.faces.select import largest_face
from ffpp_tools.files import path_within
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.tables import read_faces
from ffpp_tools.video.image import Picture

POINTS = 68
EYES, MOUTH = slice(36, 48), slice(48, 68)
METHOD = "dlib 68, box of the dataset"  # part of the hash in an array's name
# A face box detected by dlib spans about three quarters of a crop with the default margin of 1.3.
CENTRED = 1 / 1.3
# Landmarks are usable if at most this share of them is outside the crop, and if their bounding box
# is at least this fraction of each side. In 362 crops of originals (FF++, c40) and 147 of CelebA,
# at most 0.09 are outside and the box spans at least 0.52; in 60 whole photographs of CelebA, none
# is outside and the box spans at least 0.33.
MAX_OUTSIDE, MIN_SPAN = 0.15, 0.2

Landmarks = npt.NDArray[np.float32]  # (n, 68, 2) x and y as fractions of a crop's sides, or NaN


def landmarks(
    manifest: Manifest,
    split: str,
    progress: ProgressFactory | None = None,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> Landmarks:
    """Return the landmarks of a split's real crops, measured on the first call.

    The array is a `cached_array` whose contents are the split's crops and the thresholds of
    `usable`, so that it is never reused for other crops or thresholds.

    Args:
        manifest: the manifest that lists the crops.
        split: "train", "val" or "test", or several as "train+val".
        progress: shows the progress of the measurement.
        share: the fraction of the split, as in `pack`.

    Returns:
        (n, 68, 2) float32, mapped, in the order of the packed crops, as fractions of the crop's
        width and height; NaN for fake crops, and for real ones without usable landmarks (`usable`).

    Raises:
        PackError: a crop is missing, unreadable or different from when the manifest was created,
            or the array cannot be written.
        TableError: the manifest or the dataset's settings are damaged or missing, or the crops of
            the dataset have changed.
    """
    chosen = crops_of(manifest, split, share)
    contents = f"{''.join(chosen.contents)} {METHOD} {MAX_OUTSIDE} {MIN_SPAN}"
    shape = (len(chosen.samples), POINTS, 2)

    def write(path: Path) -> None:
        crops = _real_crops(manifest.root, chosen)
        write_array(path, shape, np.float32, lambda points: _measure(crops, points, progress))

    return cached_array(
        manifest.folder,
        f"landmarks-{chosen.name}",
        contents,
        lambda points: points.shape == shape and points.dtype == np.float32,
        write,
    )


def usable(points: Landmarks) -> npt.NDArray[np.bool_]:
    """Return whether landmarks outline a face: (n,) bool for (n, 68, 2) fractions.

    They do if nearly all are inside the crop, span enough of it, and the eyes are above the mouth.
    """
    inside = ((points >= 0) & (points <= 1)).all(axis=-1).mean(axis=-1)
    span = np.ptp(points, axis=1).min(axis=-1)
    upright = points[:, EYES, 1].mean(axis=1) < points[:, MOUTH, 1].mean(axis=1)
    fits: npt.NDArray[np.bool_] = (inside >= 1 - MAX_OUTSIDE) & (span >= MIN_SPAN) & upright
    return fits & np.isfinite(points).all(axis=(1, 2))


def landmarks_in(image: npt.NDArray[np.uint8], box: tuple[float, ...] | None) -> Landmarks:
    """Return the landmarks of one crop, (68, 2) float32 as fractions of its sides.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: left, top, right and bottom of the face as fractions of the crop's sides; None to
            search for the face, and to take the middle of the crop if there is none.
    """
    import dlib

    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    corners = np.array(box or _searched(image)) * [width, height, width, height]
    rectangle = dlib.rectangle(*(round(v) for v in corners.tolist()))
    parts = landmark_model(POINTS)(image, rectangle).parts()
    return np.array([((p.x + 0.5) / width, (p.y + 0.5) / height) for p in parts], np.float32)


def face_boxes(dataset: Path, samples: pd.DataFrame) -> list[tuple[float, ...] | None]:
    """Return the face box of each crop as fractions of the crop: left, top, right, bottom.

    None stands for a box whose place in the crop is not known: that of a whole photograph, in which
    no face was detected, and of aligned crops, which are rotated. A crop's own size does not
    matter, because resizing (`--size`) keeps fractions.

    Args:
        dataset: the dataset folder.
        samples: rows of a manifest.

    Raises:
        TableError: the dataset's settings or faces are missing or damaged.
    """
    crop = CropSettings(**required_settings(dataset)["crop"])
    faces = read_faces(dataset).set_index("face_id")
    faces = faces.loc[samples["face_id"].to_list()]
    if crop.align:
        return [None] * len(faces)
    x, y = (faces[f"box_{v}"] - faces[f"crop_{v}"] for v in "xy")
    if crop.shape == "square":
        width = height = faces["crop_size"]
    else:  # the table has only the longer side; a window cut off at the frame's edge is not known
        width, height = (
            (faces[f"box_{v}"] * crop.margin).where(~faces["clamped"]) for v in ("w", "h")
        )
    right, bottom = (x + faces["box_w"]) / width, (y + faces["box_h"]) / height
    boxes = np.stack([x / width, y / height, right, bottom], axis=1).astype(float)
    known = np.isfinite(boxes).all(axis=1) & (faces["box_from"] != "whole").to_numpy()
    return [tuple(box) if k else None for box, k in zip(boxes.tolist(), known, strict=True)]


@dataclass(frozen=True)
class _Crop:
    """A crop file and the face box in it, as in `landmarks_in`."""

    row: int  # in the array
    path: Path
    sha256: str
    box: tuple[float, ...] | None


def _real_crops(dataset: Path, chosen: ChosenCrops) -> list[_Crop]:
    """Return the real crops of a split."""
    rows = np.flatnonzero(chosen.samples["label"] == "real")
    files = chosen.hashes.iloc[rows].items()
    boxes = face_boxes(dataset, chosen.samples.iloc[rows])
    return [
        _Crop(row, path_within(dataset, name), sha256, box)
        for row, (name, sha256), box in zip(rows.tolist(), files, boxes, strict=True)
    ]


def _measure(crops: list[_Crop], points: Landmarks, progress: ProgressFactory | None) -> None:
    """Set the landmarks of crops in an array; all others, and those not usable, are NaN."""
    points[:] = np.nan

    def measure(position: int) -> None:
        crop = crops[position]
        points[crop.row] = landmarks_in(read_crop(crop.path, crop.sha256), crop.box)

    text = f"finding landmarks in {len(crops)} real crops"
    for_each(measure, len(crops), progress(text) if progress else None)
    points[~usable(points)] = np.nan


def _searched(image: npt.NDArray[np.uint8]) -> tuple[float, ...]:
    """Return the box of the largest face that dlib detects in a crop, or the middle of the crop."""
    height, width = image.shape[:2]
    faces = coarse_to_fine(Picture(image), load(FindSettings()))
    if not faces:
        return (*[(1 - CENTRED) / 2] * 2, *[(1 + CENTRED) / 2] * 2)
    box = largest_face(faces).box
    right, bottom = box.x + box.width, box.y + box.height
    return (box.x / width, box.y / height, right / width, bottom / height)
