"""What the tables of a dataset folder were merged from, so that only what is new has to be read.

`merged.json` says: the tables with these stamps hold the rows of the parts with these stamps. It is
written last. After a kill, a copy of the folder, or a change of a table by hand the stamps differ,
and all parts are read again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ffpp_tools.files import read_json, write_atomically
from ffpp_tools.store import format_versions

FILE = "merged.json"
TABLES = ("frames.parquet", "faces.parquet")

# Size, times of change, and number of a file: other ones for every file that is written anew.
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class MergeRecord:
    """What the tables hold."""

    columns: Mapping[str, Sequence[str]]  # of each table
    tables: Mapping[str, Stamp]  # by name
    parts: Mapping[str, Stamp]  # by their path below the dataset folder
    own_rows: bool  # every row stands in the part that `rows.part_path` says

    @classmethod
    def read(cls, dataset: Path, columns: Mapping[str, Sequence[str]]) -> MergeRecord | None:
        """What is known of the tables as they are; None where that is nothing.

        Args:
            dataset: the folder.
            columns: that the tables are to have.
        """
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            found = read_json(dataset / FILE)
            merged = cls(
                {name: list(names) for name, names in found["columns"].items()},
                {name: _stamp_of(values) for name, values in found["tables"].items()},
                {name: _stamp_of(values) for name, values in found["parts"].items()},
                found["own_rows"] is True,
            )
            wanted = {name: list(names) for name, names in columns.items()}
            current = found[format_versions.KEY] == format_versions.VERSIONS[format_versions.MERGED]
            if current and merged.columns == wanted:
                return merged if merged.tables == stamps(dataset, TABLES) else None
        return None

    def write(self, dataset: Path) -> None:
        """Keep it; to be called when the tables lie there."""
        text = json.dumps(format_versions.with_format(format_versions.MERGED, asdict(self)))
        write_atomically(dataset / FILE, text.encode())


def stamps(dataset: Path, names: Sequence[str]) -> dict[str, Stamp]:
    """The stamps of those of some files that are there."""
    found = {}
    for name in names:
        with suppress(FileNotFoundError):
            found[name] = _stamp((dataset / name).stat())
    return found


def part_stamps(dataset: Path) -> dict[str, Stamp]:
    """The stamps of all committed parts, by path below the folder, sorted as paths are."""

    def files(folder: str) -> Iterator[os.DirEntry[str]]:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from files(entry.path)
                elif entry.name.endswith(".json"):
                    yield entry

    found = {Path(f.path).relative_to(dataset): _stamp(f.stat()) for f in files(f"{dataset}/parts")}
    return {path.as_posix(): found[path] for path in sorted(found)}


def _stamp(about: os.stat_result) -> Stamp:
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _stamp_of(values: Sequence[int]) -> Stamp:
    size, changed, moved, number = map(int, values)
    return size, changed, moved, number
