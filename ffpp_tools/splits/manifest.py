"""A manifest: a folder with one CSV file per split, and manifest.json with their checksums."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ffpp_tools.errors import SettingsError, TableError, check_choice
from ffpp_tools.files import escapes_root, parse_json, regular_file, sha256, write_atomically
from ffpp_tools.store import format_versions, incomplete
from ffpp_tools.store.schema import SPLITS, later_columns
from ffpp_tools.store.tables import AT_ONCE, read_faces

if TYPE_CHECKING:
    from ffpp_tools.loading.dataset import CropDataset, Transform

COMMAND = "ffpp-split"


@dataclass(frozen=True)
class ManifestRow:
    """One sample of a manifest's train.csv, val.csv or test.csv."""

    face_id: str
    path: str  # relative to the manifest's root
    class_: str  # column `class`, which is a Python keyword
    class_index: int
    label: str
    category: str
    compression: str
    clip: str
    target_id: str
    source_id: str
    frame: int
    group: str  # identity group
    pair: str = ""  # original's clip/frame/compression if cropped with the same window; else empty


# The required content of manifest.json. A shape is a type, a list of one shape, or a dict of
# shapes with the given keys; the key `str` stands for any number of keys.
_SPLIT_COUNTS = {split: {str: int} for split in SPLITS}
MANIFEST_SHAPE: dict[Any, Any] = {
    **dict.fromkeys(("summary", "mode", "recipe", "root"), str),
    "classes": {str: str},
    "counts": _SPLIT_COUNTS,
    "categories": _SPLIT_COUNTS,
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
    """Validate the required keys of manifest.json.

    Raises:
        ValueError, KeyError, TypeError: naming the offending key.
    """
    _check_shape(info, MANIFEST_SHAPE, "the content")
    if "pairs" in info:
        counts = {split: {"fakes": int, "paired": int} for split in SPLITS}
        _check_shape(info["pairs"], counts, "pairs")
    for key, value, length in (
        ("ratios", info["settings"].get("ratios"), len(SPLITS)),
        ("fold", info.get("fold"), 2),
    ):
        if value is not None:
            _check_shape(value, [(int, float)], key)
            if len(value) != length:
                raise ValueError(f"{key} does not have {length} numbers")
    if "\0" in info["root"]:
        raise ValueError("root is not a path")
    if not all(label in ("real", "fake") for label in info["classes"].values()):
        raise ValueError("a class is neither real nor fake")


def _check_shape(value: Any, shape: Any, name: str) -> None:
    if isinstance(shape, list):
        _check_shape(value, list, name)
        for inner in value:
            _check_shape(inner, shape[0], name)
    elif isinstance(shape, dict):
        _check_shape(value, dict, name)
        shapes = dict.fromkeys(value, shape[str]) if str in shape else shape
        for key, inner in shapes.items():
            _check_shape(value[key], inner, key)
    elif not isinstance(value, shape):
        raise TypeError(f"{name} is {value!r:.50}")


@dataclass(frozen=True)
class Manifest:
    """A manifest folder and the content of its manifest.json. Samples are read per split."""

    folder: Path
    info: dict[str, Any]
    sha256: str = ""  # of manifest.json when it was read; it contains the CSV files' hashes

    @classmethod
    def read(cls, folder: str | Path) -> Manifest:
        """Read the manifest in `folder`.

        Raises:
            TableError: there is no manifest, or manifest.json is damaged.
            FormatError: a newer release wrote the manifest.
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
                    f"{folder}: ffpp-split has not finished; if it was interrupted, run it again"
                ) from error
            raise TableError(
                f"no manifest in {folder} (no manifest.json); create one with `ffpp-split`"
            ) from error
        except OSError as error:
            raise TableError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise TableError(
                f"{path}: damaged ({error!r}); create it again with `ffpp-split`"
            ) from error
        return cls(folder, info, hashlib.sha256(data).hexdigest())

    @property
    def classes(self) -> dict[str, str]:
        """Class → "real" or "fake", in index order."""
        return dict(self.info["classes"])

    @property
    def root(self) -> Path:
        """The folder that the paths of the samples are relative to."""
        return (self.folder / self.info["root"]).resolve()

    def samples(self, split: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows of one split, with all columns of `ManifestRow` or the given ones.

        Raises:
            TableError: the file is missing, or differs from the checksum in manifest.json.
        """
        path = self.folder / f"{split}.csv"
        if not path.is_file():
            raise TableError(f"{path} is missing; splits are {', '.join(SPLITS)}")
        data = regular_file(path).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.info["files"].get(path.name):
            raise TableError(
                f"{path} was changed after it was written: the audit and counts in manifest.json "
                f"may no longer be valid. Create the manifest again with `ffpp-split`."
            )
        samples = _parsed_csv(path, data)
        for name, value in later_columns(ManifestRow).items():
            if name not in samples:  # written by an earlier release
                samples[name] = value
        if missing := [c for c in MANIFEST_COLUMNS if c not in samples]:
            raise TableError(f"{path}: column {', '.join(missing)} is missing")
        suspicious = samples["path"][samples["path"].str.contains(r"^/|\.\.|[\\:]")]
        if outside := [p for p in suspicious if escapes_root(p)]:
            raise TableError(f"{path}: {outside[0]!r} points outside the dataset's folder")
        return samples if columns is None else samples[list(columns)]

    def crop_hashes(self, split: str, samples: pd.DataFrame) -> pd.Series:
        """Return the sha256 of every crop of a split, indexed by path, in the order of the CSV.

        Args:
            split: "train", "val" or "test".
            samples: the rows of the split.

        Raises:
            TableError: the dataset is missing, or its crops have changed since the manifest was
                created.
        """
        path = self.root / "faces.parquet"
        if not path.is_file():
            raise TableError(
                f"{path} is missing. If the dataset folder was moved, create the manifest again "
                f"with `ffpp-split`."
            )
        faces = read_faces(self.root).set_index("path")["sha256"]
        hashes = faces.reindex(samples["path"])
        if _digest(samples["path"], hashes.fillna("")) != self.info["crops"][split]:
            raise TableError(
                f"{path}: the crops have changed since {self.folder} was created. Create the "
                f"manifest again with `ffpp-split`."
            )
        return hashes

    def dataset(
        self,
        split: str,
        *,
        size: int | None = None,
        transform: Transform | None = None,
        pairs: bool = False,
    ) -> CropDataset:
        """Return a split as a map-style dataset for training code of your own.

        PyTorch's `DataLoader` accepts it, also with worker processes, and `tf_dataset` converts it.
        Crops that are not square are stretched to `size`.

        Args:
            split: "train", "val" or "test".
            size: side of the images in pixels; by default, each crop has its own size.
            transform: called with each image, (H, W, 3) uint8 RGB; with `pairs`, with the images of
                a pair, (n, H, W, 3), so that it can change all of them in the same way.
            pairs: an item is an original with its fakes of the same frame (`PairDataset`) instead
                of one crop (`CropDataset`).

        Raises:
            SettingsError: the split or the size is not valid.
            TableError: the manifest is damaged, the crops of its dataset have changed, or the split
                has no pairs.
        """
        from ffpp_tools.loading.dataset import CropDataset, PairDataset

        check_choice("split", split, SPLITS)
        if size is not None and size < 1:
            raise SettingsError(f"size ({size}) must be at least 1 pixel")
        samples = self.samples(split)
        hashes = self.crop_hashes(split, samples).reset_index(drop=True)
        crops = CropDataset(self.root, samples, hashes, size, transform)
        if not pairs:
            return crops
        paired = PairDataset.of(crops)
        if not len(paired):
            raise TableError(
                f"{self.folder / split}.csv: no fake has its original's crop of the same frame in "
                f"this split (column pair). Extract fakes together with their originals, not "
                f"aligned, and create the manifest again with `ffpp-split`; or leave out pairs."
            )
        return paired


def write_manifest(
    folder: Path, splits: Iterable[tuple[str, pd.DataFrame]], info: dict[str, Any]
) -> Manifest:
    """Write the CSV file of each split, then manifest.json with the hashes of files and crops.

    The rows of a split have the columns of `ManifestRow`, and column sha256, that of the crop.
    """
    files, crops = {}, {}
    for split, rows in splits:
        path = folder / f"{split}.csv"
        write_atomically(path, _csv(rows[list(MANIFEST_COLUMNS)]))
        files[path.name], crops[split] = sha256(path), _digest(rows["path"], rows["sha256"])
    info = {**info, "files": files, "crops": crops}
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
    """Return a hash of the paths of crops and of the crops' hashes."""
    digest = hashlib.sha256()
    for lines in _lines([paths, hashes], " "):
        digest.update(lines)
    return digest.hexdigest()


def _csv(table: pd.DataFrame) -> bytes:
    """Return a table of text and integers as CSV: the bytes of `DataFrame.to_csv`, but faster."""
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
    columns: Sequence[pd.Series], separator: str, quote: Callable[[Any], Any] = lambda v: v
) -> Iterator[memoryview]:
    """Yield rows as lines of text, `AT_ONCE` rows at a time.

    Args:
        columns: columns of text or integers.
        separator: text between the values of a row.
        quote: maps an Arrow array of text to the text to be written.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for start in range(0, len(columns[0]), AT_ONCE):
        rows = (pa.array(column.iloc[start : start + AT_ONCE]) for column in columns)
        arrays = (r.combine_chunks() if isinstance(r, pa.ChunkedArray) else r for r in rows)
        values = [quote(pc.fill_null(r.cast(pa.string()), "")) for r in arrays]
        joined = pc.binary_join_element_wise(*values, separator)
        lines = pc.binary_join_element_wise(joined, "", "\n")
        yield memoryview(lines.buffers()[2])


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
