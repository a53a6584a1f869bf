"""Format versions of the files that the project reads back, and the check of these versions.

Every such file stores its format, an integer, under `KEY` ("format"): at the top level of JSON and
TOML, in the attributes of a Parquet table, and as an array in `.npz`. A file without the key has
format 1: files of the first releases do not store a version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from ffpp_tools.errors import FormatError

KEY = "format"

# The format that this release writes, which is also the newest that it reads. CONTRIBUTING.md
# explains when to increase one.
SETTINGS = "settings of a dataset"
PART = "part of a dataset"
TABLE = "table of a dataset"
MEASURED = "measured crops"
MANIFEST = "manifest"
PROBE = "measured shortcuts"
RUN = "run or search"
OPERATING = "operating point"
PREDICTIONS = "predictions"
REPORT = "report"
GENERATED = "generated faces"
UNFINISHED = "unfinished folder"
MERGED = "record of merged parts"
BOXES = "table of boxes"
VERSIONS = {
    SETTINGS: 1,
    PART: 1,
    TABLE: 1,
    MEASURED: 1,
    MANIFEST: 1,
    PROBE: 1,
    RUN: 1,
    OPERATING: 1,
    PREDICTIONS: 1,
    REPORT: 1,
    GENERATED: 1,
    UNFINISHED: 1,
    MERGED: 1,  # also increased when the conversion of rows to tables changes
    BOXES: 1,
}


def with_format(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the format of their kind of file added as the first item.

    Raises:
        ValueError: the values already use the key `KEY`.
    """
    if KEY in values:
        raise ValueError(f"{kind}: the key {KEY!r} is reserved, but has the value {values[KEY]!r}")
    return {KEY: VERSIONS[kind], **values}


def checked_format(kind: str, path: Path, values: Mapping[str, Any]) -> int:
    """Return the format of the values that were read from a file.

    Raises:
        FormatError: a newer release wrote the file, or its format is not a positive integer.
    """
    version, newest = values.get(KEY, 1), VERSIONS[kind]
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise FormatError(f"{path}: {KEY} is {version!r:.50}, not an integer from 1 to {newest}")
    if version > newest:
        from importlib import metadata

        raise FormatError(
            f"{path}: {kind}, format {version}; ffpp-tools {metadata.version('ffpp-tools')} reads "
            f"formats up to {newest}. A newer release wrote the file: run `pip install --upgrade "
            f"ffpp-tools`, or create the file again with this release"
        )
    return version


def without_format(kind: str, path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check the format of the values that were read from a file; return the values without it.

    Raises:
        FormatError: see `checked_format`.
    """
    checked_format(kind, path, values)
    return {name: value for name, value in values.items() if name != KEY}


def recorded_fields(row_type: Any) -> list[str]:
    """Return the names of a dataclass's fields, without those that are not written to files.

    These have the metadata {"recorded": False}.
    """
    return [field.name for field in fields(row_type) if field.metadata.get("recorded", True)]


def with_defaults(
    row_type: Any, values: Mapping[str, Any], absent: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the values of a dataclass in field order, adding fields that older files do not have.

    Args:
        row_type: the dataclass; a field that is itself a dataclass is completed too, and one
            that is not recorded is left out.
        values: field → value, as read from the file.
        absent: field → the value that its absence stands for, if that is not the field's default.
    """
    given = {**(absent or {}), **values}
    completed: dict[str, Any] = {}
    recorded = recorded_fields(row_type)
    for field in fields(row_type):
        if field.name not in recorded:
            continue
        if field.name in given:
            value = given.pop(field.name)
            nested = is_dataclass(field.default_factory) and isinstance(value, Mapping)
            completed[field.name] = with_defaults(field.default_factory, value) if nested else value
        elif field.default is not MISSING:
            completed[field.name] = field.default
    return {**completed, **given}
