"""The tables of a dataset folder: merge them from parts, write them, and read them.

`frames.parquet` is the ledger: a row for every planned frame or still, including those without a
crop. `faces.parquet` has a row for every crop, and so has `landmarks.parquet`, which exists if the
settings ask for landmarks.
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
    LANDMARKS,
    STATUSES,
    WITH_CROP,
    FaceRow,
    FrameRow,
    LandmarkRow,
    later_columns,
    part_path,
    read_rows,
)


@dataclass(frozen=True)
class DuplicateRow:
    """A clip or still that ffpp-clean found to be unreadable, truncated or a duplicate."""

    item: str  # "category/clip"
    kind: str  # "unreadable", "truncated", "identical" or "near"
    partner: str  # the item that it duplicates, "category/clip"; empty for unreadable items
    distance: float  # fraction of differing bits of the perceptual hashes; 0 for identical files
    path: str  # the affected file: a crop, relative to the dataset folder, or a source file


@dataclass(frozen=True)
class IdentityRow:
    """The person that ffpp-identify found in a clip or still."""

    item: str  # "category/clip"
    person: str  # the alphabetically first item with the same person
    partner: str  # an item whose face matches this one's; may be empty
    distance: float  # between the two embeddings; nan if there is no partner
    faces: int  # number of crops whose embeddings are averaged
    embedding: list[float]  # 128 numbers, float32


AT_ONCE = 1 << 16  # rows processed per batch
_DTYPES = {
    "str": "str",
    "int": "int64",
    "float": "float64",
    "bool": "bool",
    "list[float]": "object",
    "list[int]": "object",
}
_ID_COLUMN = {FrameRow: "frame_id", FaceRow: "face_id", LandmarkRow: "face_id"}
_REBUILD = "run `ffpp-extract` or `ffpp-stills` to rebuild it from parts/"
_REMEDY: dict[type, str] = {
    FrameRow: _REBUILD,
    FaceRow: _REBUILD,
    LandmarkRow: _REBUILD,
    DuplicateRow: "run `ffpp-clean` again",
    IdentityRow: "run `ffpp-identify` again",
}


@dataclass(frozen=True)
class Tables:
    """The rows of many parts, each table sorted by its id."""

    frames: pd.DataFrame
    faces: pd.DataFrame
    landmarks: pd.DataFrame  # empty if the settings do not ask for landmarks


def collect_parts(dataset: Path) -> Tables:
    """Return the rows of all committed parts.

    Raises:
        TableError: the parts are inconsistent.
    """
    collected, _ = _read_parts(dataset, part_stamps(dataset))
    _check_consistency(dataset, collected)
    return collected


def merge_parts(dataset: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Update the tables from the parts, and return frames.parquet and faces.parquet.

    Only parts that are new or changed since the last merge are read. The files are byte-identical
    to those of a merge of all parts.

    Raises:
        TableError: the parts are inconsistent.
    """
    parts = part_stamps(dataset)
    columns = {
        "frames.parquet": [f.name for f in fields(FrameRow)],
        "faces.parquet": [f.name for f in fields(FaceRow)],
    }
    record = MergeRecord.read(dataset, columns)
    if record and record.parts == parts:
        return read_frames(dataset), read_faces(dataset)
    updated = _with_new_parts(dataset, record, parts) if record and record.own_rows else None
    if updated is None:
        merged, own_rows = _read_parts(dataset, parts)
        _check_consistency(dataset, merged)
    else:
        merged, own_rows = updated, True
    write_table(dataset / "frames.parquet", merged.frames)
    write_table(dataset / "faces.parquet", merged.faces)
    _write_landmarks(dataset / "landmarks.parquet", merged.landmarks)
    MergeRecord(columns, stamps(dataset, TABLES), parts, own_rows).write(dataset)
    return merged.frames, merged.faces


def _write_landmarks(path: Path, landmarks: pd.DataFrame) -> None:
    """Write the landmarks as lists of fixed size, or delete those of earlier settings."""
    import pyarrow as pa

    if landmarks.empty:
        path.unlink(missing_ok=True)
        return
    schema = pa.Schema.from_pandas(landmarks, preserve_index=False)
    points = pa.field("points", pa.list_(pa.int32(), 2 * LANDMARKS))
    write_table(path, landmarks, schema=schema.set(schema.get_field_index("points"), points))


def _with_new_parts(
    dataset: Path, record: MergeRecord, parts: Mapping[str, Stamp]
) -> Tables | None:
    """Return the tables with the rows of new and changed parts, and without stale rows.

    None if the new parts contain rows of other parts, or if the rows are inconsistent.
    """
    new = [path for path, stamp in parts.items() if record.parts.get(path) != stamp]
    added, own_rows = _read_parts(dataset, new)
    if not own_rows or _inconsistent_rows(added):
        return None
    old_frames, old_faces = read_frames(dataset), read_faces(dataset)
    old_landmarks = read_landmarks(dataset)
    stale = {path for path in record.parts if path not in parts} | (set(new) & set(record.parts))
    if stale:
        is_stale = _parts_of(old_frames).isin(stale)
        current = positions(old_frames["frame_id"][is_stale], old_faces["frame_id"]) < 0
        old_faces = old_faces[current]
        old_frames = old_frames[~is_stale]
        has_face = positions(old_faces["face_id"], old_landmarks["face_id"]) >= 0
        old_landmarks = old_landmarks[has_face]
    frames = _merge_sorted(old_frames, added.frames, "frame_id")
    faces = _merge_sorted(old_faces, added.faces, "face_id")
    if frames["frame_id"].duplicated().any() or faces["face_id"].duplicated().any():
        return None
    return Tables(frames, faces, _merge_sorted(old_landmarks, added.landmarks, "face_id"))


def _merge_sorted(old: pd.DataFrame, new: pd.DataFrame, by: str) -> pd.DataFrame:
    """Merge two tables that are sorted by the column `by` into one sorted table."""
    if new.empty:
        return old.reset_index(drop=True)
    indices = np.searchsorted(old[by].to_numpy(object), new[by].to_numpy(object))
    order = np.insert(np.arange(len(old)), indices, len(old) + np.arange(len(new)))
    return pd.concat([old, new], ignore_index=True).take(order).reset_index(drop=True)


def _read_parts(dataset: Path, paths: Iterable[str]) -> tuple[Tables, bool]:
    """Return the rows of some parts, sorted by id, and whether each row is in its clip's part."""
    row_types = {"frames": FrameRow, "faces": FaceRow, "landmarks": LandmarkRow}
    batches = {name: [table_of(row_type, ())] for name, row_type in row_types.items()}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in row_types}
    own_rows = True

    def pack() -> None:
        for row in rows["landmarks"]:
            row["points"] = np.array(row["points"], np.int32)  # takes less memory than a list
        for name, row_type in row_types.items():
            batches[name].append(_table(row_type, rows[name]))
            rows[name] = []

    def packed(name: str) -> pd.DataFrame:
        by = "frame_id" if name == "frames" else "face_id"
        return pd.concat(batches[name], ignore_index=True).sort_values(by, ignore_index=True)

    for path in paths:
        part = read_rows(dataset / path)
        clips = {(row["category"], row["compression"], row["clip"]) for row in part["frames"]}
        ids = {row["frame_id"] for row in part["frames"]}
        own_rows &= all(part_path(*clip) == path for clip in clips)
        own_rows &= all(row["frame_id"] in ids for row in part["faces"])
        for name, part_rows in part.items():
            rows[name].extend(part_rows)
        if len(rows["frames"]) >= AT_ONCE:
            pack()
    pack()
    return Tables(packed("frames"), packed("faces"), packed("landmarks")), own_rows


def _parts_of(frames: pd.DataFrame) -> pd.Series:
    """Return the path of each ledger row's part."""
    keys = ["category", "compression", "clip"]
    units = frames[keys].drop_duplicates()
    paths = [part_path(*key) for key in units.itertuples(index=False)]
    return frames[keys].merge(units.assign(part=paths), how="left", on=keys)["part"]


def read_frames(dataset: Path) -> pd.DataFrame:
    """Read the ledger of a dataset folder; columns as in `FrameRow`."""
    return _read_parquet(dataset / "frames.parquet", FrameRow)


def read_faces(dataset: Path) -> pd.DataFrame:
    """Read the crop table of a dataset folder; columns as in `FaceRow`."""
    return _read_parquet(dataset / "faces.parquet", FaceRow)


def read_landmarks(dataset: Path) -> pd.DataFrame:
    """Read the landmarks of a dataset folder; columns as in `LandmarkRow`. Empty without any."""
    landmarks = _read_optional(dataset / "landmarks.parquet", LandmarkRow)
    return table_of(LandmarkRow, ()) if landmarks is None else landmarks


def read_duplicates(dataset: Path) -> pd.DataFrame | None:
    """Read the table of ffpp-clean; columns as in `DuplicateRow`. None if it was not run."""
    return _read_optional(dataset / "duplicates.parquet", DuplicateRow)


def read_identities(dataset: Path) -> pd.DataFrame | None:
    """Read the table of ffpp-identify; columns as in `IdentityRow`. None if it was not run."""
    return _read_optional(dataset / "identities.parquet", IdentityRow)


def read_columns(
    dataset: Path, name: str, columns: Sequence[str], repeated: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read some columns of frames.parquet or faces.parquet, and the `content_hash` of the file.

    The file is read and hashed in batches, so that the full table is never in memory.

    Args:
        dataset: the dataset folder.
        name: "frames" or "faces".
        columns: names of the columns to return.
        repeated: columns with few distinct texts. They are returned with dtype `category`, with the
            categories in alphabetical order; `as_text` converts them to plain text.

    Returns:
        The table, and {"<name>.parquet": its content hash}.

    Raises:
        TableError: the file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, row_type = dataset / f"{name}.parquet", {"frames": FrameRow, "faces": FaceRow}[name]
    buffered = {"pre_buffer": False, "buffer_size": 1 << 20}  # else it loads a whole row group
    with _as_table_error(path, row_type), pq.ParquetFile(path, **buffered) as file:
        file_columns = file.schema_arrow.names
        format_versions.checked_format(format_versions.TABLE, path, _attributes(file.schema_arrow))
        later = [
            column
            for column, value in _all_later_columns().items()
            if column in file_columns
            and all(_is_constant(part[column], value) for part in _batches(file, [column]))
        ]
        hashes, selected = [np.empty(0, np.uint64)], []
        for batch in file.iter_batches(AT_ONCE):
            rows = pa.Table.from_batches([batch])
            for position, column in enumerate(rows.column_names):
                if column in repeated:
                    rows = rows.set_column(position, column, rows[column].dictionary_encode())
            hashes.append(_hash_rows(rows.to_pandas(), later))
            selected.append(rows.select([c for c in columns if c in file_columns]))
        schema = file.schema_arrow
        empty = schema.empty_table().select([c for c in columns if c in file_columns])
        table = pa.concat_tables(selected or [empty]).unify_dictionaries().to_pandas()
        del selected
        pa.default_memory_pool().release_unused()
        table = with_later_columns(table, path, row_type, file_columns)[list(columns)]
    for column in repeated:
        values = table[column].astype("category")
        table[column] = values.cat.reorder_categories(values.cat.categories.sort_values())
    return table, {path.name: _digest(np.concatenate(hashes))}


def read_numbers(dataset: Path, name: str, column: str) -> npt.NDArray[np.int64]:
    """Return one column of integers of frames.parquet or faces.parquet, in the file's row order.

    Raises:
        TableError: the file is missing or damaged.
    """
    return _read_column(dataset, name, column).to_numpy(np.int64)


def read_texts(dataset: Path, name: str, column: str) -> pd.Series:
    """As `read_numbers`, for a column with few distinct texts; of dtype `category`.

    Raises:
        TableError: the file is missing or damaged.
    """
    return _read_column(dataset, name, column).astype("category")


def _read_column(dataset: Path, name: str, column: str) -> pd.Series:
    path, row_type = dataset / f"{name}.parquet", {"frames": FrameRow, "faces": FaceRow}[name]
    with _as_table_error(path, row_type):
        return pd.read_parquet(regular_file(path), columns=[column])[column]


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Convert columns of dtype `category` to plain text."""
    repeated = [c for c in table if isinstance(table[c].dtype, pd.CategoricalDtype)]
    return table.astype(dict.fromkeys(repeated, "str"))


def positions(names: pd.Series, wanted: pd.Series) -> npt.NDArray[np.int64]:
    """Return the first position of each wanted name in `names`; -1 if it is missing.

    Much faster than `Series.isin`, which handles every name as a Python object.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    indices = pc.index_in(pa.array(wanted), value_set=pa.array(names))
    return np.array(pc.fill_null(indices, -1), np.int64)


def sorted_order(names: pd.Series) -> npt.NDArray[np.int64]:
    """Return the indices that sort the names; fast if they are already sorted."""
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
    """Hash a table's content, independently of the order of its rows.

    A column of a later release is ignored if all its values are the default, so that the hash is
    the same as for the table that an earlier release wrote.
    """
    return _digest(_row_hashes(table))


def coverage_by_category(faces: pd.DataFrame) -> dict[str, dict[str, str | int]]:
    """Return, for each category, how many clips and stills have crops, and a hash of their rows."""
    # category/compression/clip/frame, where a still's clip may hold slashes
    names = faces["frame_id"].str.rsplit("/", n=1).str[0].str.split("/", n=2)
    rows = pd.DataFrame(
        {"category": names.str[0], "clip": names.str[2], "hash": _row_hashes(faces)}
    )
    return {
        str(category): {
            "units": int(group["clip"].nunique()),
            "faces": _digest(group["hash"].to_numpy()),
        }
        for category, group in rows.groupby("category")
    }


def _row_hashes(table: pd.DataFrame) -> npt.NDArray[np.uint64]:
    later = [
        c
        for c, value in _all_later_columns().items()
        if c in table and _is_constant(table[c], value)
    ]
    starts = range(0, max(len(table), 1), AT_ONCE)
    return np.concatenate(
        [_hash_rows(table.iloc[start : start + AT_ONCE], later) for start in starts]
    )


def _hash_rows(table: pd.DataFrame, later: Sequence[str]) -> npt.NDArray[np.uint64]:
    plain = table.drop(columns=["embedding", *later], errors="ignore")
    return pd.util.hash_pandas_object(plain, index=False).to_numpy()


def _all_later_columns() -> dict[str, Any]:
    """Return the columns that tables of earlier releases may lack, of all tables, with defaults."""
    rows = (FrameRow, FaceRow, DuplicateRow, IdentityRow)
    return {name: value for row in rows for name, value in later_columns(row).items()}


def _is_constant(column: pd.Series, value: Any) -> bool:
    return bool(column.isin([value]).all())


def _attributes(schema: Any) -> dict[str, Any]:
    """Return the `attrs` that pandas stored in a Parquet file's schema."""
    return dict((schema.pandas_metadata or {}).get("attributes", {}))


def _digest(hashes: npt.NDArray[np.uint64]) -> str:
    return hashlib.sha256(np.sort(hashes).tobytes()).hexdigest()


def write_table(
    path: Path, table: pd.DataFrame, faces: pd.DataFrame | None = None, schema: Any = None
) -> None:
    """Write a Parquet file atomically.

    Args:
        path: the file.
        table: the table to write.
        faces: the crop table that `table` was computed from. Its hashes are stored in the file, so
            that later changes of the crops are detected.
        schema: of the file, if it cannot be inferred from the table.
    """
    if faces is not None:
        table.attrs["faces"] = content_hash(faces)
        table.attrs["covered"] = coverage_by_category(faces)
    table.attrs[format_versions.KEY] = format_versions.VERSIONS[format_versions.TABLE]
    write_atomically(path, table.to_parquet(index=False, schema=schema))


def table_of(row_type: type, rows: Iterable[Any]) -> pd.DataFrame:
    """Return a table of dataclass rows with a column for each field."""
    return _table(row_type, [asdict(r) for r in rows])


def _table(row_type: type, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    dtypes = {f.name: _DTYPES[str(f.type)] for f in fields(row_type)}
    return pd.DataFrame({name: [row[name] for row in rows] for name in dtypes}).astype(dtypes)


def _check_consistency(dataset: Path, tables: Tables) -> None:
    """Check that the ledger, the crop table and the landmarks are consistent.

    Every planned frame must have one row with a known status, every "ok" frame a crop, and every
    crop a frame whose status allows one. If there are landmarks, every crop must have some.

    Raises:
        TableError: they are inconsistent.
    """
    if wrong := _inconsistent_rows(tables):
        raise TableError(
            f"{dataset}/parts: the rows of {', '.join(sorted(wrong)[:3])} are inconsistent; delete "
            f"the parts of that category and extract it again"
        )


def _inconsistent_rows(tables: Tables) -> set[str]:
    """Return the ids and statuses that violate the rules of `_check_consistency`."""
    frames, faces, with_landmarks = tables.frames, tables.faces, tables.landmarks["face_id"]
    ids, status = frames["frame_id"], frames["status"]
    unknown = status[~status.isin(STATUSES)]
    cropped = faces["frame_id"]
    without_crop = ids[(status == "ok") & (positions(cropped, ids) < 0)]
    unexpected_crop = cropped[positions(ids[status.isin(WITH_CROP)], cropped) < 0]
    crops = faces["face_id"]
    without_landmarks = crops[positions(with_landmarks, crops) < 0] if len(with_landmarks) else ()
    without_face = with_landmarks[positions(crops, with_landmarks) < 0]
    repeated = (*ids[ids.duplicated()], *with_landmarks[with_landmarks.duplicated()])
    crops_and_landmarks = (*unexpected_crop, *without_landmarks, *without_face)
    return {*repeated, *unknown, *without_crop, *crops_and_landmarks}


def _read_optional(path: Path, row_type: type) -> pd.DataFrame | None:
    return _read_parquet(path, row_type) if path.exists() else None


def _read_parquet(path: Path, row_type: type) -> pd.DataFrame:
    with _as_table_error(path, row_type):
        table = pd.read_parquet(regular_file(path))
        format_versions.checked_format(format_versions.TABLE, path, table.attrs)
        return with_later_columns(table, path, row_type, list(table.columns))


@contextmanager
def _as_table_error(path: Path, row_type: type) -> Iterator[None]:
    """Convert the errors of reading a Parquet file to a TableError with a remedy.

    Raises:
        TableError: the file is missing or damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise TableError(
            f"{path} is missing: pass a dataset folder, or create one with "
            f"`ffpp-extract --out {path.parent}`"
        ) from error
    except (ValueError, OSError) as error:
        raise TableError(
            f"{path}: not a readable Parquet file ({error}); {_REMEDY[row_type]}"
        ) from error


def with_later_columns(
    table: pd.DataFrame, path: Path, row_type: type, file_columns: Sequence[str], remedy: str = ""
) -> pd.DataFrame:
    """Return the table with the default values of columns that its file, an older one, lacks.

    Args:
        table: columns of the file.
        path: the file.
        row_type: the dataclass of its rows.
        file_columns: names of all columns in the file, of which `table` may have only some.
        remedy: what the user can do if the table is damaged; needed for rows of other modules.

    Raises:
        TableError: a column is missing, or has values of another type.
    """
    absent = [f for f in fields(row_type) if f.name not in file_columns]
    later = later_columns(row_type)
    if missing := [f.name for f in absent if f.name not in later]:
        remedy = remedy or _REMEDY[row_type]
        raise TableError(f"{path}: column {', '.join(missing)} is missing; {remedy}")
    for field in absent:  # written by an earlier release
        values = pd.Series(later[field.name], table.index, _DTYPES[str(field.type)])
        table.insert(len(table.columns), field.name, values)
    _check_values(path, table, row_type, remedy)
    return table


def _check_values(path: Path, table: pd.DataFrame, row_type: type, remedy: str) -> None:
    """Check the values of a table: no empty cells, the right types, and unique ids.

    Raises:
        TableError: a check fails, so the table is damaged or was not written by this project.
    """
    types = pd.api.types
    kinds = {
        "str": (types.is_string_dtype, "text"),
        "int": (types.is_integer_dtype, "integers"),
        "float": (types.is_float_dtype, "numbers"),
        "bool": (types.is_bool_dtype, "true or false"),
    }
    for field in (f for f in fields(row_type) if f.name in table and str(f.type) in kinds):
        column, (is_kind, kind_name) = table[field.name], kinds[str(field.type)]
        if isinstance(column.dtype, pd.CategoricalDtype) and not column.isna().any():
            column = column.cat.categories.to_series()
        empty = column.isna() & (field.type != "float")
        if empty.any() or not is_kind(column):
            problem = f"the values are not {kind_name}"
            problem = f"row {int(empty.argmax()) + 1} is empty" if empty.any() else problem
            remedy = remedy or _REMEDY[row_type]
            raise TableError(f"{path}: column {field.name} is damaged ({problem}); {remedy}")
    id_column = _ID_COLUMN.get(row_type)
    if id_column in table and not table[id_column].is_unique:
        repeated_id = table[id_column][table[id_column].duplicated()].iloc[0]
        raise TableError(f"{path}: {repeated_id} appears twice; {_REMEDY[row_type]}")
