"""The settings a dataset folder was made with: recorded in it, so that other ones are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ffpp_tools.console import LOG
from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.settings_file import CLIPS_VERSION, SECTIONS, SETTINGS, recorded_settings
from ffpp_tools.files import PRIVATE, delete_temporary_files, write_atomically
from ffpp_tools.sources import official_lists
from ffpp_tools.store import format_versions
from ffpp_tools.store.schema import STILL

BEFORE = (official_lists.FOLDER, LOG)  # what a folder may hold that nothing was extracted to yet


@dataclass(frozen=True)
class Overwrite:
    """What is to be made anew: all clips, or the stills of some categories."""

    categories: Collection[str] | None = None

    def takes(self, folder: Path) -> bool:
        """Whether a folder .../<category>/<compression> is part of it."""
        if self.categories is None:
            return folder.name != STILL
        return folder.name == STILL and folder.parent.name in self.categories


def record_settings(
    dataset: Path, wanted: ClipSettings | StillSettings, anew: Overwrite | None
) -> None:
    """Record the settings a dataset folder is made with, or refuse other ones.

    With `anew`, what it names is deleted, but only if the settings fit what stays. What a run that
    was killed has left half written is deleted in any case: the caller holds the folder's lock.

    Raises:
        SettingsError: the folder was made with other settings.
        TableError: settings.json is damaged.
        FormatError: a newer release made the folder.
    """
    check_folder(dataset)
    recorded = recorded_settings(dataset)
    sections = dict(recorded)
    if anew and recorded:
        stays = [f.name == STILL for f in dataset.glob("parts/*/*") if not anew.takes(f)]
        if not stays:
            sections = {}
        elif all(stays):
            sections.pop("clips", None)
        elif not any(stays):
            sections.pop("stills", None)
    for section, settings in _sections(wanted).items():
        if sections.setdefault(section, settings) != settings:
            remedy = "" if anew else ", or start anew with --overwrite"
            raise SettingsError(
                f"{dataset} was made with other settings ({section}): "
                f"{_difference(sections[section], settings)}. Crops of one dataset, clips' and "
                f"stills', must be made alike: name another folder with --out{remedy}."
            )
    if anew and recorded:
        for top in ("parts", "faces"):
            for folder in sorted(dataset.glob(f"{top}/*/*")):
                if anew.takes(folder):
                    shutil.rmtree(folder)
    delete_temporary_files(dataset, dataset / official_lists.FOLDER, *_folders(dataset / "parts"))
    ordered = {name: sections[name] for name in SECTIONS if name in sections}
    text = (
        json.dumps(format_versions.with_format(format_versions.SETTINGS, ordered), indent=2) + "\n"
    )
    write_atomically(dataset / SETTINGS, text.encode())


def _folders(folder: Path) -> list[Path]:
    """A folder and all below it."""
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())]


def check_folder(dataset: Path) -> None:
    """Refuse a folder that holds something, and nothing that was extracted.

    Raises:
        SettingsError: it does.
    """
    if not dataset.is_dir() or (dataset / SETTINGS).exists():
        return
    names = (p.name for p in dataset.iterdir())
    if others := sorted(n for n in names if n not in BEFORE and not PRIVATE.fullmatch(n)):
        raise SettingsError(
            f"{dataset} is no dataset folder, and holds {others[0]}: name another with --out"
        )


def _sections(settings: ClipSettings | StillSettings) -> dict[str, Any]:
    """Settings as they are recorded: what clips and stills share, and what is their own."""
    own = "clips" if isinstance(settings, ClipSettings) else "stills"
    every: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    if own == "clips":
        every["version"] = CLIPS_VERSION
    shared = {name: every.pop(name) for name in ("crop", "find")}
    return {**shared, own: every}


def _brief(value: Any) -> str:
    """A setting as one may read it: what holds a list is only said to be there."""
    return "yes" if isinstance(value, dict) else "no" if value is None else str(value)


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """A section's values, those of its plan among them."""
    return {**values, **values["plan"], "plan": None} if values.get("plan") else values


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between recorded settings and those asked for, in words."""
    was, now = _flat(was), _flat(now)
    differing = sorted(key for key in {*was, *now} if was.get(key) != now.get(key))

    def told(values: dict[str, Any]) -> str:
        return ", ".join(f"{key} {_brief(values.get(key))}" for key in differing)

    if told(was) == told(now):  # of what is too long to be shown
        return f"{told(was)}, but of other values than those asked for now"
    return f"{told(was)}; asked for now: {told(now)}"
