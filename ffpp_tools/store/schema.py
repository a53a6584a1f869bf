"""The rows of the ledger and of the table of crops, and the unit in which they are committed."""

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
WITH_CROP = ("ok", "unchanged_fake")  # the latter only if asked for
STILL = "still"  # the `compression` of everything that is not a video
STILL_PARTS = 256  # a still's part follows from its name alone, whatever else is selected
FAILURES = ("decode_error", "truncated", "unreadable")
FIRST_COLUMNS = ("photo", "partition")  # have defaults, but were there from the first


def later_columns(row_type: Any) -> dict[str, Any]:
    """The columns that tables and parts of earlier releases lack: those with a default.

    The default means "not known", or what was done before there was the column.
    """
    return {
        field.name: field.default
        for field in fields(row_type)
        if field.default is not MISSING and field.name not in FIRST_COLUMNS
    }


@dataclass(frozen=True)
class FrameRow:
    """A planned frame of a clip, or a still, and what became of it."""

    frame_id: str  # category/compression/clip/frame
    category: str
    label: str  # "real" or "fake"
    compression: str  # "raw", "c23", "c40"; "native" of other sets' videos; "still" of photographs
    clip: str
    target_id: str  # whose frames and body are seen; for a still its identity, if known
    source_id: str  # whose face or expression was put in; empty for originals and stills
    frame: int  # display index, 0-based; 0 for stills
    time_s: float  # nan where the frame never existed
    width: int  # of the frame in pixels; 0 where it was never decoded
    height: int
    status: str  # one of STATUSES
    faces_found: int
    error: str  # empty unless something failed, here or in the original it is compared with
    photo: str = ""  # number of the CelebA photograph that a still is, or was made from
    partition: str = ""  # "train", "val" or "test" where the source's own lists say so
    unchanged_by: str = ""  # of unchanged_fake: "mask" or "pixels", whichever showed it
    source_sha256: str = ""  # of the video's pictures, or of the still's file; empty: not known
    frame_hash: str = ""  # perceptual, of the whole frame; empty: not known, or without contrast


@dataclass(frozen=True)
class FaceRow:
    """A crop on disk and where it came from. Boxes are in pixels of the full frame."""

    face_id: str  # its frame_id, and /track where a frame gives several
    frame_id: str
    track: int
    box_x: int
    box_y: int
    box_w: int
    box_h: int
    crop_x: int
    crop_y: int
    crop_size: int  # the longer side
    clamped: bool  # the frame's edge moved or shrank the crop
    box_from: str  # "detected", "followed", "twin"; "whole" where no face was cut
    detector: str
    score: float  # the detector's
    path: str  # below the dataset folder
    sha256: str  # of the file
    difference: float = math.nan  # of a fake's face from its original's, in grey levels; or nan


@dataclass(frozen=True)
class Part:
    """What one clip, or one batch of stills, came to: the unit that is committed."""

    frames: tuple[FrameRow, ...]
    faces: tuple[FaceRow, ...]

    @property
    def misses(self) -> int:
        """How many planned frames gave no crop that counts."""
        return sum(row.status != "ok" for row in self.frames)

    def write(self, path: Path) -> None:
        """Commit: the file appears whole or not at all."""
        rows = {
            "frames": [asdict(r) for r in self.frames],
            "faces": [asdict(r) for r in self.faces],
        }
        write_atomically(
            path, json.dumps(format_versions.with_format(format_versions.PART, rows)).encode()
        )

    @classmethod
    def read(cls, path: Path) -> Part:
        """The part that was committed at `path`.

        Raises:
            TableError: the file is damaged.
            FormatError: a newer release wrote it.
        """
        rows = read_rows(path)
        return cls(
            tuple(FrameRow(**r) for r in rows["frames"]),
            tuple(FaceRow(**r) for r in rows["faces"]),
        )


def read_rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """What a part holds: "frames" and "faces", each a list of rows that have every field.

    Raises:
        TableError: the file is damaged.
        FormatError: a newer release wrote it.
    """
    try:
        found = format_versions.without_format(format_versions.PART, path, dict(read_json(path)))
        return {
            "frames": _completed(found["frames"], FrameRow),
            "faces": _completed(found["faces"], FaceRow),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(f"{path}: damaged ({error}); delete it and extract again") from error


def _completed(rows: list[dict[str, Any]], row_type: Any) -> list[dict[str, Any]]:
    """The rows, with the defaults of what they lack."""
    defaults = {field.name: field.default for field in fields(row_type)}
    whole = [{**defaults, **row} for row in rows]
    for row in whole:
        if len(row) > len(defaults):
            raise TypeError(f"unknown: {', '.join(sorted(row.keys() - defaults.keys()))}")
        if missing := [name for name, value in row.items() if value is MISSING]:
            raise TypeError(f"missing: {', '.join(missing)}")
    return whole


def part_path(category: str, compression: str, name: str) -> str:
    """Where a clip, or a still with others, is committed, below the dataset folder."""
    if compression == STILL:
        name = f"{zlib.crc32(name.encode()) % STILL_PARTS:02x}"
    return f"parts/{category}/{compression}/{name}.json"
