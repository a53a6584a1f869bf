"""The crops of a split, with names for other tools; their bytes are checked when read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffpp_tools.errors import TableError
from ffpp_tools.files import path_within
from ffpp_tools.loading.crop_files import checked_bytes
from ffpp_tools.store.missing_crops import find_missing_crops
from ffpp_tools.store.schema import SPLITS

if TYPE_CHECKING:
    import pandas as pd

    from ffpp_tools.splits.manifest import Manifest

# Shows the progress over items, given their total; see `console.progress`.
Progress = Callable[[str], Callable[[Iterable[Any], int | None], Iterable[Any]]]

MAX_NAME = 80  # characters: with a suffix, a name fits into the 100 bytes of a plain tar header
_AT_ONCE = 10_000  # rows converted per batch


def no_progress(text: str) -> Callable[[Iterable[Any], int | None], Iterable[Any]]:
    """Show nothing; see `Progress`."""
    return lambda items, total: items


@dataclass(frozen=True)
class Crop:
    """A sample of a manifest, and its image file."""

    name: str  # unique in its split; letters, digits, _ and - only
    path: Path
    sha256: str  # recorded in faces.parquet
    row: dict[str, Any]  # the manifest's columns, without `path`

    @property
    def suffix(self) -> str:
        """The suffix of the image file, such as ".png"."""
        return self.path.suffix.lower()

    def read(self) -> bytes:
        """Return the bytes of the image file.

        Raises:
            CropError: the file cannot be read, or differs from its recorded hash.
        """
        return checked_bytes(self.path, self.sha256)


@dataclass(frozen=True)
class CropTable:
    """The crops of one split, in the manifest's order."""

    manifest: Manifest
    split: str
    table: pd.DataFrame  # the manifest's columns, `name` and `sha256`
    progress: Progress = no_progress

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self.table)

    def crops(self, order: Sequence[int] | None = None) -> Iterator[Crop]:
        """Yield the crops in the given order of rows, or in the manifest's, and show progress."""
        yield from self.progress(f"exporting {self.split}")(self._crops(order), len(self))

    def _crops(self, order: Sequence[int] | None) -> Iterator[Crop]:
        root = self.manifest.root
        table = self.table if order is None else self.table.iloc[order]
        for start in range(0, len(table), _AT_ONCE):
            for row in table.iloc[start : start + _AT_ONCE].to_dict("records"):
                path, name, sha256 = (row.pop(column) for column in ("path", "name", "sha256"))
                yield Crop(name, path_within(root, path), sha256, row)


def crop_tables(manifest: Manifest, progress: Progress = no_progress) -> tuple[CropTable, ...]:
    """Return the crops of train, val and test.

    Args:
        manifest: the manifest to export.
        progress: shows the progress over the crops of a split.

    Raises:
        TableError: the manifest or its dataset has changed, or crops are missing.
    """
    tables = []
    for split in SPLITS:
        samples = manifest.samples(split)
        hashes = manifest.crop_hashes(split, samples)
        if lost := find_missing_crops(manifest.root, samples["path"]):
            raise TableError(f"{manifest.folder}: {lost}")
        named = samples.assign(name=file_names(samples["face_id"]), sha256=hashes.to_numpy())
        tables.append(CropTable(manifest, split, named, progress))
    return tuple(tables)


def file_names(face_ids: pd.Series) -> pd.Series:
    """Return names for crops: their face_id with _ in place of all but ASCII letters, digits and -.

    Names that would be equal, if only on a file system that ignores case, and names of more than
    `MAX_NAME` characters end with a part of the hash of their face_id.
    """
    names = face_ids.str.replace(r"[^A-Za-z0-9_-]", "_", regex=True)
    hashed = names.str.lower().duplicated(keep=False) | (names.str.len() > MAX_NAME)
    digests = face_ids[hashed].map(lambda name: hashlib.sha256(name.encode()).hexdigest()[:12])
    return names.mask(hashed, names[hashed].str[: MAX_NAME - 13] + "-" + digests)
