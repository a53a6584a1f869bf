"""Facial landmarks of a split's real crops, measured once and kept beside the packed crops.

They are those of `ffpp_tools.faces.landmarks`: taken from the dataset if it was extracted with
`--landmarks`, and measured in the crops otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classify.data.cached_arrays import cached_array, for_each, write_array
from classify.data.pack import ChosenCrops, ProgressFactory, Share, crops_of
from ffpp_tools.extraction.settings_file import required_settings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.landmarks import Corners, as_fractions, corners_in_crop, landmarks_in
from ffpp_tools.files import path_within
from ffpp_tools.loading.crop_files import read_crop
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import LANDMARKS
from ffpp_tools.store.tables import read_faces, read_landmarks

EYES, MOUTH = slice(36, 48), slice(48, 68)
METHOD = "dlib 68, box of the dataset or detected"  # part of the hash in an array's name
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
        CropError: a crop is missing, unreadable or different from when the manifest was created.
        PackError: the array cannot be written.
        TableError: the manifest or the dataset's settings are damaged or missing, or the crops of
            the dataset have changed.
    """
    chosen = crops_of(manifest, split, share)
    contents = f"{''.join(chosen.contents)} {METHOD} {MAX_OUTSIDE} {MIN_SPAN}"
    shape = (len(chosen.samples), LANDMARKS, 2)

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


@dataclass(frozen=True)
class _Crop:
    """A crop file, and its landmarks or what is needed to measure them."""

    row: int  # in the array
    path: Path
    sha256: str
    corners: Corners | None  # of the face box
    kept: Landmarks | None  # (68, 2), from the dataset


def _real_crops(dataset: Path, chosen: ChosenCrops) -> list[_Crop]:
    """Return the real crops of a split.

    Raises:
        TableError: the dataset's settings or tables are missing or damaged.
    """
    crop = CropSettings(**required_settings(dataset)["crop"])
    rows = np.flatnonzero(chosen.samples["label"] == "real")
    files = chosen.hashes.iloc[rows].items()
    face_ids = chosen.samples["face_id"].iloc[rows].to_list()
    faces = read_faces(dataset).set_index("face_id").loc[face_ids]
    table = read_landmarks(dataset)
    table = table[table["face_id"].isin(face_ids)]
    kept = {
        row.face_id: as_fractions(row.points, row.width, row.height) for row in table.itertuples()
    }
    return [
        _Crop(
            row,
            path_within(dataset, name),
            sha256,
            corners_in_crop(face, crop),
            kept.get(face.Index),
        )
        for row, (name, sha256), face in zip(rows.tolist(), files, faces.itertuples(), strict=True)
    ]


def _measure(crops: list[_Crop], points: Landmarks, progress: ProgressFactory | None) -> None:
    """Set the landmarks of crops in an array; all others, and those not usable, are NaN."""
    points[:] = np.nan
    for crop in crops:
        if crop.kept is not None:
            points[crop.row] = crop.kept
    missing = [crop for crop in crops if crop.kept is None]

    def measure(position: int) -> None:
        crop = missing[position]
        image = read_crop(crop.path, crop.sha256)
        height, width = image.shape[:2]
        points[crop.row] = as_fractions(landmarks_in(image, crop.corners), width, height)

    text = f"finding landmarks in {len(missing)} real crops"
    for_each(measure, len(missing), progress(text) if progress and missing else None)
    points[~usable(points)] = np.nan
