"""Parts common to all run folders, a DCGAN's included: log.csv and environment.json."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from classify.backend import devices
from classify.errors import ModelError, RunError
from classify.models.file_checks import archive_of
from ffpp_tools.console import print_line
from ffpp_tools.files import read_json, regular_file, write_atomically
from ffpp_tools.store import format_versions
from ffpp_tools.store.incomplete import has_foreign_files

ENVIRONMENT = "environment.json"
LOG = "log.csv"  # a file of the folder, and a member of last.keras


def check_free(folder: Path, command: str) -> None:
    """Refuse a folder that is not empty, unless its files are those of a killed `command`.

    Raises:
        RunError: the folder contains other files.
    """
    if has_foreign_files(folder, command):
        raise RunError(
            f"{folder} is not empty; a run never overwrites another: choose another --out, or "
            "resume that run with --resume"
        )


def new_folder(parent: Path, name: str) -> Path:
    """Return `parent/name`, or the first of `name-2`, `name-3`, … that does not exist."""
    folder, number = parent / name, 2
    while folder.exists():
        folder, number = parent / f"{name}-{number}", number + 1
    return folder


def read_log(folder: Path) -> pd.DataFrame:
    """Read the log.csv of a run: one row per finished epoch.

    Raises:
        RunError: no epoch has finished, or the file is damaged.
    """
    path = folder / LOG
    if not path.exists():
        raise RunError(f"{path} is missing: no epoch of this run has finished; train again")
    try:
        return pd.read_csv(regular_file(path))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}); train again") from error


def restore_log(folder: Path) -> None:
    """Rewrite log.csv, with a message, if it differs from the log in last.keras.

    log.csv may lack the last epoch, which was being written when the run was killed.
    """
    path = folder / LOG
    try:
        # log.csv is read first, because last.keras is written before it.
        lines = regular_file(path).read_bytes().splitlines()
        with archive_of(folder / "last.keras") as archive:
            expected = archive.read(LOG)
    except (OSError, KeyError, zipfile.BadZipFile, ModelError):
        return  # no log.csv to compare, or no last.keras to restore it from
    expected_lines = expected.splitlines()
    if not lines or lines not in (expected_lines, expected_lines[:-1]):
        print_line(f"{path} was restored: it differed from the log in last.keras", style="yellow")
        write_atomically(path, expected)


def environment_here() -> dict[str, Any]:
    """Return what the results of a run may depend on besides its configuration."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import keras

    backend = keras.backend.backend()
    packages = {}
    for name in ("ffpp-tools", "keras", backend, "numpy", "opencv-python-headless", "pandas"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:  # installed under another package name
            packages[name] = "unknown"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": devices(),
        "backend": backend,
        "packages": packages,
    }


def write_environment(folder: Path, environment: Mapping[str, Any]) -> None:
    """Write environment.json of a run."""
    text = (
        json.dumps(format_versions.with_format(format_versions.RUN, environment), indent=2) + "\n"
    )
    write_atomically(folder / ENVIRONMENT, text.encode())


def read_environment(folder: Path) -> dict[str, Any]:
    """Read environment.json of a run; empty if it is missing or damaged.

    Raises:
        FormatError: a newer release wrote it.
    """
    path = folder / ENVIRONMENT
    try:
        return format_versions.without_format(format_versions.RUN, path, dict(read_json(path)))
    except (OSError, ValueError, TypeError):
        return {}


def note_resumption(folder: Path, epochs: int) -> None:
    """Record in environment.json that training resumed after `epochs`, and the environment."""
    environment = read_environment(folder)
    resumption = {"after_epochs": epochs, **environment_here()}
    environment["resumed"] = [*environment.get("resumed", []), resumption]
    write_environment(folder, environment)
