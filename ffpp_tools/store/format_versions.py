"""The format versions of the files that are read back, and the one check of them.

Every such file carries `format`, a whole number, under the key `KEY`: in JSON and TOML at the top
level, in Parquet among the table's attributes, in `.npz` as an array. A file without one is of
format 1, which is what was written before files carried a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from ffpp_tools.errors import FormatError

KEY = "format"

# What this release writes, and the newest it reads. CONTRIBUTING.md says when to raise one.
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
    MERGED: 1,  # of how rows become tables, too
}


def with_format(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they are written: with their format, which comes first.

    Raises:
        ValueError: they hold something else under its key.
    """
    if KEY in values:
        raise ValueError(f"{kind}: the key {KEY!r} is taken by {values[KEY]!r}")
    return {KEY: VERSIONS[kind], **values}


def checked_format(kind: str, path: Path, values: Mapping[str, Any]) -> int:
    """The format of what was read from a file.

    Raises:
        FormatError: a newer release wrote it, or it names no whole number.
    """
    found, known = values.get(KEY, 1), VERSIONS[kind]
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise FormatError(f"{path}: {KEY} is {found!r:.50}, not a whole number from 1 to {known}")
    if found > known:
        from importlib.metadata import version

        raise FormatError(
            f"{path}: {kind}, format {found}; ffpp-tools {version('ffpp-tools')} reads formats up "
            f"to {known}. A newer release wrote it: `pip install --upgrade ffpp-tools`, or make it "
            f"again with this release"
        )
    return found


def without_format(kind: str, path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """What was read from a file, without its format, which is checked.

    Raises:
        FormatError: as `checked_format`.
    """
    checked_format(kind, path, values)
    return {name: value for name, value in values.items() if name != KEY}


def with_defaults(
    row_type: Any, values: Mapping[str, Any], absent: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Values of a dataclass in the order of its fields, with those that an older file lacks.

    Args:
        row_type: the dataclass; a field that is one itself is completed too.
        values: what the file has.
        absent: field → what its absence means, where that is not the field's default.
    """
    given = {**(absent or {}), **values}
    found: dict[str, Any] = {}
    for field in fields(row_type):
        if field.name in given:
            value = given.pop(field.name)
            nested = is_dataclass(field.default_factory) and isinstance(value, Mapping)
            found[field.name] = with_defaults(field.default_factory, value) if nested else value
        elif field.default is not MISSING:
            found[field.name] = field.default
    return {**found, **given}
