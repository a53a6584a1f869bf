"""A recipe carried out: the side of each sample, and which are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from data_manifests import Mode
from ffpp_tools.errors import SplitError
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.splits import balance, official
from ffpp_tools.splits.compressions import clip_compressions
from ffpp_tools.splits.group_assignment import assign_groups
from ffpp_tools.splits.recipes import Recipe
from ffpp_tools.store.schema import SPLITS, STILL

_There = Mapping[str, Mapping[str, int]]  # split → class → samples that it can give


def assign_splits(
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
        found = official.assign_official_splits(samples, tables, seed, recipe.clean)
        removed = [asdict(r) for r in found.removed]
        return [found.side], {"removed": removed, "unlisted": found.unlisted}
    if not recipe.folds:
        return [samples["group"].map(_assigned(samples, _shares(recipe), seed))], nothing
    names = [f"fold {i + 1}" for i in range(recipe.folds)]
    part = _assigned(samples, dict.fromkeys(names, 1 / recipe.folds), seed)
    own = samples["group"].map(part)
    turns = (names[i:] + names[:i] for i in range(recipe.folds))
    return [
        own.map({tested: "test", next_: "val"}).fillna("train") for tested, next_, *_ in turns
    ], nothing


def _assigned(samples: pd.DataFrame, shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Group → split, with every category in each, and if possible at every compression."""
    if len(clip_compressions(samples)) > 1:
        both = samples["category"] + " " + samples["compression"]
        try:
            return assign_groups(samples.assign(category=both), shares, seed)
        except SplitError:
            pass
    return assign_groups(samples, shares, seed)


@dataclass(frozen=True)
class Selection:
    """The samples of a manifest."""

    splits: dict[str, pd.DataFrame]
    # Split → samples of each class that there would be, were compression of no account; empty
    # where it made no difference.
    unbalanced: dict[str, int]


def select_samples(samples: pd.DataFrame, mode: Mode, recipe: Recipe) -> Selection:
    """The samples of each split: equally many of every class, as many as can be or as asked.

    Where there are clips of several compressions, each class's clips have them in the same
    proportion in every split, unless that would leave nothing of some category.

    Args:
        samples: as `assign_splits` takes them, with their `split`, and two random numbers, `draw`
            and `order`.
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
    kinds = samples[["class", "category", "label", "compression"]]
    pools = {s: kinds[samples["split"] == s] for s in SPLITS}
    there = {s: balance.capacity(pool, _made_of(mode, recipe, s)) for s, pool in pools.items()}
    most = {s: min(n.values()) for s, n in there.items()}
    asked = _asked(recipe, mode)
    step = {s: 1 if asked else balance.count_multiple(pool, classes) for s, pool in pools.items()}
    by_compression = _by_compression(samples, mode, recipe, pools, most, step)
    counts = free = _counts(asked, recipe, most, step)
    if by_compression:
        most = {s: min(sum(n.values()), most[s]) for s, n in by_compression.items()}
        counts = _counts(asked, recipe, most, step)
    for split in SPLITS:
        _check_filled(pools, there, split, counts[split], by_compression)
    strata = {s: balance.strata_counts(n, counts[s], step[s]) for s, n in by_compression.items()}
    splits = balance.balanced(samples, counts, strata, every_group=recipe.folds is not None)
    return Selection(splits, {} if counts == free else free)


def _counts(
    asked: Mapping[str, int] | None,
    recipe: Recipe,
    most: Mapping[str, int],
    step: Mapping[str, int],
) -> dict[str, int]:
    """Split → samples of each class: what was asked, or as many as there can be."""
    if asked is None:
        return {s: max(most[s] // step[s], 1) * step[s] for s in SPLITS}
    return balance.shrunk(asked, most) if recipe.shrink else dict(asked)


def _by_compression(
    samples: pd.DataFrame,
    mode: Mode,
    recipe: Recipe,
    pools: Mapping[str, pd.DataFrame],
    most: Mapping[str, int],
    step: Mapping[str, int],
) -> dict[str, dict[str, int]]:
    """Split → compression → samples that each class can give; empty where it is of no account.

    That is where the clips are of one compression, or some split would lose a category.
    """
    if len(clip_compressions(samples)) < 2:
        return {}
    found = {}
    for split, pool in pools.items():
        made_of = _made_of(mode, recipe, split)
        there = balance.strata_capacity(pool, made_of, most[split], recipe.rule != "random")
        found[split] = {c: n // step[split] * step[split] for c, n in there.items()}
        used = [c for c, n in found[split].items() if n]
        kept = pool.loc[pool["compression"].isin([*used, STILL]), "category"]
        if not used or set(kept) < set(pool["category"]):
            return {}
    return found


def _chosen_at_random(samples: pd.DataFrame, mode: Mode, recipe: Recipe) -> Selection:
    """As `select_samples`, of one pool for all splits."""
    there = {"all": balance.capacity(samples, mode.classes, equal_methods=False)}
    most = min(there["all"].values())
    pools = {"all": samples}
    by_compression = _by_compression(samples, mode, recipe, pools, {"all": most}, {"all": 1})
    counts = free = _counts_at_random(mode, recipe, most)
    if by_compression:
        counts = _counts_at_random(mode, recipe, min(sum(by_compression["all"].values()), most))
    total = sum(counts.values())
    _check_filled(pools, there, "all", total, by_compression)
    strata = balance.strata_counts(by_compression["all"], total) if by_compression else None
    return Selection(balance.at_random(samples, counts, strata), {} if counts == free else free)


def _counts_at_random(mode: Mode, recipe: Recipe, most: int) -> dict[str, int]:
    """As `_counts`, of the one pool."""
    counts = _asked(recipe, mode) or balance.apportioned(most, _shares(recipe))
    total = sum(counts.values())
    if recipe.shrink and most < total:
        counts = balance.apportioned(most, {s: n / total for s, n in counts.items()})
    return counts


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
        return balance.apportioned(recipe.per_class, _shares(recipe))
    if recipe.counts is not None and mode.name in recipe.counts:
        return dict(recipe.counts[mode.name])
    return None


def _shares(recipe: Recipe) -> dict[str, float]:
    assert recipe.ratios is not None, "set as soon as the mode is known"
    return dict(zip(SPLITS, recipe.ratios, strict=True))


def _check_filled(
    pools: Mapping[str, pd.DataFrame],
    there: _There,
    pool: str,
    asked: int,
    by_compression: Mapping[str, Mapping[str, int]],
) -> None:
    """Refuse to make a split that some class cannot fill."""
    if min(there[pool].values()) >= asked:
        if by_compression and sum(by_compression[pool].values()) < asked:
            shared = ", ".join(f"{n} at {c}" for c, n in sorted(by_compression[pool].items()))
            raise SplitError(
                f"the data cannot fill this: {asked} of each class asked in {pool}, but each "
                f"class can give only as many of every compression as the scarcest has, "
                f"{shared}. Extract more, ask for fewer with --per-class, let all classes shrink "
                f"together with --shrink, or take one compression with --compression."
            )
        return
    if none := [name for name, most in there[pool].items() if not most]:
        sides = "; ".join(
            f"{name}: {', '.join(f'{most[name]} in {split}' for split, most in there.items())}"
            for name in none
        )
        raise SplitError(
            f"the data cannot fill this: every split needs every class, but this recipe puts "
            f"nothing of {', '.join(none)} into {pool} ({sides}). Extract more of it, or choose "
            f"another --recipe, or a --mode without it."
        )
    lines, where = [], "" if pool == "all" else f" in {pool}"
    for split, rows in pools.items():
        sizes = rows.groupby("class")["category"].value_counts()
        for name, most in there[split].items():
            made_of = sizes[name].to_dict() if name in sizes else {}
            parts = ", ".join(f"{category} {n}" for category, n in made_of.items())
            held = "" if split == "all" else f" in {split}"
            lines.append(f"{name} has {most}{held}" + f" ({parts})" * (len(made_of) > 1))
    raise SplitError(
        f"the data cannot fill this: {asked} of each class asked{where}, but "
        f"{'; '.join(lines)}. Extract more, ask for fewer with --per-class, or let all classes "
        f"shrink together with --shrink."
    )
