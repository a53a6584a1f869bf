"""Profiles: options of extraction that belong together under a name, read from TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ffpp_tools.errors import SettingsError
from ffpp_tools.recipe_files import RecipeFiles

FILES = RecipeFiles("ffpp_tools", SettingsError, "default", kind="profile")
Kind = Literal["clips", "stills"]


@dataclass(frozen=True)
class Profile:
    """Options of ffpp-extract and ffpp-stills; the remaining ones have their defaults.

    An option is named as on the command line, without the leading hyphens.
    """

    name: str  # of a file: its file name, with the suffix
    about: str
    shared: Mapping[str, Any]
    of_kind: Mapping[str, Mapping[str, Any]]

    def options(self, kind: Kind) -> dict[str, Any]:
        """Return the options of the command for clips or for stills."""
        return {**self.shared, **self.of_kind[kind]}

    def label(self, changed: list[str]) -> str:
        """Return the name that is recorded in settings.json.

        Args:
            changed: the options that have other values than the profile's.
        """
        return f"{self.name}, except {', '.join(changed)}" if changed else self.name


def names() -> list[str]:
    """Return the names of the profiles that are part of the package, the default first."""
    return FILES.names()


def read(name: str) -> Profile:
    """Read a profile of the package by its name, or any profile from a TOML file.

    Raises:
        SettingsError: the profile does not exist, is not TOML, or has no text `about`.
    """
    path, table = FILES.read(name)
    about, of_kind = table.pop("about", ""), {k: table.pop(k, {}) for k in ("clips", "stills")}
    if not isinstance(about, str) or not all(isinstance(v, dict) for v in of_kind.values()):
        raise SettingsError(f"{path}: about must be text, and clips and stills must be tables")
    return Profile(path.name if name.endswith(".toml") else name, about, table, of_kind)
