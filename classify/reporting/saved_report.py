"""A report that lies in a folder: read, and deleted by its own list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ffpp_tools.files import read_json
from ffpp_tools.store import format_versions

COMMAND = "classify report"


def read_saved_report(folder: Path) -> dict[str, Any]:
    """The report.json of a report that lies in a folder; empty where there is none.

    Raises:
        FormatError: a newer release wrote it.
    """
    path = folder / "report.json"
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    if not (isinstance(found, dict) and isinstance(found.get("files"), list)):
        return {}
    format_versions.checked_format(format_versions.REPORT, path, found)
    return found


def forget(folder: Path) -> None:
    """Delete what the report before has written, by its own list, and then that list."""
    for name in read_saved_report(folder).get("files", []):
        if isinstance(name, str) and Path(name).name == name:
            (folder / name).unlink(missing_ok=True)
    (folder / "report.json").unlink(missing_ok=True)
