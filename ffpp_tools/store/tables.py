"""The tables of a dataset folder: their schemas, and how they are written and read.

`frames.parquet` is the ledger: a row for every planned frame or still, whatever became of
it. `faces.parquet` has a row for every crop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import TableError
from ffpp_tools.files import regular_file, write_atomically
from ffpp_tools.store import format_versions
from ffpp_tools.store.merge_stamps import TABLES, MergeRecord, Stamp, part_stamps, stamps
from ffpp_tools.store.schema import (
    STATUSES,
    WITH_CROP,
    FaceRow,
    FrameRow,
    later_columns,
    part_path,
    read_rows,
)


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
    frames, faces, _ = _collected(dataset, part_stamps(dataset))
    _check_accounts(dataset, frames, faces)
    return frames, faces


def merge_parts(dataset: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring frames.parquet and faces.parquet to what `collect_parts` gives, and return that.

    Only parts that are new or changed since the last time are read; the bytes are those of merging
    all of them.

    Raises:
        TableError: the parts contradict each other.
    """
    there = part_stamps(dataset)
    columns = {
        "frames.parquet": [f.name for f in fields(FrameRow)],
        "faces.parquet": [f.name for f in fields(FaceRow)],
    }
    known = MergeRecord.read(dataset, columns)
    if known and known.parts == there:
        return read_frames(dataset), read_faces(dataset)
    found = _updated(dataset, known, there) if known and known.own_rows else None
    if found is None:
        frames, faces, own_rows = _collected(dataset, there)
        _check_accounts(dataset, frames, faces)
    else:
        (frames, faces), own_rows = found, True
    write_table(dataset / "frames.parquet", frames)
    write_table(dataset / "faces.parquet", faces)
    MergeRecord(columns, stamps(dataset, TABLES), there, own_rows).write(dataset)
    return frames, faces


def _updated(
    dataset: Path, known: MergeRecord, there: Mapping[str, Stamp]
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The tables with the rows of what is new, without those of what is gone or changed.

    None where rows do not stand in the parts that they belong to, or do not add up.
    """
    new = [path for path, stamp in there.items() if known.parts.get(path) != stamp]
    frames, faces, own_rows = _collected(dataset, new)
    if not own_rows or _do_not_add_up(frames, faces):
        return None
    old_frames, old_faces = read_frames(dataset), read_faces(dataset)
    stale = {path for path in known.parts if path not in there} | (set(new) & set(known.parts))
    if stale:
        gone = _parts_of(old_frames).isin(stale)
        kept = positions(old_frames["frame_id"][gone], old_faces["frame_id"]) < 0
        old_faces = old_faces[kept]
        old_frames = old_frames[~gone]
    merged = _inserted(old_frames, frames, "frame_id"), _inserted(old_faces, faces, "face_id")
    twice = merged[0]["frame_id"].duplicated().any() or merged[1]["face_id"].duplicated().any()
    return None if twice else merged


def _inserted(old: pd.DataFrame, new: pd.DataFrame, by: str) -> pd.DataFrame:
    """The rows of two sorted tables, sorted."""
    if new.empty:
        return old.reset_index(drop=True)
    places = np.searchsorted(old[by].to_numpy(object), new[by].to_numpy(object))
    order = np.insert(np.arange(len(old)), places, len(old) + np.arange(len(new)))
    return pd.concat([old, new], ignore_index=True).take(order).reset_index(drop=True)


def _collected(dataset: Path, paths: Iterable[str]) -> tuple[pd.DataFrame, pd.DataFrame, bool]:
    """The rows of some parts, sorted by id; and whether each stands in the part of its clip."""
    frames, faces = [table_of(FrameRow, ())], [table_of(FaceRow, ())]
    rows: dict[str, list[dict[str, Any]]] = {"frames": [], "faces": []}
    own_rows = True

    def pack() -> None:
        frames.append(_table(FrameRow, rows["frames"]))
        faces.append(_table(FaceRow, rows["faces"]))
        rows["frames"], rows["faces"] = [], []

    for path in paths:
        part = read_rows(dataset / path)
        clips = {(row["category"], row["compression"], row["clip"]) for row in part["frames"]}
        ids = {row["frame_id"] for row in part["frames"]}
        own_rows &= all(part_path(*clip) == path for clip in clips)
        own_rows &= all(row["frame_id"] in ids for row in part["faces"])
        for name, own in part.items():
            rows[name].extend(own)
        if len(rows["frames"]) >= AT_ONCE:
            pack()
    pack()
    return (
        pd.concat(frames, ignore_index=True).sort_values("frame_id", ignore_index=True),
        pd.concat(faces, ignore_index=True).sort_values("face_id", ignore_index=True),
        own_rows,
    )


def _parts_of(frames: pd.DataFrame) -> pd.Series:
    """The part of every row of the ledger."""
    keys = ["category", "compression", "clip"]
    units = frames[keys].drop_duplicates()
    paths = [part_path(*key) for key in units.itertuples(index=False)]
    return frames[keys].merge(units.assign(part=paths), how="left", on=keys)["part"]


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
    """Some columns of frames.parquet or faces.parquet, and the `content_hash` of the whole file.

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
    with _refused(path, row_type), pq.ParquetFile(path, **buffered) as file:
        there = file.schema_arrow.names
        format_versions.checked_format(format_versions.TABLE, path, _attributes(file.schema_arrow))
        later = [
            column
            for column, value in _later().items()
            if column in there
            and all(_holds_only(part[column], value) for part in _batches(file, [column]))
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
        pa.default_memory_pool().release_unused()
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
    """Where each of the wanted names stands among others, first; -1 where it does not.

    In a fraction of the time of `Series.isin`, which looks at every name as an object.
    """
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


def content_hash(table: pd.DataFrame) -> str:
    """A hash of a table's content, whatever the order of its rows.

    Later columns that hold nothing but their default do not count: the table is the one that an
    earlier release wrote.
    """
    return _digest(_row_hashes(table))


def coverage_by_category(faces: pd.DataFrame) -> dict[str, dict[str, str | int]]:
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
    later = [c for c, value in _later().items() if c in table and _holds_only(table[c], value)]
    starts = range(0, max(len(table), 1), AT_ONCE)
    return np.concatenate([_hashed(table.iloc[at : at + AT_ONCE], later) for at in starts])


def _hashed(table: pd.DataFrame, later: Sequence[str]) -> npt.NDArray[np.uint64]:
    plain = table.drop(columns=["embedding", *later], errors="ignore")
    return pd.util.hash_pandas_object(plain, index=False).to_numpy()


def _later() -> dict[str, Any]:
    """The columns of all tables that earlier releases had not, and their defaults."""
    rows = (FrameRow, FaceRow, DuplicateRow, IdentityRow)
    return {name: value for row in rows for name, value in later_columns(row).items()}


def _holds_only(column: pd.Series, value: Any) -> bool:
    return bool(column.isin([value]).all())


def _attributes(schema: Any) -> dict[str, Any]:
    """What pandas keeps as `attrs` of a Parquet file's table."""
    return dict((schema.pandas_metadata or {}).get("attributes", {}))


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
        table.attrs["faces"] = content_hash(faces)
        table.attrs["covered"] = coverage_by_category(faces)
    table.attrs[format_versions.KEY] = format_versions.VERSIONS[format_versions.TABLE]
    write_atomically(path, table.to_parquet(index=False))


def table_of(row_type: type, rows: Iterable[Any]) -> pd.DataFrame:
    """A table with a column for every field of its rows."""
    return _table(row_type, [asdict(r) for r in rows])


def _table(row_type: type, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    dtypes = {f.name: _DTYPES[str(f.type)] for f in fields(row_type)}
    return pd.DataFrame({name: [row[name] for row in rows] for name in dtypes}).astype(dtypes)


def _check_accounts(dataset: Path, frames: pd.DataFrame, faces: pd.DataFrame) -> None:
    """Every planned frame stands there once, with one known status; what is ok has crops."""
    if wrong := _do_not_add_up(frames, faces):
        raise TableError(
            f"{dataset}/parts: the rows of {', '.join(sorted(wrong)[:3])} do not add up; delete "
            f"the parts of that category and extract it again"
        )


def _do_not_add_up(frames: pd.DataFrame, faces: pd.DataFrame) -> set[str]:
    """Frames, or statuses, that are against the rule of `_check_accounts`."""
    ids, status = frames["frame_id"], frames["status"]
    unknown = status[~status.isin(STATUSES)]
    cropped = faces["frame_id"]
    without = ids[(status == "ok") & (positions(cropped, ids) < 0)]
    unplanned = cropped[positions(ids[status.isin(WITH_CROP)], cropped) < 0]
    return {*ids[ids.duplicated()], *unknown, *without, *unplanned}


def _read_optional(path: Path, row_type: type) -> pd.DataFrame | None:
    return _read_parquet(path, row_type) if path.exists() else None


def _read_parquet(path: Path, row_type: type) -> pd.DataFrame:
    with _refused(path, row_type):
        table = pd.read_parquet(regular_file(path))
        format_versions.checked_format(format_versions.TABLE, path, table.attrs)
        return _completed(table, path, row_type, list(table.columns))


@contextmanager
def _refused(path: Path, row_type: type) -> Iterator[None]:
    """Say of a Parquet file that cannot be read what is wrong with it.

    Raises:
        TableError: it is missing, or damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise TableError(
            f"{path} is missing: name a dataset folder; "
            f"`ffpp-extract --out {path.parent}` makes one"
        ) from error
    except (ValueError, OSError) as error:
        raise TableError(
            f"{path}: not a readable Parquet file ({error}); {_REMEDY[row_type]}"
        ) from error


def _completed(
    table: pd.DataFrame, path: Path, row_type: type, there: Sequence[str]
) -> pd.DataFrame:
    """The table with the defaults of later columns that its file, which has `there`, lacks."""
    lacking = [f for f in fields(row_type) if f.name not in there]
    later = later_columns(row_type)
    if missing := [f.name for f in lacking if f.name not in later]:
        raise TableError(f"{path}: column {', '.join(missing)} is missing; {_REMEDY[row_type]}")
    for field in lacking:  # written by an earlier release
        values = pd.Series(later[field.name], table.index, _DTYPES[str(field.type)])
        table.insert(len(table.columns), field.name, values)
    _check_values(path, table, row_type)
    return table


def _check_values(path: Path, table: pd.DataFrame, row_type: type) -> None:
    """Refuse a table that this project did not write: a cell is empty, or a row stands twice."""
    types = pd.api.types
    is_kind = {"str": types.is_string_dtype, "int": types.is_integer_dtype}
    for field in (f for f in fields(row_type) if f.name in table):
        column, kind = table[field.name], is_kind.get(str(field.type))
        if isinstance(column.dtype, pd.CategoricalDtype) and not column.isna().any():
            column = column.cat.categories.to_series()
        if kind is not None and (column.isna().any() or not kind(column)):
            empty = column.isna()
            what = f"row {int(empty.argmax()) + 1} has none" if empty.any() else "they are not text"
            what = what if field.type == "str" or empty.any() else "they are no whole numbers"
            raise TableError(
                f"{path}: column {field.name} is damaged ({what}); {_REMEDY[row_type]}"
            )
    key = _KEY.get(row_type)
    if key in table and not table[key].is_unique:
        first = table[key][table[key].duplicated()].iloc[0]
        raise TableError(f"{path}: {first} stands there twice; {_REMEDY[row_type]}")
