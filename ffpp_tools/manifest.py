"""A manifest: a folder of CSV files, one per split, and manifest.json, which vouches for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from ffpp_tools import formats, unfinished
from ffpp_tools.errors import TableError
from ffpp_tools.files import leads_out, read_json, sha256, write_atomically
from ffpp_tools.rows import SPLITS, later_columns
from ffpp_tools.tables import read_faces


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

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest in `folder`.

        Raises:
            TableError: none there, or manifest.json is damaged.
            FormatError: a newer release wrote it.
        """
        path = folder / "manifest.json"
        try:
            info = formats.unstamped(formats.MANIFEST, path, dict(read_json(path)))
            _check(info)
        except (FileNotFoundError, NotADirectoryError) as error:
            if unfinished.begun(folder, "ffpp-split"):
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
        return cls(folder, info)

    @property
    def classes(self) -> dict[str, str]:
        """Class → "real" or "fake", in index order."""
        return dict(self.info["classes"])

    @property
    def root(self) -> Path:
        """The folder that the paths of the samples start from."""
        return (self.folder / self.info["root"]).resolve()

    def samples(self, split: str) -> pd.DataFrame:
        """The rows of one split; columns as in `ManifestRow`.

        Raises:
            TableError: the file is missing, or is not the one that was written with
                manifest.json, whose promises then no longer hold.
        """
        path = self.folder / f"{split}.csv"
        if not path.is_file():
            raise TableError(f"{path} is missing; splits are {', '.join(SPLITS)}")
        if sha256(path) != self.info["files"].get(path.name):
            raise TableError(
                f"{path} was changed after it was written: what manifest.json says of people and "
                f"balance may no longer hold. Make the manifest again with `ffpp-split`."
            )
        try:
            samples = pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, "str"), na_filter=False)
        except (OSError, ValueError) as error:
            raise TableError(f"{path}: not a readable CSV file ({error})") from error
        for name, value in later_columns(ManifestRow).items():
            if name not in samples:  # written by an earlier release
                samples[name] = value
        if missing := [c for c in MANIFEST_COLUMNS if c not in samples]:
            raise TableError(f"{path}: column {', '.join(missing)} is missing")
        if outside := [p for p in samples["path"] if leads_out(p)]:
            raise TableError(f"{path}: {outside[0]!r} leads out of the dataset's folder")
        return samples

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
        if _digest(hashes.index, hashes.fillna("")) != self.info["crops"][split]:
            raise TableError(
                f"{path} tells of other crops than {self.folder} was made of. Make the manifest "
                f"again with `ffpp-split`."
            )
        return hashes


def write_manifest(folder: Path, splits: dict[str, pd.DataFrame], info: dict[str, Any]) -> Manifest:
    """Write the CSV of each split, then manifest.json with their hashes and those of the crops.

    The rows of a split have the columns of `ManifestRow`, and the sha256 of their crops.
    """
    files = {}
    crops = {split: _digest(rows["path"], rows["sha256"]) for split, rows in splits.items()}
    for split, rows in splits.items():
        path = folder / f"{split}.csv"
        text = rows[list(MANIFEST_COLUMNS)].to_csv(index=False, lineterminator="\n")
        write_atomically(path, text.encode())
        files[path.name] = sha256(path)
    info = {**info, "files": files, "crops": crops}
    text = json.dumps(formats.stamped(formats.MANIFEST, info), indent=2) + "\n"
    write_atomically(folder / "manifest.json", text.encode())
    return Manifest(folder, json.loads(json.dumps(info)))


def _digest(paths: Iterable[str], hashes: Iterable[str]) -> str:
    """One hash for a list of crops and what is in them."""
    digest = hashlib.sha256()
    for path, sha in zip(paths, hashes, strict=True):
        digest.update(f"{path} {sha}\n".encode())
    return digest.hexdigest()
