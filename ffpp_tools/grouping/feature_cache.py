"""On-disk cache of features computed from crops.

The features are stored in `measured/<feature>/` of the dataset folder, in 256 shards by the crops'
ids. Shards are written atomically: an interrupted run loses at most the shards being computed.
Features are recomputed if their crop changes. Nothing is cached for a read-only dataset.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.console import live_status
from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.files import path_within, unless_read_only, write_atomically
from ffpp_tools.parent_process import parallel_options
from ffpp_tools.store import format_versions
from ffpp_tools.video.image import Image, read_image

Values = npt.NDArray[np.float32]
# Computes the features of a crop from its image and its row of faces.parquet.
Measure = Callable[[Image, "pd.Series"], npt.ArrayLike]

SHARDS = 256
COLUMNS = (
    "face_id",
    "path",
    "sha256",
    *("box_x", "box_y", "box_w", "box_h"),
    *("crop_x", "crop_y", "crop_size"),
    "detector",
)
CROPPING = {"align": False, "margin": 1.0, "shape": "square", "size": ""}


def cached_features(
    dataset: Path, faces: pd.DataFrame, feature: str, measure: Measure, width: int, workers: int
) -> Values:
    """Return the features of every crop, (len(faces), width) float32; nan for unreadable crops.

    Args:
        dataset: the dataset folder.
        faces: columns as in `FaceRow`.
        feature: name of the feature, and of its cache folder.
        measure: a module-level function, which other processes can import.
        width: number of values that `measure` returns.
        workers: number of processes.
    """
    import joblib

    shard = faces["face_id"].map(lambda name: zlib.crc32(name.encode()) % SHARDS).to_numpy()
    rows = faces[list(COLUMNS)].assign(**how_cropped(dataset))
    shards = [np.flatnonzero(shard == number) for number in np.unique(shard)]
    folder = dataset.absolute()  # worker processes may have another working directory
    tasks = (
        joblib.delayed(_shard_features)(
            folder, feature, int(shard[rows_of_shard[0]]), rows.iloc[rows_of_shard], measure, width
        )
        for rows_of_shard in shards
    )
    values = np.full((len(faces), width), np.nan, np.float32)
    n_done = 0
    with live_status(f"{feature}: 0/{len(faces)} crops") as update:
        parallel = joblib.Parallel(
            workers, return_as="generator", batch_size=1, **parallel_options()
        )
        for rows_of_shard, shard_values in zip(shards, parallel(tasks), strict=True):
            values[rows_of_shard] = shard_values
            n_done += len(rows_of_shard)
            update(f"{feature}: {n_done}/{len(faces)} crops")
    return values


def how_cropped(dataset: Path) -> dict[str, object]:
    """Return the crop geometry from the dataset's settings."""
    recorded = recorded_settings(dataset).get("crop", {})
    return {name: recorded.get(name, default) for name, default in CROPPING.items()}


def face_box_in_crop(image: Image, row: pd.Series) -> tuple[float, float, float, float]:
    """Return the face's box in its crop: x, y, width and height in pixels of the crop."""
    height, width = image.shape[:2]
    if row.get("detector") == "none":
        return 0, 0, width, height
    if row.get("align"):
        side_x, side_y = width / row["margin"], height / row["margin"]
        return (width - side_x) / 2, (height - side_y) / 2, side_x, side_y
    x = y = 1.0
    if row.get("size"):
        square = row.get("shape", "square") == "square"
        x = width / (row["crop_size"] if square else row["margin"] * row["box_w"])
        y = height / (row["crop_size"] if square else row["margin"] * row["box_h"])
    left, top = (row["box_x"] - row["crop_x"]) * x, (row["box_y"] - row["crop_y"]) * y
    return left, top, row["box_w"] * x, row["box_h"] * y


def _shard_features(
    dataset: Path, feature: str, number: int, rows: pd.DataFrame, measure: Measure, width: int
) -> Values:
    """Return the features of the crops of one shard; compute missing ones and add them to it."""
    cv2.setNumThreads(1)
    path = dataset / "measured" / feature / f"{number:02x}.npz"
    names, values = _read_shard(path, width)
    cached = dict(zip(names.tolist(), values, strict=True))
    keys = (rows["face_id"] + " " + rows["sha256"]).to_list()
    new = {}
    for i, key in enumerate(keys):
        if key not in cached:
            row = rows.iloc[i]
            image = read_image(path_within(dataset, row["path"]))
            if image is not None:
                new[key] = np.asarray(measure(image, row), np.float32)
    if new:
        buffer = io.BytesIO()
        names = np.concatenate([names, np.array(list(new))])
        values = np.concatenate([values, list(new.values())])
        np.savez(
            buffer,
            names=names,
            values=values,
            **format_versions.with_format(format_versions.MEASURED, {}),
        )
        with unless_read_only():
            write_atomically(path, buffer.getvalue())
    unreadable = np.full(width, np.nan, np.float32)
    return np.array([cached.get(key, new.get(key, unreadable)) for key in keys])


def _read_shard(path: Path, width: int) -> tuple[npt.NDArray[np.str_], Values]:
    """Read the keys and features of a shard; empty if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            attributes = (
                {format_versions.KEY: int(file[format_versions.KEY])}
                if format_versions.KEY in file
                else {}
            )
            format_versions.checked_format(format_versions.MEASURED, path, attributes)
            names, values = file["names"], file["values"]
        if values.shape == (len(names), width):
            return names, values
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # its features are computed again
    return np.array([], "U1"), np.empty((0, width), np.float32)
