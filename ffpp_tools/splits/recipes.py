"""Recipes: the rules of selection, read from TOML files."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_manifests import Mode, labels, modes
from ffpp_tools.errors import SettingsError
from ffpp_tools.files import read_text
from ffpp_tools.store.schema import SPLITS

RULES = ("grouped", "random", "official")
DEFAULT_MODE = "multiclass"

Ratios = tuple[float, float, float]


@dataclass(frozen=True)
class Recipe:
    """How samples are chosen and put into train, val and test.

    rule: `grouped`, whole groups of people on one side; `random`, frame by frame, with people on
    both sides; `official`, by the lists that the sets come with.
    """

    name: str
    rule: str
    about: str = ""
    mode: str | None = None  # the label space, where the recipe fixes it
    ratios: Ratios | None = None  # of train, val and test; None takes the mode's
    counts: Mapping[str, Mapping[str, int]] | None = None  # mode → split → samples per class
    per_class: int | None = None  # samples of each class over all splits
    include: tuple[str, ...] = ()  # further categories
    compression: tuple[str, ...] = ()  # of the clips to choose from; none takes all of them
    classes: Mapping[str, tuple[str, ...]] | None = None  # instead of the mode's own
    leave_out: str | None = None  # a method that only the test split's fakes are of
    folds: int | None = None  # so many manifests, each with another part as its test split
    clean: bool = False  # of `official`: leave out people who are in several splits
    shrink: bool = False  # scale all classes down together where they cannot be filled

    def label_space(self) -> Mode:
        """The mode, with the recipe's own classes if it has any."""
        mode = modes()[self.mode or DEFAULT_MODE]
        return replace(mode, classes=dict(self.classes)) if self.classes else mode


def names() -> list[str]:
    """The recipes that come with the project."""
    folder = files("data_manifests").joinpath("recipes")
    return sorted(Path(str(f)).stem for f in folder.iterdir() if f.name.endswith(".toml"))


def read(name: str) -> Recipe:
    """A recipe by its name, or from a TOML file of one's own.

    Raises:
        SettingsError: no such recipe, or a key that is wrong; it names file and key.
    """
    if name.endswith(".toml"):
        path = Path(name)
        try:
            text = read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not a readable recipe ({error})") from error
        return _parsed(path.stem, name, text)
    if name not in names():
        raise SettingsError(
            f"unknown recipe {name!r}; there are {', '.join(names())}, and any file ending in .toml"
        )
    resource = files("data_manifests").joinpath("recipes", f"{name}.toml")
    return _parsed(name, str(resource), resource.read_text("utf-8"))


def check(recipe: Recipe) -> None:
    """Refuse what contradicts itself.

    Raises:
        SettingsError: saying what.
    """
    if recipe.mode is not None and recipe.mode not in modes():
        meant = f"; --recipe {recipe.mode} is a recipe" if recipe.mode in names() else ""
        raise SettingsError(
            f"unknown mode {recipe.mode!r}; choose from {', '.join(modes())}{meant}"
        )
    if recipe.ratios is not None and not _are_ratios(recipe.ratios):
        raise SettingsError(
            f"ratios {recipe.ratios} must be three numbers above 0: train, val, test"
        )
    if recipe.ratios and recipe.rule == "official":
        raise SettingsError(f"recipe {recipe.name}: official lists have ratios of their own")
    if recipe.ratios and recipe.counts and not recipe.per_class:
        raise SettingsError(f"recipe {recipe.name} has counts of its own; leave out the ratios")
    if recipe.folds is not None and recipe.folds < 3:
        raise SettingsError(f"folds ({recipe.folds}) must be at least 3: to train, validate, test")
    if recipe.rule != "grouped" and (recipe.folds or recipe.leave_out):
        raise SettingsError(
            f"recipe {recipe.name} ({recipe.rule}) takes neither --folds nor --leave-out; "
            f"`--recipe grouped` takes both"
        )
    if recipe.folds and recipe.ratios:
        raise SettingsError("folds are of equal size: leave out either folds or ratios")
    if recipe.clean and recipe.rule != "official":
        raise SettingsError(f"recipe {recipe.name}: only official lists can be cleaned")
    if recipe.leave_out:
        space = recipe.label_space()
        if "fake" not in space.classes or len(space.classes) != 2:
            raise SettingsError(
                f"--leave-out {recipe.leave_out} needs --mode binary: elsewhere the method is a "
                f"class of its own, which could not be trained"
            )
        methods = (*space.classes["fake"], *recipe.include)
        if recipe.leave_out not in methods or len(methods) < 2:
            raise SettingsError(
                f"--leave-out {recipe.leave_out}: not one of the fakes, {', '.join(methods)}"
            )


def _parsed(name: str, source: str, text: str) -> Recipe:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{source}: not TOML ({error})") from error
    known = [f.name for f in fields(Recipe) if f.name != "name"]
    for key in table:
        if key not in known:
            raise SettingsError(f"{source}: unknown key {key!r}; known are {', '.join(known)}")
    if "rule" not in table:
        raise SettingsError(f"{source}: key 'rule' is missing; one of {', '.join(RULES)}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        is_right, expected = _EXPECTED[key]
        if not is_right(value):
            raise SettingsError(f"{source}: key {key!r} must be {expected}, not {value!r}")
        values[key] = tuple(value) if isinstance(value, list) else value
    if "classes" in values:
        values["classes"] = {c: tuple(values["classes"][c]) for c in sorted(values["classes"])}
    recipe = Recipe(name, **values)
    try:
        # What to leave out can be judged only when the mode is known.
        check(recipe if recipe.mode else replace(recipe, leave_out=None))
    except SettingsError as error:
        raise SettingsError(f"{source}: {error}") from error
    return recipe


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_ratios(values: Sequence[float]) -> bool:
    return len(values) == 3 and all(0 < ratio < math.inf for ratio in values)


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _are_counts(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) <= set(modes())
        and all(
            isinstance(n, dict)
            and set(n) == set(SPLITS)
            and all(_is_count(c) and c for c in n.values())
            for n in value.values()
        )
    )


def _are_classes(value: Any) -> bool:
    """Two classes or more, each of categories of one label, none in two of them."""
    if not isinstance(value, dict) or len(value) < 2 or not all(map(_is_text_list, value.values())):
        return False
    every = [category for categories in value.values() for category in categories]
    kinds = [{labels()[c] for c in parts if c in labels()} for parts in value.values()]
    plain = all(name == Path(name).name for name in value)
    distinct = len(set(every)) == len(every) and all(value.values())
    return plain and distinct and all(len(k) <= 1 for k in kinds)


_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rule": (lambda v: v in RULES, f"one of {', '.join(RULES)}"),
    "about": (lambda v: isinstance(v, str), "text"),
    "mode": (lambda v: isinstance(v, str) and v in modes(), "one of the modes"),
    "ratios": (
        lambda v: isinstance(v, list) and all(map(_is_number, v)) and _are_ratios(v),
        "three numbers above 0: train, val, test",
    ),
    "counts": (_are_counts, "a table of modes, each with train, val and test"),
    "per_class": (lambda v: _is_count(v) and v >= 3, "a whole number of at least 3"),
    "include": (_is_text_list, "a list of categories"),
    "compression": (_is_text_list, "a list of compressions"),
    "classes": (
        _are_classes,
        "a table of two or more plain names, each a list of categories of one label",
    ),
    "leave_out": (lambda v: isinstance(v, str), "a method's name"),
    "folds": (lambda v: _is_count(v) and v >= 3, "a whole number of at least 3"),
    "clean": (lambda v: isinstance(v, bool), "true or false"),
    "shrink": (lambda v: isinstance(v, bool), "true or false"),
}
