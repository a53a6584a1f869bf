"""Label spaces ("modes"): the categories, their labels, and the classes they form."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Mode:
    """A label space: classes in index order, each with its categories."""

    name: str
    classes: dict[str, tuple[str, ...]]
    ratios: tuple[float, float, float]  # train, val, test, in per cent

    @property
    def categories(self) -> tuple[str, ...]:
        """All categories of the mode."""
        return tuple(c for categories in self.classes.values() for c in categories)


@cache
def labels() -> dict[str, str]:
    """Return category → "real" or "fake", for the categories listed in classes.toml."""
    return dict(_classes()["labels"])


@cache
def modes() -> dict[str, Mode]:
    """Return the label spaces by name: multiclass, videos, binary."""
    return {
        name: Mode(
            name=name,
            classes={c: tuple(mode["classes"][c]) for c in sorted(mode["classes"])},
            ratios=tuple(mode["ratios"]),
        )
        for name, mode in _classes()["modes"].items()
    }


@cache
def _classes() -> dict:  # type: ignore[type-arg]
    return tomllib.loads(files(__name__).joinpath("classes.toml").read_text("utf-8"))
