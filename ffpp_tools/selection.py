"""A recipe carried out: the side of each sample, and which are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from data_manifests import Mode
from ffpp_tools import draw, official
from ffpp_tools.assign import assign_groups
from ffpp_tools.dataset import Dataset
from ffpp_tools.errors import SplitError
from ffpp_tools.recipes import Recipe
from ffpp_tools.rows import SPLITS

_There = Mapping[str, Mapping[str, int]]  # split → class → samples that it can give


def sides(
    samples: pd.DataFrame, tables: Dataset, recipe: Recipe, seed: int
) -> tuple[list[pd.Series], dict[str, Any]]:
    """The split of every sample, for each manifest to be made, and what was left out.

    Args:
        samples: a row per crop, with the columns of its frame, its group and class.
        tables: the dataset they come from.
        recipe: with its ratios.
        seed: another seed, other groups on each side.

    Raises:
        SplitError: a category has too few groups to be on every side.
    """
    nothing: dict[str, Any] = {"removed": [], "unlisted": 0}
    if recipe.rule == "random":
        return [pd.Series("", samples.index)], nothing
    if recipe.rule == "official":
        found = official.sides(samples, tables, seed, recipe.clean)
        removed = [asdict(r) for r in found.removed]
        return [found.side], {"removed": removed, "unlisted": found.unlisted}
    if not recipe.folds:
        return [samples["group"].map(assign_groups(samples, _shares(recipe), seed))], nothing
    names = [f"fold {i + 1}" for i in range(recipe.folds)]
    part = assign_groups(samples, dict.fromkeys(names, 1 / recipe.folds), seed)
    own = samples["group"].map(part)
    turns = (names[i:] + names[:i] for i in range(recipe.folds))
    return [
        own.map({tested: "test", next_: "val"}).fillna("train") for tested, next_, *_ in turns
    ], nothing


def chosen(samples: pd.DataFrame, mode: Mode, recipe: Recipe) -> dict[str, pd.DataFrame]:
    """The samples of each split: equally many of every class, as many as can be or as asked.

    Args:
        samples: as `sides` takes them, with what it gives as `split`, and two random numbers,
            `draw` and `order`.
        mode: the classes.
        recipe: with its ratios.

    Raises:
        SplitError: some class is too small for what was asked; it says which.
    """
    if recipe.leave_out:
        method = samples["category"] == recipe.leave_out
        fits = (samples["label"] != "fake") | (method == (samples["split"] == "test"))
        samples = samples[fits]
    if recipe.rule == "random":
        return _chosen_at_random(samples, mode, recipe)
    classes = list(mode.classes)
    pools = {s: samples[samples["split"] == s] for s in SPLITS}
    there = {s: draw.capacity(pool, _made_of(mode, recipe, s)) for s, pool in pools.items()}
    counts = _asked(recipe, mode)
    if counts is None:
        counts = {}
        for split, pool in pools.items():
            step = draw.steps(pool, classes)
            counts[split] = max(min(there[split].values()) // step, 1) * step
    elif recipe.shrink:
        counts = draw.shrunk(counts, {s: min(n.values()) for s, n in there.items()})
    for split in SPLITS:
        _check_filled(pools, there, split, counts[split])
    return draw.balanced(samples, counts)


def _chosen_at_random(samples: pd.DataFrame, mode: Mode, recipe: Recipe) -> dict[str, pd.DataFrame]:
    """As `chosen`, of one pool for all splits."""
    there = {"all": draw.capacity(samples, mode.classes, equal_methods=False)}
    most = min(there["all"].values())
    counts = _asked(recipe, mode) or draw.apportioned(most, _shares(recipe))
    total = sum(counts.values())
    if recipe.shrink and most < total:
        counts = draw.apportioned(most, {s: n / total for s, n in counts.items()})
    _check_filled({"all": samples}, there, "all", sum(counts.values()))
    return draw.at_random(samples, counts)


def _made_of(mode: Mode, recipe: Recipe, split: str) -> dict[str, list[str]]:
    """Class → the categories that it is made of in a split."""
    method = recipe.leave_out

    def wanted(category: str, fake: bool) -> bool:
        return not method or not fake or (category == method) == (split == "test")

    return {
        name: [c for c in categories if wanted(c, name == "fake")]
        for name, categories in mode.classes.items()
    }


def _asked(recipe: Recipe, mode: Mode) -> dict[str, int] | None:
    if recipe.per_class is not None:
        return draw.apportioned(recipe.per_class, _shares(recipe))
    if recipe.counts is not None and mode.name in recipe.counts:
        return dict(recipe.counts[mode.name])
    return None


def _shares(recipe: Recipe) -> dict[str, float]:
    assert recipe.ratios is not None, "set as soon as the mode is known"
    return dict(zip(SPLITS, recipe.ratios, strict=True))


def _check_filled(pools: Mapping[str, pd.DataFrame], there: _There, pool: str, asked: int) -> None:
    """Refuse to make a split that some class cannot fill."""
    if min(there[pool].values()) >= asked:
        return
    if none := [name for name, most in there[pool].items() if not most]:
        sides = "; ".join(
            f"{name}: {', '.join(f'{most[name]} in {split}' for split, most in there.items())}"
            for name in none
        )
        raise SplitError(
            f"the data cannot fill this: {pool} is to hold every class, and by this rule it has "
            f"nothing of {', '.join(none)} ({sides}). Extract more of it, or choose another "
            f"--recipe or --mode."
        )
    lines = []
    for split, rows in pools.items():
        sizes = rows.groupby("class")["category"].value_counts()
        for name, most in there[split].items():
            made_of = sizes[name].to_dict() if name in sizes else {}
            parts = f" ({made_of})" if len(made_of) > 1 else ""
            lines.append(f"{name} has {most} in {split}{parts}")
    raise SplitError(
        f"the data cannot fill this: {asked} of each class asked in {pool}, but "
        f"{'; '.join(lines)}. Extract more, ask for fewer with --per-class, or let all classes "
        f"shrink together with --shrink."
    )
