"""The tables of a dataset folder: their schemas, and how they are written and read.

`frames.parquet` is the ledger: a row for every planned frame or still, whatever became of
it. `faces.parquet` has a row for every crop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools import formats
from ffpp_tools.errors import TableError
from ffpp_tools.files import regular, write_atomically
from ffpp_tools.rows import STATUSES, WITH_CROP, FaceRow, FrameRow, Part, later_columns


@dataclass(frozen=True)
class DuplicateRow:
    """What ffpp-clean found wrong with a clip or still, or what it is a duplicate of."""

    item: str  # "category/clip"
    kind: str  # "unreadable", "truncated", "identical" or "near"
    partner: str  # the one that it repeats, "category/clip"; empty for what cannot be read
    distance: float  # of the perceptual hashes, as a share of their bits; 0 for identical files
    path: str  # the file at fault: the crop, below the dataset folder, or the source image


@dataclass(frozen=True)
class IdentityRow:
    """Who ffpp-identify found in a clip or still."""

    item: str  # "category/clip"
    person: str  # the first item that shows the same person, by name
    partner: str  # an item whose face is near enough to be the same person's; may be empty
    distance: float  # between the two embeddings; nan without a partner
    faces: int  # how many crops the embedding is the mean of
    embedding: list[float]  # 128 numbers, float32


_DTYPES = {
    "str": "str",
    "int": "int64",
    "float": "float64",
    "bool": "bool",
    "list[float]": "object",
}


_KEY = {FrameRow: "frame_id", FaceRow: "face_id"}
_AGAIN = "`ffpp-extract` or `ffpp-stills` writes it anew from parts/"
_REMEDY: dict[type, str] = {
    FrameRow: _AGAIN,
    FaceRow: _AGAIN,
    DuplicateRow: "run `ffpp-clean` again",
    IdentityRow: "run `ffpp-identify` again",
}


def collect_parts(dataset: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frames and the faces of every committed part, sorted by id.

    Raises:
        TableError: the parts contradict each other.
    """
    parts = [Part.read(path) for path in sorted((dataset / "parts").rglob("*.json"))]
    frames = table_of(FrameRow, (row for part in parts for row in part.frames))
    faces = table_of(FaceRow, (row for part in parts for row in part.faces))
    frames = frames.sort_values("frame_id", ignore_index=True)
    faces = faces.sort_values("face_id", ignore_index=True)
    _check_accounts(dataset, frames, faces)
    return frames, faces


def merge_parts(dataset: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write what `collect_parts` gives to frames.parquet and faces.parquet, and return it."""
    frames, faces = collect_parts(dataset)
    write_table(dataset / "frames.parquet", frames)
    write_table(dataset / "faces.parquet", faces)
    return frames, faces


def read_frames(dataset: Path) -> pd.DataFrame:
    """The ledger of a dataset folder; columns as in `FrameRow`."""
    return _read_parquet(dataset / "frames.parquet", FrameRow)


def read_faces(dataset: Path) -> pd.DataFrame:
    """The crops of a dataset folder; columns as in `FaceRow`."""
    return _read_parquet(dataset / "faces.parquet", FaceRow)


def read_duplicates(dataset: Path) -> pd.DataFrame | None:
    """What ffpp-clean wrote; columns as in `DuplicateRow`. None where it was not run."""
    return _read_optional(dataset / "duplicates.parquet", DuplicateRow)


def read_identities(dataset: Path) -> pd.DataFrame | None:
    """What ffpp-identify wrote; columns as in `IdentityRow`. None where it was not run."""
    return _read_optional(dataset / "identities.parquet", IdentityRow)


def fingerprint(table: pd.DataFrame) -> str:
    """A hash of a table's content, whatever the order of its rows.

    Later columns that hold nothing but their default do not count: the table is the one that an
    earlier release wrote.
    """
    return _digest(_row_hashes(table))


def covered(faces: pd.DataFrame) -> dict[str, dict[str, str | int]]:
    """Category → how many clips and stills its crops are of, and a hash of their rows."""
    # category/compression/clip/frame, where a still's clip may hold slashes
    names = faces["frame_id"].str.rsplit("/", n=1).str[0].str.split("/", n=2)
    rows = pd.DataFrame(
        {"category": names.str[0], "clip": names.str[2], "hash": _row_hashes(faces)}
    )
    return {
        str(name): {"units": int(own["clip"].nunique()), "faces": _digest(own["hash"].to_numpy())}
        for name, own in rows.groupby("category")
    }


def _row_hashes(table: pd.DataFrame) -> npt.NDArray[np.uint64]:
    rows = (FrameRow, FaceRow, DuplicateRow, IdentityRow)
    columns = {name: value for row in rows for name, value in later_columns(row).items()}
    later = [c for c, value in columns.items() if c in table and table[c].isin([value]).all()]
    plain = table.drop(columns=["embedding", *later], errors="ignore")
    return pd.util.hash_pandas_object(plain, index=False).to_numpy()


def _digest(hashes: npt.NDArray[np.uint64]) -> str:
    return hashlib.sha256(np.sort(hashes).tobytes()).hexdigest()


def write_table(path: Path, table: pd.DataFrame, faces: pd.DataFrame | None = None) -> None:
    """Write a Parquet file: all of it or none.

    Args:
        path: the file.
        table: what to write.
        faces: the crops that it was found out from, to be able to say later that they changed.
    """
    if faces is not None:
        table.attrs["faces"] = fingerprint(faces)
        table.attrs["covered"] = covered(faces)
    table.attrs[formats.KEY] = formats.VERSIONS[formats.TABLE]
    write_atomically(path, table.to_parquet(index=False))


def table_of(row_type: type, rows: Iterable[Any]) -> pd.DataFrame:
    """A table with a column for every field of its rows."""
    dtypes = {f.name: _DTYPES[str(f.type)] for f in fields(row_type)}
    return pd.DataFrame([asdict(r) for r in rows], columns=list(dtypes)).astype(dtypes)


def _check_accounts(dataset: Path, frames: pd.DataFrame, faces: pd.DataFrame) -> None:
    """Every planned frame stands there once, with one known status; what is ok has crops."""
    twice = frames["frame_id"][frames["frame_id"].duplicated()]
    unknown = set(frames["status"]) - set(STATUSES)
    cropped = set(faces["frame_id"])
    without = set(frames["frame_id"][frames["status"] == "ok"]) - cropped
    unknown_frames = cropped - set(frames["frame_id"][frames["status"].isin(WITH_CROP)])
    wrong = [*twice, *unknown, *without, *unknown_frames]
    if wrong:
        raise TableError(
            f"{dataset}/parts: the rows of {', '.join(sorted(wrong)[:3])} do not add up; delete "
            f"the parts of that category and extract it again"
        )


def _read_optional(path: Path, row_type: type) -> pd.DataFrame | None:
    return _read_parquet(path, row_type) if path.exists() else None


def _read_parquet(path: Path, row_type: type) -> pd.DataFrame:
    try:
        table = pd.read_parquet(regular(path))
    except FileNotFoundError as error:
        raise TableError(
            f"{path} is missing; `ffpp-extract --out {path.parent}` makes it"
        ) from error
    except (ValueError, OSError) as error:
        raise TableError(f"{path}: not a readable Parquet file ({error})") from error
    formats.checked(formats.TABLE, path, table.attrs)
    lacking = [f for f in fields(row_type) if f.name not in table.columns]
    later = later_columns(row_type)
    if missing := [f.name for f in lacking if f.name not in later]:
        raise TableError(f"{path}: column {', '.join(missing)} is missing; make it again")
    for field in lacking:  # written by an earlier release
        values = pd.Series(later[field.name], table.index, _DTYPES[str(field.type)])
        table.insert(len(table.columns), field.name, values)
    _check_values(path, table, row_type)
    return table


def _check_values(path: Path, table: pd.DataFrame, row_type: type) -> None:
    """Refuse a table that this project did not write: a cell is empty, or a row stands twice."""
    types = pd.api.types
    is_kind = {"str": types.is_string_dtype, "int": types.is_integer_dtype}
    for field in fields(row_type):
        column, kind = table[field.name], is_kind.get(str(field.type))
        if kind is not None and (column.isna().any() or not kind(column)):
            empty = column.isna()
            what = f"row {int(empty.argmax()) + 1} has none" if empty.any() else "they are not text"
            what = what if field.type == "str" or empty.any() else "they are no whole numbers"
            raise TableError(
                f"{path}: column {field.name} is damaged ({what}); {_REMEDY[row_type]}"
            )
    if (key := _KEY.get(row_type)) and not table[key].is_unique:
        first = table[key][table[key].duplicated()].iloc[0]
        raise TableError(f"{path}: {first} stands there twice; {_REMEDY[row_type]}")
