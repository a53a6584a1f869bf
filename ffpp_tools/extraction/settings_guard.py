"""Record the settings of a dataset folder, and reject runs with different ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ffpp_tools.console import LOG
from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.settings import ClipSettings, ReadyCropSettings, StillSettings
from ffpp_tools.extraction.settings_file import CLIPS_VERSION, SECTIONS, SETTINGS, recorded_settings
from ffpp_tools.files import PRIVATE, delete_temporary_files, write_atomically
from ffpp_tools.sources import official_lists
from ffpp_tools.store import format_versions
from ffpp_tools.store.schema import STILL

SHARED = ("crop", "find")  # sections that clips and stills of a folder have in common
# Sections of clips, of which a folder has one.
OF_CLIPS = {"clips": "clips extracted from videos", "ready_crops": "crops that others made"}
# What a folder may contain before the first extraction.
BEFORE = (official_lists.FOLDER, LOG)
Settings = ClipSettings | ReadyCropSettings | StillSettings


@dataclass(frozen=True)
class Overwrite:
    """What a run overwrites: all clips, or the stills of some categories."""

    categories: Collection[str] | None = None

    def includes(self, folder: Path) -> bool:
        """Return whether the folder .../<category>/<compression> is overwritten."""
        if self.categories is None:
            return folder.name != STILL
        return folder.name == STILL and folder.parent.name in self.categories


def record_settings(
    dataset: Path,
    wanted: Settings,
    overwrite: Overwrite | None,
    rules: int | None = None,
) -> None:
    """Record the settings of a dataset folder, or reject settings that differ from recorded ones.

    The caller must hold the folder's lock: temporary files of killed runs are deleted.

    Args:
        dataset: the dataset folder.
        wanted: the settings of the run.
        overwrite: what to delete, provided that the settings match those of what is kept.
        rules: version of the extraction rules of the clips; by default that of this release.

    Raises:
        SettingsError: the folder was created with different settings.
        TableError: settings.json is damaged.
        FormatError: a newer release created the folder.
    """
    check_folder(dataset)
    recorded = recorded_settings(dataset)
    sections = dict(recorded)
    if overwrite and recorded:
        kept_folders = [f for f in dataset.glob("parts/*/*") if not overwrite.includes(f)]
        keeps_stills = any(f.name == STILL for f in kept_folders)
        keeps_clips = any(f.name != STILL for f in kept_folders)
        if not kept_folders:
            sections = {}
        elif not keeps_clips:
            sections = {name: s for name, s in sections.items() if name not in OF_CLIPS}
        elif not keeps_stills:
            sections.pop("stills", None)
    wanted_sections = _sections(wanted, rules)
    for other in (OF_CLIPS.keys() & sections.keys()) - wanted_sections.keys():
        if OF_CLIPS.keys() & wanted_sections.keys():
            raise SettingsError(
                f"{dataset} contains {OF_CLIPS[other]}, which were cropped differently: use "
                f"another folder with --out, or start over with --overwrite"
            )
    for section, settings in wanted_sections.items():
        kept = _compared(section, sections.setdefault(section, settings))
        if kept != (requested := _compared(section, settings)):
            remedy = ""
            if not overwrite and not (section in SHARED and _holds_the_other_kind(dataset, wanted)):
                remedy = ", or start over with --overwrite"
            raise SettingsError(
                f"{dataset} was created with different settings ({section}): "
                f"{_difference(kept, requested)}. All crops of a dataset, of clips and "
                f"stills, must use the same settings: use another folder with --out{remedy}."
            )
    if overwrite and recorded:
        for top in ("parts", "faces"):
            for folder in sorted(dataset.glob(f"{top}/*/*")):
                if overwrite.includes(folder):
                    shutil.rmtree(folder)
    delete_temporary_files(dataset, dataset / official_lists.FOLDER, *_folders(dataset / "parts"))
    ordered = {name: sections[name] for name in SECTIONS if name in sections}
    text = (
        json.dumps(format_versions.with_format(format_versions.SETTINGS, ordered), indent=2) + "\n"
    )
    write_atomically(dataset / SETTINGS, text.encode())


def _folders(folder: Path) -> list[Path]:
    """Return a folder and all folders in it, at any depth."""
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())]


def check_folder(dataset: Path) -> None:
    """Check that a folder is a dataset folder, is empty, or does not exist.

    Raises:
        SettingsError: the folder has other contents.
    """
    if not dataset.is_dir() or (dataset / SETTINGS).exists():
        return
    names = (p.name for p in dataset.iterdir())
    if others := sorted(n for n in names if n not in BEFORE and not PRIVATE.fullmatch(n)):
        raise SettingsError(
            f"{dataset} is not a dataset folder: it contains {others[0]}; use another folder with "
            f"--out"
        )


def _sections(settings: Settings, rules: int | None) -> dict[str, Any]:
    """Return settings as sections: those shared by clips and stills, and those of one kind."""
    section = next(name for name, kind in SECTIONS.items() if isinstance(settings, kind))
    values = asdict(settings)
    shared = {
        name: {key: values[name][key] for key in format_versions.recorded_fields(SECTIONS[name])}
        for name in SHARED
    }
    own = {key: value for key, value in values.items() if key not in SHARED}
    if section == "clips":
        own["version"] = CLIPS_VERSION if rules is None else rules
    sections: dict[str, Any] = json.loads(json.dumps({**shared, section: own}))
    return sections


def _compared(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a section that decide what is extracted."""
    informative = {field.name for field in fields(SECTIONS[section]) if not field.compare}
    return {key: value for key, value in values.items() if key not in informative}


def _holds_the_other_kind(dataset: Path, wanted: Settings) -> bool:
    """Return whether a folder has stills if clips are wanted, or clips if stills are."""
    clips_wanted = not isinstance(wanted, StillSettings)
    return any((f.name == STILL) == clips_wanted for f in dataset.glob("parts/*/*"))


def _brief(value: Any) -> str:
    """Format a setting's value. A setting with nested values is shown as "yes"."""
    return "yes" if isinstance(value, dict) else "no" if value is None else str(value)


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Return a section's values with those of its plan at the top level."""
    return {**values, **values["plan"], "plan": None} if values.get("plan") else values


def _difference(recorded: dict[str, Any], requested: dict[str, Any]) -> str:
    """Describe the differences between recorded and requested settings."""
    recorded, requested = _flat(recorded), _flat(requested)
    keys = {*recorded, *requested}
    differing = sorted(key for key in keys if recorded.get(key) != requested.get(key))

    def text(values: dict[str, Any]) -> str:
        return ", ".join(f"{key} {_brief(values.get(key))}" for key in differing)

    if text(recorded) == text(requested):  # nested values, which are not shown
        return f"{text(recorded)}, but with values that differ from the requested ones"
    return f"{text(recorded)}; requested: {text(requested)}"
