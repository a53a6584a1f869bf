"""The schemas of all tables, and how they are written and read.

`frames.parquet` is the ledger: a row for every planned frame or still, whatever became of
it. `faces.parquet` has a row for every crop. A manifest is a folder of CSV files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ffpp_tools.errors import TableError
from ffpp_tools.files import sha256, write_atomically
from ffpp_tools.rows import SPLITS, STATUSES, WITH_CROP, FaceRow, FrameRow, Part


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


# What manifest.json cannot do without.
MANIFEST_KEYS = (
    "summary",
    "mode",
    "recipe",
    "root",
    "classes",
    "groups",
    "tables",
    "files",
    "crops",
    "audit",
    "settings",
    "counts",
    "removed",
)
MANIFEST_COLUMNS = tuple(f.name.rstrip("_") for f in fields(ManifestRow))
TEXT_COLUMNS = tuple(f.name.rstrip("_") for f in fields(ManifestRow) if f.type == "str")

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


@dataclass(frozen=True)
class DuplicateRow:
    """What ffpp-clean found wrong with a clip or still, or what it is a duplicate of."""

    item: str  # "category/clip"
    kind: str  # one of `DUPLICATE_KINDS`
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


DUPLICATE_KINDS = ("unreadable", "truncated", "identical", "near")


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
    """A hash of a table's content, whatever the order of its rows."""
    plain = table.drop(columns="embedding", errors="ignore")
    rows = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    return hashlib.sha256(np.sort(rows).tobytes()).hexdigest()


def write_table(path: Path, table: pd.DataFrame, faces: pd.DataFrame | None = None) -> None:
    """Write a Parquet file: all of it or none.

    Args:
        path: the file.
        table: what to write.
        faces: the crops that it was found out from, to be able to say later that they changed.
    """
    if faces is not None:
        table.attrs["faces"] = fingerprint(faces)
    write_atomically(path, table.to_parquet(index=False))


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
        """
        path = folder / "manifest.json"
        try:
            info = json.loads(path.read_text("utf-8"))
            for key in MANIFEST_KEYS:
                info[key]
        except FileNotFoundError as error:
            raise TableError(
                f"no manifest at {folder} (no manifest.json); `ffpp-split` makes one"
            ) from error
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
        return pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, "str"), na_filter=False)

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
        faces = pd.read_parquet(path, columns=["path", "sha256"]).set_index("path")["sha256"]
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
    text = json.dumps({**info, "files": files, "crops": crops}, indent=2) + "\n"
    write_atomically(folder / "manifest.json", text.encode())
    return Manifest(folder, json.loads(text))


def _digest(paths: Iterable[str], hashes: Iterable[str]) -> str:
    """One hash for a list of crops and what is in them."""
    digest = hashlib.sha256()
    for path, sha in zip(paths, hashes, strict=True):
        digest.update(f"{path} {sha}\n".encode())
    return digest.hexdigest()


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
        table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise TableError(
            f"{path} is missing; `ffpp-extract --out {path.parent}` makes it"
        ) from error
    except (ValueError, OSError) as error:
        raise TableError(f"{path}: not a readable Parquet file ({error})") from error
    if missing := [f.name for f in fields(row_type) if f.name not in table.columns]:
        raise TableError(f"{path}: column {', '.join(missing)} is missing; make it again")
    return table
