"""A table of boxes: where the faces of a dataset are in its videos, without a pixel of them.

It has one row per crop, and one per planned frame without a crop. The settings of the extraction
are among the attributes of the Parquet file, in the form of settings.json.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pandas as pd

from ffpp_tools.errors import TableError
from ffpp_tools.files import regular_file, write_atomically
from ffpp_tools.store import format_versions
from ffpp_tools.store.schema import STATUSES, WITH_CROP
from ffpp_tools.store.tables import with_later_columns

FILE = "boxes.parquet"  # its name in a folder
SETTINGS = "settings"  # attribute of the table
REMEDY = "export it again with `ffpp-export DATASET --format boxes`, or download it again"
CLIP = ["category", "compression", "clip"]  # the columns that identify a clip
SHA256 = "[0-9a-f]{64}"


@dataclass(frozen=True)
class BoxRow:
    """A crop, or a planned frame without a crop. Boxes are in pixels of the full frame.

    The columns from `face_id` on are those of `FaceRow`; a frame without a crop has empty ones.
    """

    category: str
    compression: str
    clip: str
    video: str  # path in a copy of FF++ in its official layout; for other programs, never read back
    source_sha256: str  # of the video's coded frames, as in `FrameRow`; empty if it is unreadable
    frame: int  # display index, 0-based
    width: int  # of the frame in pixels; 0 if it was not decoded
    height: int
    status: str  # one of STATUSES
    faces_found: int
    unchanged_by: str  # as in `FrameRow`
    error: str  # which related video was missing, without its path; as in `FrameRow`
    face_id: str
    track: int
    box_x: int
    box_y: int
    box_w: int
    box_h: int
    crop_x: int
    crop_y: int
    crop_size: int  # the longer side
    clamped: bool
    box_from: str
    detector: str
    score: float
    difference: float
    sha256: str  # of the crop's file


# The values of a frame without a crop.
NO_CROP: dict[str, Any] = {
    **dict.fromkeys(("face_id", "box_from", "detector", "sha256"), ""),
    **dict.fromkeys(
        ("track", "box_x", "box_y", "box_w", "box_h", "crop_x", "crop_y", "crop_size"), 0
    ),
    **dict.fromkeys(("score", "difference"), math.nan),
    "clamped": False,
}


@dataclass(frozen=True)
class BoxTable:
    """A table of boxes and the settings of the extraction that found them."""

    path: Path
    rows: pd.DataFrame  # columns as in `BoxRow`, sorted by clip, frame and track
    settings: dict[str, Any]  # as in settings.json

    @classmethod
    def read(cls, path: Path) -> BoxTable:
        """Read and check a table of boxes, or the one in a folder that ffpp-export wrote.

        Raises:
            TableError: the file is missing, damaged or of another kind.
            FormatError: a newer release wrote the file.
        """
        path = path / FILE if path.is_dir() else path
        try:
            rows = pd.read_parquet(regular_file(path))
        except FileNotFoundError as error:
            raise TableError(
                f"{path} is missing: pass a table that `ffpp-export --format boxes` wrote"
            ) from error
        except (ValueError, OSError) as error:
            raise TableError(f"{path}: not a readable Parquet file ({error}); {REMEDY}") from error
        attributes = dict(rows.attrs)
        format_versions.checked_format(format_versions.BOXES, path, attributes)
        settings = attributes.get(SETTINGS)
        if not isinstance(settings, dict):
            raise TableError(f"{path}: not a table of boxes: it has no settings; {REMEDY}")
        rows = with_later_columns(rows, path, BoxRow, list(rows.columns), REMEDY)
        check(path, rows, _problems(rows))
        return cls(path, sorted_rows(rows), settings)

    def write(self) -> None:
        """Write the file atomically.

        Raises:
            FfppError: the file cannot be written.
        """
        rows = self.rows.copy()
        values = {SETTINGS: self.settings}
        rows.attrs = format_versions.with_format(format_versions.BOXES, values)
        write_atomically(self.path, rows.to_parquet(index=False, compression="zstd"))

    @property
    def has_crop(self) -> pd.Series:
        """Which rows are crops."""
        return self.rows["face_id"] != ""


def frame_ids(rows: pd.DataFrame) -> pd.Series:
    """Return the frame_id of each row."""
    clip = rows["category"] + "/" + rows["compression"] + "/" + rows["clip"]
    return clip + "/" + rows["frame"].map("{:06d}".format)


def check(path: Path, rows: pd.DataFrame, problems: Iterable[tuple[pd.Series, str]]) -> None:
    """Raise a TableError for the first row with a problem.

    Args:
        path: the file.
        rows: its rows.
        problems: which rows have a problem, and the problem.
    """
    for has_problem, problem in problems:
        if has_problem.any():
            name = frame_ids(rows[has_problem].head(1)).iloc[0]
            raise TableError(f"{path}: {name}: {problem}; {REMEDY}")


def sorted_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `BoxRow`, sorted by clip, frame and track."""
    columns = [field.name for field in fields(BoxRow)]
    return rows[columns].sort_values([*CLIP, "frame", "track"], ignore_index=True)


def _problems(rows: pd.DataFrame) -> Iterator[tuple[pd.Series, str]]:
    """Yield what rows must not be: contradictory, or named so that a path leaves its folder."""
    for column in CLIP:
        unsafe = [name for name in rows[column].unique() if not _is_plain(name)]
        yield rows[column].isin(unsafe), f"{column} cannot be the name of a file or folder"
    cropped, status = rows["face_id"] != "", rows["status"]
    yield ~status.isin(STATUSES), f"status is not one of {', '.join(STATUSES)}"
    yield cropped & ~status.isin(WITH_CROP), "the frame has a crop in spite of its status"
    yield ~cropped & (status == "ok"), "the frame is ok but has no crop"
    yield (rows[["frame", "track", "faces_found"]] < 0).any(axis=1), "a number is negative"
    hashed = rows["source_sha256"].str.fullmatch(SHA256)
    yield ~hashed & (cropped | (rows["source_sha256"] != "")), "source_sha256 is not a SHA-256"
    yield cropped & ~rows["sha256"].str.fullmatch(SHA256), "sha256 is not a SHA-256"
    for start, size, whole in (("box_x", "box_w", "width"), ("box_y", "box_h", "height")):
        inside = (rows[start] >= 0) & (rows[size] > 0) & (rows[size] <= rows[whole])
        inside &= rows[start] <= rows[whole] - rows[size]
        yield cropped & ~inside, "the box is not within the frame"
    clips = rows.groupby(CLIP, sort=False)
    yield clips["source_sha256"].transform("nunique") > 1, "the clip has several source_sha256"
    frames = rows.groupby([*CLIP, "frame"], sort=False)
    for column in ("width", "height", "status", "faces_found", "unchanged_by", "error"):
        yield frames[column].transform("nunique") > 1, f"the rows of the frame differ in {column}"
    yield rows["face_id"].where(cropped).duplicated() & cropped, "a crop appears twice"
    yield ~cropped & (frames["frame"].transform("size") > 1), "the frame appears twice"


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file in a folder, on any system."""
    pure = (PurePosixPath(name), PureWindowsPath(name))
    return name not in ("", ".", "..") and "\0" not in name and all(p.name == name for p in pure)
