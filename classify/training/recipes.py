"""Training recipes: settings that belong together under a name, read from TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classify.errors import ClassifyError
from classify.models import ARCHITECTURES
from ffpp_tools.recipe_files import RecipeFiles

DEFAULT = "paper"
FILES = RecipeFiles("classify", ClassifyError, DEFAULT)
WEIGHTS = ("imagenet", "noisy-student", "none")  # a recipe names no file
# Settings that only networks with a backbone have.
OF_BACKBONES = (
    "weights",
    "head",
    "stride",
    "dropout",
    "freeze",
    "freeze_batch_norm",
    "head_epochs",
    "fine_tuning_rate",
)
NOT_FIXED = ("recipe",)  # settings that a recipe cannot contain


@dataclass(frozen=True)
class Recipe:
    """Settings of `TrainSettings` under a name; the remaining ones have their defaults."""

    name: str  # of a file: its file name, with the suffix
    about: str
    settings: Mapping[str, Any]  # not checked yet, except for `NOT_FIXED` and weights
    source: Path

    def for_arch(self, arch: str) -> dict[str, Any]:
        """Return the settings that apply to an architecture: those of backbones only to them."""
        own = arch in ARCHITECTURES and not ARCHITECTURES[arch].pretrained
        return {k: v for k, v in self.settings.items() if not (own and k in OF_BACKBONES)}


def names() -> list[str]:
    """Return the names of the recipes that are part of the package, the default first."""
    return FILES.names()


def read(name: str, folder: Path = Path()) -> Recipe:
    """Read a recipe of the package by its name, or any recipe from a TOML file.

    Args:
        name: a name from `names`, or the path of a .toml file.
        folder: the folder to which that path is relative.

    Raises:
        ClassifyError: the recipe does not exist, is not TOML, or fixes what a recipe cannot fix.
    """
    source, table = FILES.read(name, folder)
    return _checked(source.name if name.endswith(".toml") else name, source, table)


def _checked(name: str, source: Path, table: dict[str, Any]) -> Recipe:
    about = table.pop("about", "")
    if not isinstance(about, str):
        raise ClassifyError(f"{source}: about must be text, not {about!r}")
    if fixed := [key for key in NOT_FIXED if key in table]:
        raise ClassifyError(f"{source}: a recipe cannot set {', '.join(fixed)}; omit it")
    if table.get("weights", "none") not in WEIGHTS:
        raise ClassifyError(
            f"{source}: a recipe names no weights file: choose from {', '.join(WEIGHTS)}, and pass "
            f"the file with --weights"
        )
    return Recipe(name, about, table, source)
