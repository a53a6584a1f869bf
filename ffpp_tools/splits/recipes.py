"""Recipes: rules for selecting and splitting samples, read from TOML files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from data_manifests import Mode, labels, modes
from ffpp_tools.errors import SettingsError
from ffpp_tools.recipe_files import RecipeFiles
from ffpp_tools.store.schema import SPLITS

RULES = ("grouped", "random", "official")
DEFAULT_MODE = "multiclass"
FILES = RecipeFiles("data_manifests", SettingsError)

Ratios = tuple[float, float, float]


@dataclass(frozen=True)
class Recipe:
    """How samples are selected and assigned to train, val and test.

    The rule is `grouped` (an identity group is in one split only), `random` (frame by frame, so
    that identities are in several splits) or `official` (the lists published with the sets).
    """

    name: str
    rule: str
    about: str = ""
    mode: str | None = None  # the label space, if the recipe requires one
    ratios: Ratios | None = None  # of train, val and test; None for the mode's ratios
    counts: Mapping[str, Mapping[str, int]] | None = None  # mode → split → samples per class
    per_class: int | None = None  # number of samples of each class over all splits
    include: tuple[str, ...] = ()  # additional categories
    compression: tuple[str, ...] = ()  # of the clips to select from; empty for all
    classes: Mapping[str, tuple[str, ...]] | None = None  # classes that replace the mode's
    leave_out: str | None = None  # the only method of the fakes in test; excluded from train, val
    folds: int | None = None  # number of manifests, each with a different test split
    clean: bool = False  # with `official`: exclude identities that are in several splits
    shrink: bool = False  # scale all classes down together if there is not enough data

    def label_space(self) -> Mode:
        """Return the mode, with the recipe's own classes if it has any."""
        mode = modes()[self.mode or DEFAULT_MODE]
        return replace(mode, classes=dict(self.classes)) if self.classes else mode


def names() -> list[str]:
    """Return the names of the recipes that are part of the project."""
    return FILES.names()


def read(name: str) -> Recipe:
    """Read a recipe of the project by its name, or any recipe from a TOML file.

    Raises:
        SettingsError: the recipe does not exist, or a key is invalid; the message names both.
    """
    source, table = FILES.read(name)
    return _checked(source.stem, source, table)


def check(recipe: Recipe) -> None:
    """Check a recipe for contradictory settings.

    Raises:
        SettingsError: naming the offending setting.
    """
    if recipe.mode is not None and recipe.mode not in modes():
        hint = f"; did you mean --recipe {recipe.mode}?" if recipe.mode in names() else ""
        raise SettingsError(f"unknown mode {recipe.mode!r}; choose from {', '.join(modes())}{hint}")
    if recipe.ratios is not None and not _are_ratios(recipe.ratios):
        raise SettingsError(
            f"ratios {recipe.ratios} must be three numbers above 0: train, val, test"
        )
    if recipe.ratios and recipe.rule == "official":
        raise SettingsError(
            f"recipe {recipe.name}: official lists determine the ratios; do not set ratios"
        )
    if recipe.ratios and recipe.counts and not recipe.per_class:
        raise SettingsError(
            f"recipe {recipe.name} determines the counts of each split; do not set ratios"
        )
    if recipe.folds is not None and recipe.folds < 3:
        raise SettingsError(
            f"folds ({recipe.folds}) must be at least 3, for training, validation and test"
        )
    if recipe.rule != "grouped" and (recipe.folds or recipe.leave_out):
        raise SettingsError(
            f"recipe {recipe.name} ({recipe.rule}) supports neither --folds nor --leave-out; use "
            f"--recipe grouped"
        )
    if recipe.folds and recipe.ratios:
        raise SettingsError("folds have equal sizes; set either folds or ratios")
    if recipe.clean and recipe.rule != "official":
        raise SettingsError(f"recipe {recipe.name}: only official lists can be cleaned")
    if recipe.leave_out:
        space = recipe.label_space()
        if "fake" not in space.classes or len(space.classes) != 2:
            raise SettingsError(
                f"--leave-out {recipe.leave_out} requires --mode binary: in other modes the method "
                f"is a class of its own, which would have no training samples"
            )
        methods = (*space.classes["fake"], *recipe.include)
        if recipe.leave_out not in methods or len(methods) < 2:
            raise SettingsError(
                f"--leave-out {recipe.leave_out}: expected one of the fakes, of which there must "
                f"be at least two: {', '.join(methods)}"
            )


def _checked(name: str, source: Path, table: Mapping[str, Any]) -> Recipe:
    known = [f.name for f in fields(Recipe) if f.name != "name"]
    for key in table:
        if key not in known:
            raise SettingsError(f"{source}: unknown key {key!r}; expected {', '.join(known)}")
    if "rule" not in table:
        raise SettingsError(f"{source}: key 'rule' is missing; expected {' or '.join(RULES)}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        is_valid, expected = _EXPECTED[key]
        if not is_valid(value):
            raise SettingsError(f"{source}: key {key!r} must be {expected}, not {value!r}")
        values[key] = tuple(value) if isinstance(value, list) else value
    if "classes" in values:
        values["classes"] = {c: tuple(values["classes"][c]) for c in sorted(values["classes"])}
    recipe = Recipe(name, **values)
    try:
        # leave_out can be checked only if the mode is known.
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
    """Return whether there are two or more disjoint, non-empty classes, each of a single label."""
    if not isinstance(value, dict) or len(value) < 2 or not all(map(_is_text_list, value.values())):
        return False
    categories = [category for members in value.values() for category in members]
    class_labels = [{labels()[c] for c in members if c in labels()} for members in value.values()]
    plain = all(name == Path(name).name for name in value)
    disjoint = len(set(categories)) == len(categories) and all(value.values())
    return plain and disjoint and all(len(kinds) <= 1 for kinds in class_labels)


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
        "a table of two or more plain class names, each with a list of categories of one label",
    ),
    "leave_out": (lambda v: isinstance(v, str), "the name of a method"),
    "folds": (lambda v: _is_count(v) and v >= 3, "a whole number of at least 3"),
    "clean": (lambda v: isinstance(v, bool), "true or false"),
    "shrink": (lambda v: isinstance(v, bool), "true or false"),
}
