"""Recipe and profile files: TOML files of a package, read by name, or others by their paths."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ffpp_tools.files import read_text


@dataclass(frozen=True)
class RecipeFiles:
    """The TOML files of one kind in a package, in the folder named after the kind."""

    package: str
    error: type[Exception]  # what `read` raises
    default: str = ""  # name of the recipe that is listed first
    kind: str = "recipe"  # the folder is its plural

    def names(self) -> list[str]:
        """Return the names of the recipes in the package, without suffix."""
        folder = files(self.package).joinpath(f"{self.kind}s")
        found = [Path(str(f)).stem for f in folder.iterdir() if f.name.endswith(".toml")]
        return sorted(found, key=lambda name: (name != self.default, name))

    def read(self, name: str, folder: Path = Path()) -> tuple[Path, dict[str, Any]]:
        """Return the path and the contents of a recipe.

        Args:
            name: a name from `names`, or the path of a .toml file.
            folder: the folder to which that path is relative.

        Raises:
            self.error: the recipe does not exist, cannot be read or is not TOML.
        """
        if name.endswith(".toml"):
            path = folder / name
        elif name in (names := self.names()):
            path = Path(str(files(self.package).joinpath(f"{self.kind}s", f"{name}.toml")))
        else:
            known = ", ".join(names)
            raise self.error(
                f"unknown {self.kind} {name!r}; choose from {known}, or name a .toml file"
            )
        try:
            text = read_text(path)
        except (OSError, ValueError) as error:
            raise self.error(f"{path}: not a readable {self.kind} ({error})") from error
        try:
            return path, tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise self.error(f"{path}: invalid TOML ({error})") from error
