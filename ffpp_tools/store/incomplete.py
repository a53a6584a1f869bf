"""A folder that a command writes as a whole: marked until all of it is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ffpp_tools.files import (
    PRIVATE,
    delete_temporary_files,
    escapes_root,
    occupied,
    read_json,
    write_atomically,
)
from ffpp_tools.store import format_versions
from ffpp_tools.store.locks import folder_lock

MARK = "unfinished.json"


@contextmanager
def writing_folder(folder: Path, command: str, writes: Iterable[str] = ()) -> Iterator[None]:
    """Write a folder, alone, with a mark in it until all is written.

    What the same command has left there when it was killed is deleted first: what it noted in its
    mark, and temporary files.

    Args:
        folder: whatever else it holds is the caller's to judge, by `has_foreign_files`.
        command: such as "classify compare".
        writes: names of the files and folders in it that are about to be written.

    Raises:
        LockedError: another process writes there.
        FfppError: the folder cannot be written to.
    """
    with folder_lock(folder, command):
        mark(folder, command, writes)
        try:
            yield
        except BaseException:
            if all(path.name == MARK or PRIVATE.fullmatch(path.name) for path in folder.iterdir()):
                unmark(folder)  # nothing was written
            raise
        unmark(folder)


def mark(folder: Path, command: str, writes: Iterable[str]) -> None:
    """Delete what a killed command left, and mark the folder; arguments as `writing_folder`."""
    for name in _mark(folder, command).get("writes", []):
        # No path, which a link could lead elsewhere.
        if isinstance(name, str) and name and Path(name).name == name and not escapes_root(name):
            delete(folder / name)
    delete_temporary_files(folder)
    note = format_versions.with_format(
        format_versions.UNFINISHED, {"command": command, "writes": sorted(set(writes))}
    )
    write_atomically(folder / MARK, (json.dumps(note, indent=2) + "\n").encode())


def unmark(folder: Path) -> None:
    """Say that the folder is whole."""
    (folder / MARK).unlink(missing_ok=True)


def is_incomplete(folder: Path, command: str) -> bool:
    """Whether a command has begun to write a folder, and not ended."""
    return bool(_mark(folder, command))


def has_foreign_files(folder: Path, command: str) -> bool:
    """Whether a folder holds something else than what this command has left unfinished."""
    return occupied(folder) and not is_incomplete(folder, command)


def _mark(folder: Path, command: str) -> dict[str, Any]:
    """The mark that a command has left in a folder; empty where there is none of it.

    Raises:
        FormatError: a newer release wrote it.
    """
    path = folder / MARK
    try:
        found = dict(read_json(path))
    except (OSError, ValueError, TypeError):
        return {}
    format_versions.checked_format(format_versions.UNFINISHED, path, found)
    return found if found.get("command") == command else {}


def delete(path: Path) -> None:
    """Delete a file or folder, if it is there; of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
