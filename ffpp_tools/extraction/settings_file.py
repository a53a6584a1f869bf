"""settings.json: the settings that a dataset folder was made with."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ffpp_tools.errors import FormatError, TableError
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import FindSettings
from ffpp_tools.files import read_json
from ffpp_tools.store import format_versions

SETTINGS = "settings.json"
# The rules of extraction that are no settings. 1: pixels alone tell unchanged faces, of any method.
# 2: the mask does; without one, pixels do for swaps and bystanders alone.
CLIPS_VERSION = 2
SECTIONS = {
    "crop": CropSettings,
    "find": FindSettings,
    "clips": ClipSettings,
    "stills": StillSettings,
}
# Section → setting → what its absence means, in a folder that was made before there was the
# setting. The absence of any other setting means its default.
ABSENT = {"clips": {"version": 1}}


def recorded_settings(dataset: Path) -> dict[str, Any]:
    """The settings a dataset folder was made with, by section; empty where there are none yet.

    Those that the folder is older than have the value that its crops were made with.

    Raises:
        TableError: settings.json is damaged.
        FormatError: a newer release wrote it.
    """
    path = dataset / SETTINGS
    try:
        return read_sections(path) if path.exists() else {}
    except (ValueError, TypeError) as error:
        raise TableError(f"{path}: damaged ({error}); delete the folder and start anew") from error


def read_sections(path: Path) -> dict[str, Any]:
    """The sections of settings in a settings.json, or in a run's copy of one.

    Raises:
        FormatError: a newer release wrote it.
        OSError, ValueError, TypeError: it cannot be read, or is damaged.
    """
    found = format_versions.without_format(format_versions.SETTINGS, path, dict(read_json(path)))
    sections = {
        name: format_versions.with_defaults(kind, dict(found[name]), ABSENT.get(name))
        for name, kind in SECTIONS.items()
        if name in found
    }
    for name, values in sections.items():
        known = {field.name for field in fields(SECTIONS[name])} | {"version"}
        if unknown := sorted(values.keys() - known):
            raise FormatError(
                f"{path}: {name} has {', '.join(unknown)}, which this release does not know. A "
                f"newer one wrote it: `pip install --upgrade ffpp-tools`"
            )
    rules = sections.get("clips", {}).get("version", CLIPS_VERSION)
    if rules > CLIPS_VERSION:
        raise FormatError(
            f"{path}: clips were extracted by rules {rules}; this release has rules "
            f"{CLIPS_VERSION}. A newer one made them: `pip install --upgrade ffpp-tools`"
        )
    plain: dict[str, Any] = json.loads(json.dumps(sections))  # a default may be a tuple
    return plain
