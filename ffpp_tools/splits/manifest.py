"""A manifest: a folder of CSV files, one per split, and manifest.json, which vouches for them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from ffpp_tools.errors import TableError
from ffpp_tools.files import escapes_root, parse_json, regular_file, sha256, write_atomically
from ffpp_tools.store import format_versions, incomplete
from ffpp_tools.store.schema import SPLITS, later_columns
from ffpp_tools.store.tables import AT_ONCE, read_faces

COMMAND = "ffpp-split"


@dataclass(frozen=True)
class ManifestRow:
    """One sample of a manifest's train.csv, val.csv or test.csv."""

    face_id: str
    path: str  # below the manifest's root
    # `class` is a keyword of Python, so this field bears an underscore and its column none.
    class_: str
    class_index: int
    label: str
    category: str
    compression: str
    clip: str
    target_id: str
    source_id: str
    frame: int
    group: str  # what must not be separated


# What manifest.json cannot do without: a type; a list of such; or a dict, of any keys (`str`) or
# of these.
_OF_SPLITS = {split: {str: int} for split in SPLITS}
MANIFEST_SHAPE: dict[Any, Any] = {
    **dict.fromkeys(("summary", "mode", "recipe", "root"), str),
    "classes": {str: str},
    "counts": _OF_SPLITS,
    "categories": _OF_SPLITS,
    "groups": {split: {"clips": int, "stills": int} for split in SPLITS},
    "available": {str: int},
    "unused": {str: int},
    "settings": {"rule": str},
    "removed": [
        {"who": str, "side": str, "samples": int, "reason": str, "because_of": str, "kept": str}
    ],
    "tables": {str: str},
    "files": {str: str},
    "crops": dict.fromkeys(SPLITS, str),
    "audit": {"leaks": bool, "not_known": [str], "miss_rates": {str: (int, float)}},
}
MANIFEST_COLUMNS = tuple(f.name.rstrip("_") for f in fields(ManifestRow))
TEXT_COLUMNS = tuple(f.name.rstrip("_") for f in fields(ManifestRow) if f.type == "str")


def _check(info: Any) -> None:
    """Refuse what nobody could go on with.

    Raises:
        ValueError, KeyError, TypeError: saying what.
    """
    _fit(info, MANIFEST_SHAPE, "it")
    for key, found, length in (
        ("ratios", info["settings"].get("ratios"), len(SPLITS)),
        ("fold", info.get("fold"), 2),
    ):
        if found is not None:
            _fit(found, [(int, float)], key)
            if len(found) != length:
                raise ValueError(f"{key} has not {length} numbers")
    if "\0" in info["root"]:
        raise ValueError("root is no path")
    if not all(label in ("real", "fake") for label in info["classes"].values()):
        raise ValueError("a class is neither real nor fake")


def _fit(value: Any, shape: Any, name: str) -> None:
    if isinstance(shape, list):
        _fit(value, list, name)
        for inner in value:
            _fit(inner, shape[0], name)
    elif isinstance(shape, dict):
        _fit(value, dict, name)
        of_each = dict.fromkeys(value, shape[str]) if str in shape else shape
        for key, inner in of_each.items():
            _fit(value[key], inner, key)
    elif not isinstance(value, shape):
        raise TypeError(f"{name} is {value!r:.50}")


@dataclass(frozen=True)
class Manifest:
    """A manifest folder: what its manifest.json says. Samples are read per split."""

    folder: Path
    info: dict[str, Any]
    sha256: str = ""  # of manifest.json as it was read, which holds the hashes of the CSV files

    @classmethod
    def read(cls, folder: str | Path) -> Manifest:
        """The manifest in `folder`.

        Raises:
            TableError: none there, or manifest.json is damaged.
            FormatError: a newer release wrote it.
        """
        folder = Path(folder)
        path = folder / "manifest.json"
        try:
            data = regular_file(path).read_bytes()
            info = format_versions.without_format(
                format_versions.MANIFEST, path, dict(parse_json(data))
            )
            _check(info)
        except (FileNotFoundError, NotADirectoryError) as error:
            if incomplete.is_incomplete(folder, COMMAND):
                raise TableError(
                    f"{folder}: ffpp-split has not ended there; if it was stopped, run it again"
                ) from error
            raise TableError(
                f"no manifest at {folder} (no manifest.json); `ffpp-split` makes one"
            ) from error
        except OSError as error:
            raise TableError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise TableError(
                f"{path}: damaged ({error!r}); make it again with `ffpp-split`"
            ) from error
        return cls(folder, info, hashlib.sha256(data).hexdigest())

    @property
    def classes(self) -> dict[str, str]:
        """Class → "real" or "fake", in index order."""
        return dict(self.info["classes"])

    @property
    def root(self) -> Path:
        """The folder that the paths of the samples start from."""
        return (self.folder / self.info["root"]).resolve()

    def samples(self, split: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of one split; columns as in `ManifestRow`, or some of them.

        Raises:
            TableError: the file is missing, or is not the one that was written with
                manifest.json, whose promises then no longer hold.
        """
        path = self.folder / f"{split}.csv"
        if not path.is_file():
            raise TableError(f"{path} is missing; splits are {', '.join(SPLITS)}")
        data = regular_file(path).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.info["files"].get(path.name):
            raise TableError(
                f"{path} was changed after it was written: what manifest.json says of people and "
                f"balance may no longer hold. Make the manifest again with `ffpp-split`."
            )
        samples = _parsed_csv(path, data)
        for name, value in later_columns(ManifestRow).items():
            if name not in samples:  # written by an earlier release
                samples[name] = value
        if missing := [c for c in MANIFEST_COLUMNS if c not in samples]:
            raise TableError(f"{path}: column {', '.join(missing)} is missing")
        odd = samples["path"][samples["path"].str.contains(r"^/|\.\.|[\\:]")]
        if outside := [p for p in odd if escapes_root(p)]:
            raise TableError(f"{path}: {outside[0]!r} leads out of the dataset's folder")
        return samples if columns is None else samples[list(columns)]

    def crop_hashes(self, split: str, samples: pd.DataFrame) -> pd.Series:
        """The sha256 of every crop of a split, by its path below the root, in the CSV's order.

        Args:
            split: which one.
            samples: its rows.

        Raises:
            TableError: the dataset is gone, or has other crops than when the manifest was made.
        """
        path = self.root / "faces.parquet"
        if not path.is_file():
            raise TableError(
                f"{path} is missing. If the dataset folder was moved, make the manifest again "
                f"with `ffpp-split`."
            )
        faces = read_faces(self.root).set_index("path")["sha256"]
        hashes = faces.reindex(samples["path"])
        if _digest(samples["path"], hashes.fillna("")) != self.info["crops"][split]:
            raise TableError(
                f"{path} tells of other crops than {self.folder} was made of. Make the manifest "
                f"again with `ffpp-split`."
            )
        return hashes


def write_manifest(
    folder: Path, splits: Iterable[tuple[str, pd.DataFrame]], info: dict[str, Any]
) -> Manifest:
    """Write the CSV of each split, then manifest.json with their hashes and those of the crops.

    The rows of a split have the columns of `ManifestRow`, and the sha256 of their crops.
    """
    files, crops = {}, {}
    for split, rows in splits:
        path = folder / f"{split}.csv"
        write_atomically(path, _csv(rows[list(MANIFEST_COLUMNS)]))
        files[path.name], crops[split] = sha256(path), _digest(rows["path"], rows["sha256"])
    info = {**info, "files": files, "crops": crops}
    # What it says of people comes first.
    text = (
        json.dumps(
            {**info, format_versions.KEY: format_versions.VERSIONS[format_versions.MANIFEST]},
            indent=2,
        )
        + "\n"
    )
    write_atomically(folder / "manifest.json", text.encode())
    return Manifest(folder, json.loads(json.dumps(info)), hashlib.sha256(text.encode()).hexdigest())


def _digest(paths: pd.Series, hashes: pd.Series) -> str:
    """One hash for a list of crops and what is in them."""
    digest = hashlib.sha256()
    for lines in _lines([paths, hashes], " "):
        digest.update(lines)
    return digest.hexdigest()


def _csv(table: pd.DataFrame) -> bytes:
    """Text and whole numbers as a CSV file, the bytes of `DataFrame.to_csv`, but faster."""
    import pyarrow.compute as pc

    def quoted(values: Any) -> Any:
        special = pc.match_substring_regex(values, '[",\r\n]')
        if not pc.any(special).as_py():
            return values
        doubled = pc.replace_substring(values, '"', '""')
        return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), values)

    text = io.BytesIO()
    text.write((",".join(table.columns) + "\n").encode())
    for lines in _lines([column for _, column in table.items()], ",", quoted):
        text.write(lines)
    return text.getvalue()


def _lines(
    columns: Sequence[pd.Series], separator: str, written: Callable[[Any], Any] = lambda v: v
) -> Iterator[memoryview]:
    """The values of each row with a separator between them and a line feed behind; many at a time.

    Args:
        columns: of text or whole numbers.
        separator: between the values.
        written: from an Arrow array of text to how it is to be written.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for start in range(0, len(columns[0]), AT_ONCE):
        rows = (pa.array(column.iloc[start : start + AT_ONCE]) for column in columns)
        whole = (r.combine_chunks() if isinstance(r, pa.ChunkedArray) else r for r in rows)
        values = [written(pc.fill_null(r.cast(pa.string()), "")) for r in whole]
        lines = pc.binary_join_element_wise(*values, separator)
        ended = pc.binary_join_element_wise(lines, "", "\n")
        yield memoryview(ended.buffers()[2])


def _parsed_csv(path: Path, data: bytes) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import csv

    types = {f.name.rstrip("_"): pa.int64() for f in fields(ManifestRow) if f.type == "int"}
    types |= dict.fromkeys(TEXT_COLUMNS, pa.large_string())
    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types),
        )
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: not a readable CSV file ({error})") from error
    return table.combine_chunks().to_pandas()
