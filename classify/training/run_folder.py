"""What every run folder has, a DCGAN's too: its own place, log.csv and environment.json."""

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
    """Refuse a folder that holds something already, but for what a killed command has begun.

    Raises:
        RunError: it does.
    """
    if has_foreign_files(folder, command):
        raise RunError(
            f"{folder} is not empty; a run never overwrites another: choose another --out, or go "
            "on with what lies there by --resume"
        )


def new_folder(parent: Path, name: str) -> Path:
    """`parent/name`, or the first of `name-2`, `name-3`, … that is free."""
    folder, number = parent / name, 2
    while folder.exists():
        folder, number = parent / f"{name}-{number}", number + 1
    return folder


def read_log(folder: Path) -> pd.DataFrame:
    """The log.csv of a run: one row per finished epoch.

    Raises:
        RunError: no epoch was finished yet.
    """
    path = folder / LOG
    if not path.exists():
        raise RunError(f"{path} is missing: no epoch of this run was finished; train again")
    try:
        return pd.read_csv(regular_file(path))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}); train again") from error


def restore_log(folder: Path) -> None:
    """Write log.csv anew, and say so, where it is not the log that last.keras holds.

    It may lack the last of its epochs: that one was being written.
    """
    path = folder / LOG
    try:
        lines = (
            regular_file(path).read_bytes().splitlines()
        )  # first: last.keras is written before it
        with archive_of(folder / "last.keras") as archive:
            kept = archive.read(LOG)
    except (OSError, KeyError, zipfile.BadZipFile, ModelError):
        return  # without the one there is nothing to compare, without the other nothing to restore
    known = kept.splitlines()
    if not lines or lines not in (known, known[:-1]):
        print_line(
            f"{path} was made anew: it was not the log that last.keras holds", style="yellow"
        )
        write_atomically(path, kept)


def environment_here() -> dict[str, Any]:
    """What the numbers of a run may depend on besides its configuration."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import keras

    backend = keras.backend.backend()
    packages = {}
    for name in ("ffpp-tools", "keras", backend, "numpy", "opencv-python-headless", "pandas"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:  # the same module by another name
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
    """What environment.json of a run says; nothing where it is gone or damaged.

    Raises:
        FormatError: a newer release wrote it.
    """
    path = folder / ENVIRONMENT
    try:
        return format_versions.without_format(format_versions.RUN, path, dict(read_json(path)))
    except (OSError, ValueError, TypeError):
        return {}


def note_resumption(folder: Path, epochs: int) -> None:
    """Add to environment.json that, and with what, the training went on after `epochs`."""
    environment = read_environment(folder)
    again = {"after_epochs": epochs, **environment_here()}
    environment["resumed"] = [*environment.get("resumed", []), again]
    write_environment(folder, environment)
