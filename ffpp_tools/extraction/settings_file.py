"""settings.json: the settings with which a dataset folder was created."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ffpp_tools.errors import FormatError, TableError
from ffpp_tools.extraction.settings import ClipSettings, ReadyCropSettings, StillSettings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import FindSettings
from ffpp_tools.files import read_json
from ffpp_tools.markdown import listed
from ffpp_tools.store import format_versions
from ffpp_tools.video.sampling import FramePlan

SETTINGS = "settings.json"
UNKNOWN = "not recorded"
# Version of the extraction rules that are not settings. 1: unchanged faces are identified by pixels
# alone, for all methods. 2: by the mask; without a mask by pixels, for swaps and bystanders only.
CLIPS_VERSION = 2
SECTIONS = {
    "crop": CropSettings,
    "find": FindSettings,
    "clips": ClipSettings,
    "ready_crops": ReadyCropSettings,
    "stills": StillSettings,
}
# Section → setting → the value that its absence stands for in folders created before the setting
# existed. For any other setting, the absence stands for the default.
ABSENT = {"clips": {"version": 1}}


def recorded_settings(dataset: Path) -> dict[str, Any]:
    """Return the recorded settings of a dataset folder by section; empty if there are none yet.

    Settings that did not exist when the folder was created have the value that applied then.

    Raises:
        TableError: settings.json is damaged.
        FormatError: a newer release wrote the file.
    """
    path = dataset / SETTINGS
    try:
        return read_sections(path) if path.exists() else {}
    except (ValueError, TypeError) as error:
        raise TableError(f"{path}: damaged ({error}); delete the folder and start over") from error


def required_settings(dataset: Path) -> dict[str, Any]:
    """Return the recorded settings of a dataset folder that has crops.

    Raises:
        TableError: settings.json is missing or damaged.
        FormatError: a newer release wrote the file.
    """
    recorded = recorded_settings(dataset)
    if "crop" not in recorded:
        raise TableError(f"{dataset / SETTINGS} is missing; extract the dataset again")
    return recorded


def read_sections(path: Path) -> dict[str, Any]:
    """Read the sections of a settings.json, or of a run's copy of one.

    Raises:
        FormatError: a newer release wrote the file.
        OSError, ValueError, TypeError: the file cannot be read or is damaged.
    """
    return checked_sections(path, dict(read_json(path)))


def checked_sections(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the sections of settings that a file at `path` contains; errors as `read_sections`."""
    values = format_versions.without_format(format_versions.SETTINGS, path, content)
    sections = {
        name: format_versions.with_defaults(settings_type, dict(values[name]), ABSENT.get(name))
        for name, settings_type in SECTIONS.items()
        if name in values
    }
    for name, section in sections.items():
        known = set(format_versions.recorded_fields(SECTIONS[name])) | {"version"}
        if unknown := sorted(section.keys() - known):
            raise FormatError(
                f"{path}: {name} has {', '.join(unknown)}, which this release does not know. A "
                f"newer release wrote the file: run `pip install --upgrade ffpp-tools`"
            )
    rules = sections.get("clips", {}).get("version", CLIPS_VERSION)
    if rules > CLIPS_VERSION:
        raise FormatError(
            f"{path}: clips were extracted with version {rules} of the extraction rules; this "
            f"release has version {CLIPS_VERSION}. A newer release created them: run `pip install "
            f"--upgrade ffpp-tools`"
        )
    plain: dict[str, Any] = json.loads(json.dumps(sections))  # a default may be a tuple
    return plain


def clip_settings(sections: dict[str, Any]) -> tuple[ClipSettings, int]:
    """Return the settings of clips, and the version of the extraction rules.

    Raises:
        SettingsError, ValueError, KeyError, TypeError: a section is missing or damaged.
    """
    clips = dict(sections["clips"])
    rules = clips.pop("version")
    plan = FramePlan(**clips.pop("plan"))
    crop, find = CropSettings(**sections["crop"]), FindSettings(**sections["find"])
    return ClipSettings(plan, crop, find, **clips), rules


def described(sections: Mapping[str, Any]) -> dict[str, str]:
    """Describe recorded settings in words: detection, crops, frames per clip and stills.

    >>> described({"crop": {"margin": 1.3}, "clips": {"plan": {"every": 25}}})["frames per clip"]
    'every 25'
    """
    plan = listed(sections.get("clips", {}).get("plan", {}), UNKNOWN)
    if "ready_crops" in sections:
        return {
            "face detection": f"that of {sections['ready_crops']['made_by']}",
            "face crops": f"taken unchanged, from {sections['ready_crops']['made_by']}",
            "frames per clip": "all that were listed",
            "stills": _stills(sections.get("stills")),
        }
    return {
        "face detection": listed(sections.get("find", {}), UNKNOWN),
        "face crops": listed(sections.get("crop", {}), UNKNOWN),
        "frames per clip": plan,
        "stills": _stills(sections.get("stills")) if sections else UNKNOWN,
    }


def _stills(stills: Mapping[str, Any] | None) -> str:
    if stills is None:
        return "none"
    if stills.get("whole"):
        return "whole images"
    return (
        "matched to the clips" if stills.get("harmonise") else "cropped, not matched to the clips"
    )
