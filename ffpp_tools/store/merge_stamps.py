"""Which parts a dataset's tables were merged from, so that only new or changed parts are read.

`merged.json` records that the tables with these stamps contain the rows of the parts with these
stamps. It is written last. If a run was killed, the folder was copied, or a table was edited, the
stamps differ and all parts are read again.
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
TABLES = ("frames.parquet", "faces.parquet", "landmarks.parquet")  # the last one is optional

# Size, modification time, status change time (both in ns) and inode of a file. They differ for
# every file that is written again.
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class MergeRecord:
    """The tables of a dataset folder and the parts that they were merged from."""

    columns: Mapping[str, Sequence[str]]  # table → its columns
    tables: Mapping[str, Stamp]  # table → its stamp
    parts: Mapping[str, Stamp]  # path in the dataset folder → stamp
    own_rows: bool  # whether every row is in the part that `schema.part_path` gives

    @classmethod
    def read(cls, dataset: Path, columns: Mapping[str, Sequence[str]]) -> MergeRecord | None:
        """Return the record of a dataset folder; None if there is none that matches its tables.

        Args:
            dataset: the folder.
            columns: table → the columns that it must have.
        """
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            values = read_json(dataset / FILE)
            merged = cls(
                {name: list(names) for name, names in values["columns"].items()},
                {name: _stamp_from_json(stamp) for name, stamp in values["tables"].items()},
                {name: _stamp_from_json(stamp) for name, stamp in values["parts"].items()},
                values["own_rows"] is True,
            )
            expected = {name: list(names) for name, names in columns.items()}
            newest = format_versions.VERSIONS[format_versions.MERGED]
            if values[format_versions.KEY] == newest and merged.columns == expected:
                return merged if merged.tables == stamps(dataset, TABLES) else None
        return None

    def write(self, dataset: Path) -> None:
        """Write the record; call this after the tables are written."""
        text = json.dumps(format_versions.with_format(format_versions.MERGED, asdict(self)))
        write_atomically(dataset / FILE, text.encode())


def stamps(dataset: Path, names: Sequence[str]) -> dict[str, Stamp]:
    """Return the stamps of the named files that exist."""
    existing = {}
    for name in names:
        with suppress(FileNotFoundError):
            existing[name] = _stamp((dataset / name).stat())
    return existing


def part_stamps(dataset: Path) -> dict[str, Stamp]:
    """Return the stamps of all committed parts by path in the folder, in the order of the paths."""

    def files(folder: str) -> Iterator[os.DirEntry[str]]:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from files(entry.path)
                elif entry.name.endswith(".json"):
                    yield entry

    parts = {Path(f.path).relative_to(dataset): _stamp(f.stat()) for f in files(f"{dataset}/parts")}
    return {path.as_posix(): parts[path] for path in sorted(parts)}


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _stamp_from_json(values: Sequence[int]) -> Stamp:
    size, mtime_ns, ctime_ns, inode = map(int, values)
    return size, mtime_ns, ctime_ns, inode
