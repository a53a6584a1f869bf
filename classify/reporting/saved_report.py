"""Read and delete a report that was saved in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ffpp_tools.files import read_json
from ffpp_tools.store import format_versions

COMMAND = "classify report"


def read_saved_report(folder: Path) -> dict[str, Any]:
    """Read report.json of the report in a folder; empty if there is none or it is damaged.

    Raises:
        FormatError: a newer release wrote it.
    """
    path = folder / "report.json"
    try:
        values = read_json(path)
    except (OSError, ValueError):
        return {}
    if not (isinstance(values, dict) and isinstance(values.get("files"), list)):
        return {}
    format_versions.checked_format(format_versions.REPORT, path, values)
    return values


def forget(folder: Path) -> None:
    """Delete the files that the previous report lists in report.json, then report.json."""
    for name in read_saved_report(folder).get("files", []):
        if isinstance(name, str) and Path(name).name == name:
            (folder / name).unlink(missing_ok=True)
    (folder / "report.json").unlink(missing_ok=True)
