"""Folders that a command writes as a unit: marked as incomplete until everything is written."""

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
    """Lock a folder for writing, and keep it marked as incomplete until the block succeeds.

    First, delete what a killed run of the same command left: the files and folders listed in its
    mark, and temporary files.

    Args:
        folder: the output folder. The caller checks for other contents with `has_foreign_files`.
        command: the command's name, such as "classify compare".
        writes: names of the files and folders that the block writes in `folder`.

    Raises:
        LockedError: another process is writing to the folder.
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
    """Delete what a killed run left, and mark the folder; arguments as in `writing_folder`."""
    for name in _read_mark(folder, command).get("writes", []):
        # Only plain names: a path could pass through a link to another folder.
        if isinstance(name, str) and name and Path(name).name == name and not escapes_root(name):
            delete(folder / name)
    delete_temporary_files(folder)
    values = format_versions.with_format(
        format_versions.UNFINISHED, {"command": command, "writes": sorted(set(writes))}
    )
    write_atomically(folder / MARK, (json.dumps(values, indent=2) + "\n").encode())


def unmark(folder: Path) -> None:
    """Remove the mark: the folder is complete."""
    (folder / MARK).unlink(missing_ok=True)


def is_incomplete(folder: Path, command: str) -> bool:
    """Return whether a command started to write a folder and did not finish."""
    return bool(_read_mark(folder, command))


def has_foreign_files(folder: Path, command: str) -> bool:
    """Return whether a folder has contents other than an unfinished output of this command."""
    return occupied(folder) and not is_incomplete(folder, command)


def _read_mark(folder: Path, command: str) -> dict[str, Any]:
    """Return the mark that a command left in a folder; empty if it left none.

    Raises:
        FormatError: a newer release wrote the mark.
    """
    path = folder / MARK
    try:
        values = dict(read_json(path))
    except (OSError, ValueError, TypeError):
        return {}
    format_versions.checked_format(format_versions.UNFINISHED, path, values)
    return values if values.get("command") == command else {}


def delete(path: Path) -> None:
    """Delete a file or folder if it exists; of a link, only the link itself."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
