"""Numbers measured on crops, computed once and kept beside them, whatever asks for them next.

They lie in `measured/<what>/`, in 256 files by the names of the crops, each committed whole: a run
that is stopped loses the file at hand. A crop that was made anew is measured anew. Beside a dataset
that may only be read nothing is kept.
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
# From a crop and its row of faces.parquet to its numbers.
Measure = Callable[[Image, "pd.Series"], npt.ArrayLike]

FILES = 256
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
    dataset: Path, faces: pd.DataFrame, what: str, measure: Measure, width: int, workers: int
) -> Values:
    """The numbers of every crop, (len(faces), width) float32; nan where a crop cannot be read.

    Args:
        dataset: the folder of the crops.
        faces: columns as in `FaceRow`.
        what: a name for what is measured.
        measure: a function of a module, for other processes.
        width: how many numbers it gives.
        workers: how many processes.
    """
    import joblib

    bucket = faces["face_id"].map(lambda name: zlib.crc32(name.encode()) % FILES).to_numpy()
    rows = faces[list(COLUMNS)].assign(**how_cropped(dataset))
    positions = [np.flatnonzero(bucket == number) for number in np.unique(bucket)]
    here = dataset.absolute()  # for processes that were started when this one was elsewhere
    tasks = (
        joblib.delayed(_file)(here, what, int(bucket[at[0]]), rows.iloc[at], measure, width)
        for at in positions
    )
    values = np.full((len(faces), width), np.nan, np.float32)
    done = 0
    with live_status(f"{what}: 0/{len(faces)} crops") as update:
        found = joblib.Parallel(workers, return_as="generator", batch_size=1, **parallel_options())(
            tasks
        )
        for at, part in zip(positions, found, strict=True):
            values[at] = part
            done += len(at)
            update(f"{what}: {done}/{len(faces)} crops")
    return values


def how_cropped(dataset: Path) -> dict[str, object]:
    """What the dataset's settings say of its crops' geometry."""
    recorded = recorded_settings(dataset).get("crop", {})
    return {name: recorded.get(name, usual) for name, usual in CROPPING.items()}


def face_box_in_crop(image: Image, row: pd.Series) -> tuple[float, float, float, float]:
    """Where the face lies in its crop: x, y, width and height in the crop's pixels."""
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


def _file(
    dataset: Path, what: str, number: int, rows: pd.DataFrame, measure: Measure, width: int
) -> Values:
    """The numbers of the crops of one file, those that are new computed and added to it."""
    cv2.setNumThreads(1)
    path = dataset / "measured" / what / f"{number:02x}.npz"
    names, values = _read(path, width)
    known = dict(zip(names.tolist(), values, strict=True))
    keys = (rows["face_id"] + " " + rows["sha256"]).to_list()
    new = {}
    for i, key in enumerate(keys):
        if key not in known:
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
    nothing = np.full(width, np.nan, np.float32)
    return np.array([known.get(key, new.get(key, nothing)) for key in keys])


def _read(path: Path, width: int) -> tuple[npt.NDArray[np.str_], Values]:
    try:
        with np.load(path, allow_pickle=False) as file:
            written = (
                {format_versions.KEY: int(file[format_versions.KEY])}
                if format_versions.KEY in file
                else {}
            )
            format_versions.checked_format(format_versions.MEASURED, path, written)
            names, values = file["names"], file["values"]
        if values.shape == (len(names), width):
            return names, values
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not there, or damaged: measured again
    return np.array([], "U1"), np.empty((0, width), np.float32)
