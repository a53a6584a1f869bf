"""Schema of the ledger and of the crop table, and the parts in which their rows are committed."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ffpp_tools.errors import TableError
from ffpp_tools.files import read_json, write_atomically
from ffpp_tools.store import format_versions

SPLITS = ("train", "val", "test")
STATUSES = (
    "ok",
    "no_face",
    "too_small",
    "decode_error",
    "truncated",
    "unreadable",
    "unchanged_fake",
)
WITH_CROP = ("ok", "unchanged_fake")  # unchanged fakes only with `keep_unchanged`
STILL = "still"  # the `compression` of still images
STILL_PARTS = 256  # parts per category of stills; the name of a still determines its part
FAILURES = ("decode_error", "truncated", "unreadable")
LANDMARKS = 68  # of a face
FIRST_COLUMNS = ("photo", "partition")  # have defaults, but exist since the first release


def later_columns(row_type: Any) -> dict[str, Any]:
    """Return the columns that tables and parts of earlier releases may lack, with their defaults.

    A default stands for "unknown", or for what releases before the column did.
    """
    return {
        field.name: field.default
        for field in fields(row_type)
        if field.default is not MISSING and field.name not in FIRST_COLUMNS
    }


@dataclass(frozen=True)
class FrameRow:
    """A planned frame of a clip, or a still, and the result of its extraction."""

    frame_id: str  # category/compression/clip/frame
    category: str
    label: str  # "real" or "fake"
    compression: str  # "raw", "c23", "c40"; "native" for videos of other datasets; "still"
    clip: str
    target_id: str  # the person whose frames and body are shown; of a still, its identity if known
    source_id: str  # the person whose face or expression is inserted; empty for reals and stills
    frame: int  # display index, 0-based; 0 for stills
    time_s: float  # nan if the frame does not exist
    width: int  # of the frame in pixels; 0 if the frame was not decoded
    height: int
    status: str  # one of STATUSES
    faces_found: int
    error: str  # empty unless reading failed, of this clip or of the original it is compared with
    photo: str = ""  # CelebA number of the photograph that a still is or was created from
    partition: str = ""  # "train", "val" or "test" if the source's official lists give it
    unchanged_by: str = ""  # of unchanged_fake: the evidence, "mask" or "pixels"
    source_sha256: str = ""  # of the video's coded frames, or of the still's file; empty if unknown
    frame_hash: str = ""  # perceptual hash of the whole frame; empty if unknown or without contrast


@dataclass(frozen=True)
class FaceRow:
    """A crop on disk and its origin. Boxes are in pixels of the full frame."""

    face_id: str  # the frame_id, followed by /track if a frame may have several crops
    frame_id: str
    track: int
    box_x: int
    box_y: int
    box_w: int
    box_h: int
    crop_x: int
    crop_y: int
    crop_size: int  # the longer side
    clamped: bool  # whether the crop was moved or shrunk to stay within the frame
    box_from: (
        str  # "detected", "followed", "twin"; "whole" for an uncropped still or a crop of others
    )
    detector: str
    score: float  # detection score
    path: str  # in the dataset folder
    sha256: str  # of the file
    difference: float = math.nan  # between a fake's face and its original's, in grey levels; or nan


@dataclass(frozen=True)
class LandmarkRow:
    """The facial landmarks of a crop, if the settings ask for them."""

    face_id: str
    width: int  # of the crop, in pixels
    height: int
    # x and y of dlib's 68 points in pixels of the crop: x0, y0, x1, …; all -1 if the place of the
    # face in the crop was not known and none was detected.
    points: list[int]


@dataclass(frozen=True)
class Part:
    """The rows of one clip or one batch of stills, which are committed together."""

    frames: tuple[FrameRow, ...]
    faces: tuple[FaceRow, ...]
    landmarks: tuple[LandmarkRow, ...] = ()

    @property
    def misses(self) -> int:
        """The number of planned frames whose status is not "ok"."""
        return sum(row.status != "ok" for row in self.frames)

    def write(self, path: Path) -> None:
        """Commit the part by an atomic write."""
        rows = {
            "frames": [asdict(r) for r in self.frames],
            "faces": [asdict(r) for r in self.faces],
        }
        if self.landmarks:
            rows["landmarks"] = [asdict(r) for r in self.landmarks]
        write_atomically(
            path, json.dumps(format_versions.with_format(format_versions.PART, rows)).encode()
        )

    @classmethod
    def read(cls, path: Path) -> Part:
        """Read a committed part.

        Raises:
            TableError: the file is damaged.
            FormatError: a newer release wrote the file.
        """
        rows = read_rows(path)
        return cls(
            tuple(FrameRow(**r) for r in rows["frames"]),
            tuple(FaceRow(**r) for r in rows["faces"]),
            tuple(LandmarkRow(**r) for r in rows["landmarks"]),
        )


def read_rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a part by kind, each a list of rows with all fields.

    The kinds are "frames", "faces" and "landmarks".

    Raises:
        TableError: the file is damaged.
        FormatError: a newer release wrote the file.
    """
    try:
        values = format_versions.without_format(format_versions.PART, path, dict(read_json(path)))
        landmarks = _completed(values.get("landmarks", []), LandmarkRow)
        if any(len(row["points"]) != 2 * LANDMARKS for row in landmarks):
            raise ValueError(f"a face without {LANDMARKS} landmarks")
        return {
            "frames": _completed(values["frames"], FrameRow),
            "faces": _completed(values["faces"], FaceRow),
            "landmarks": landmarks,
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(f"{path}: damaged ({error}); delete the file and extract again") from error


def _completed(rows: list[dict[str, Any]], row_type: Any) -> list[dict[str, Any]]:
    """Return the rows with defaults for missing fields."""
    defaults = {field.name: field.default for field in fields(row_type)}
    completed = [{**defaults, **row} for row in rows]
    for row in completed:
        if len(row) > len(defaults):
            raise TypeError(f"unknown fields: {', '.join(sorted(row.keys() - defaults.keys()))}")
        if missing := [name for name, value in row.items() if value is MISSING]:
            raise TypeError(f"missing fields: {', '.join(missing)}")
    return completed


def part_path(category: str, compression: str, name: str) -> str:
    """Return the path, in the dataset folder, of the part with a clip or still."""
    if compression == STILL:
        name = f"{zlib.crc32(name.encode()) % STILL_PARTS:02x}"
    return f"parts/{category}/{compression}/{name}.json"
