"""The tables of a dataset folder: their schemas, and how they are written and read.

`frames.parquet` is the ledger: a row for every planned frame or still, whatever became of
it. `faces.parquet` has a row for every crop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import TableError
from ffpp_tools.files import write_atomically
from ffpp_tools.rows import LATER_COLUMNS, STATUSES, WITH_CROP, FaceRow, FrameRow, Part


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


AT_ONCE = 1 << 16  # rows that are hashed together
_DTYPES = {
    "str": "str",
    "int": "int64",
    "float": "float64",
    "bool": "bool",
    "list[float]": "object",
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


def read_columns(
    dataset: Path, name: str, columns: Sequence[str], repeated: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Some columns of frames.parquet or faces.parquet, and the `fingerprint` of the whole file.

    The others are never in memory together.

    Args:
        dataset: the folder.
        name: "frames" or "faces".
        columns: which.
        repeated: those whose text is in many rows. They come as `category`, with the categories in
            alphabetical order; `as_text` makes plain text of them.

    Returns:
        The table, and {"<name>.parquet": its fingerprint}.

    Raises:
        TableError: as `read_frames`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, row_type = dataset / f"{name}.parquet", {"frames": FrameRow, "faces": FaceRow}[name]
    buffered = {"pre_buffer": False, "buffer_size": 1 << 20}  # else all of a row group is held
    with _refused(path), pq.ParquetFile(path, **buffered) as file:
        there = file.schema_arrow.names
        later = [
            column
            for column in LATER_COLUMNS
            if column in there
            and all(_says_nothing(part[column]) for part in _batches(file, [column]))
        ]
        hashes, kept = [np.empty(0, np.uint64)], []
        for batch in file.iter_batches(AT_ONCE):
            whole = pa.Table.from_batches([batch])
            for at, column in enumerate(whole.column_names):
                if column in repeated:
                    whole = whole.set_column(at, column, whole[column].dictionary_encode())
            hashes.append(_hashed(whole.to_pandas(), later))
            kept.append(whole.select([c for c in columns if c in there]))
        schema = file.schema_arrow
        empty = schema.empty_table().select([c for c in columns if c in there])
        table = pa.concat_tables(kept or [empty]).unify_dictionaries().to_pandas()
        del kept
        table = _completed(table, path, row_type, there)[list(columns)]
    for column in repeated:
        values = table[column].astype("category")
        table[column] = values.cat.reorder_categories(values.cat.categories.sort_values())
    return table, {path.name: _digest(np.concatenate(hashes))}


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table with plain text for columns of `category`."""
    repeated = [c for c in table if isinstance(table[c].dtype, pd.CategoricalDtype)]
    return table.astype(dict.fromkeys(repeated, "str"))


def positions(names: pd.Series, wanted: pd.Series) -> npt.NDArray[np.int64]:
    """Where each of the wanted names stands among others, all different; -1 where it does not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(pa.array(wanted), value_set=pa.array(names))
    return np.array(pc.fill_null(found, -1), np.int64)


def sorted_order(names: pd.Series) -> npt.NDArray[np.int64]:
    """The order that sorts names; quickly found where they are sorted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.array(names)
    if len(names) < 2 or pc.all(pc.less_equal(values[:-1], values[1:])).as_py():
        return np.arange(len(names))
    return np.asarray(pc.sort_indices(values), np.int64)


def _batches(file: Any, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    for batch in file.iter_batches(AT_ONCE, columns=columns):
        yield pa.Table.from_batches([batch]).to_pandas()


def fingerprint(table: pd.DataFrame) -> str:
    """A hash of a table's content, whatever the order of its rows.

    Later columns that say nothing do not count: the table is the one that an earlier version wrote.
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
    later = [c for c in LATER_COLUMNS if c in table and _says_nothing(table[c])]
    starts = range(0, max(len(table), 1), AT_ONCE)
    return np.concatenate([_hashed(table.iloc[at : at + AT_ONCE], later) for at in starts])


def _hashed(table: pd.DataFrame, later: Sequence[str]) -> npt.NDArray[np.uint64]:
    plain = table.drop(columns=["embedding", *later], errors="ignore")
    return pd.util.hash_pandas_object(plain, index=False).to_numpy()


def _says_nothing(column: pd.Series) -> bool:
    return bool(column.isin(["", np.nan]).all())


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
    with _refused(path):
        table = pd.read_parquet(path)
        return _completed(table, path, row_type, list(table.columns))


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Say of a Parquet file that cannot be read what is wrong with it."""
    try:
        yield
    except FileNotFoundError as error:
        raise TableError(
            f"{path} is missing; `ffpp-extract --out {path.parent}` makes it"
        ) from error
    except (ValueError, OSError) as error:
        raise TableError(f"{path}: not a readable Parquet file ({error})") from error


def _completed(
    table: pd.DataFrame, path: Path, row_type: type, there: Sequence[str]
) -> pd.DataFrame:
    """The table with the defaults of later columns that its file, which has `there`, lacks."""
    lacking = [f for f in fields(row_type) if f.name not in there]
    if missing := [f.name for f in lacking if f.name not in LATER_COLUMNS]:
        raise TableError(f"{path}: column {', '.join(missing)} is missing; make it again")
    for field in lacking:  # written by an earlier version
        values = pd.Series(field.default, table.index, _DTYPES[str(field.type)])
        table.insert(len(table.columns), field.name, values)
    return table
