"""Application of a recipe: the split of each sample, and the selection of samples."""

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

_Capacity = Mapping[str, Mapping[str, int]]  # split → class → maximum number of samples


def assign_splits(
    samples: pd.DataFrame, tables: Dataset, recipe: Recipe, seed: int
) -> tuple[list[pd.Series], dict[str, Any]]:
    """Return the split of every sample, for each manifest, and which samples are excluded.

    Args:
        samples: one row per crop, with the columns of its frame, its group and class.
        tables: the dataset that the samples come from.
        recipe: the recipe, with its ratios set.
        seed: random seed for the group assignment.

    Returns:
        One series of splits per manifest (one, or one per fold), "" for samples without a split;
        and the manifest.json entries `removed` and `unlisted`.

    Raises:
        SplitError: a category has too few groups to be in every split.
    """
    none_excluded: dict[str, Any] = {"removed": [], "unlisted": 0}
    if recipe.rule == "random":
        return [pd.Series("", samples.index)], none_excluded
    if recipe.rule == "official":
        splits = official.assign_official_splits(samples, tables, seed, recipe.clean)
        removed = [asdict(r) for r in splits.removed]
        return [splits.split], {"removed": removed, "unlisted": splits.unlisted}
    if not recipe.folds:
        return [samples["group"].map(_assigned(samples, _shares(recipe), seed))], none_excluded
    names = [f"fold {i + 1}" for i in range(recipe.folds)]
    fold_of_group = _assigned(samples, dict.fromkeys(names, 1 / recipe.folds), seed)
    fold = samples["group"].map(fold_of_group)
    rotations = (names[i:] + names[:i] for i in range(recipe.folds))
    return [
        fold.map({test: "test", val: "val"}).fillna("train") for test, val, *_ in rotations
    ], none_excluded


def _assigned(samples: pd.DataFrame, shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return group → split, with every category in each split, if possible at each compression."""
    if len(clip_compressions(samples)) > 1:
        both = samples["category"] + " " + samples["compression"]
        try:
            return assign_groups(samples.assign(category=both), shares, seed)
        except SplitError:
            pass
    return assign_groups(samples, shares, seed)


@dataclass(frozen=True)
class Selection:
    """The selected samples of a manifest."""

    splits: dict[str, pd.DataFrame]
    # Split → number of samples of each class if compression were ignored; empty if the number is
    # the same.
    unbalanced: dict[str, int]


def select_samples(samples: pd.DataFrame, mode: Mode, recipe: Recipe) -> Selection:
    """Select the samples of each split: the same number of each class, as requested or maximal.

    If there are clips of several compressions, the clips of all classes have the compressions in
    the same proportion in every split, unless that would remove all samples of a category.

    Args:
        samples: as for `assign_splits`, with their `split`, and two random numbers, `draw` and
            `order`.
        mode: the classes.
        recipe: the recipe, with its ratios set.

    Raises:
        SplitError: a class is too small for the requested number; the message names the class.
    """
    if recipe.leave_out:
        method = samples["category"] == recipe.leave_out
        fits = (samples["label"] != "fake") | (method == (samples["split"] == "test"))
        samples = samples[fits]
    if recipe.rule == "random":
        return _selected_at_random(samples, mode, recipe)
    classes = list(mode.classes)
    kinds = samples[["class", "category", "label", "compression"]]
    pools = {s: kinds[samples["split"] == s] for s in SPLITS}
    capacity = {
        s: balance.capacity(pool, _class_categories(mode, recipe, s)) for s, pool in pools.items()
    }
    maximum = {s: min(n.values()) for s, n in capacity.items()}
    requested = _requested(recipe, mode)
    step = {
        s: 1 if requested else balance.count_multiple(pool, classes) for s, pool in pools.items()
    }
    by_compression = _by_compression(samples, mode, recipe, pools, maximum, step)
    counts = unconstrained = _counts(requested, recipe, maximum, step)
    if by_compression:
        maximum = {s: min(sum(n.values()), maximum[s]) for s, n in by_compression.items()}
        counts = _counts(requested, recipe, maximum, step)
    for split in SPLITS:
        _check_filled(pools, capacity, split, counts[split], by_compression)
    strata = {s: balance.strata_counts(n, counts[s], step[s]) for s, n in by_compression.items()}
    splits = balance.balanced(samples, counts, strata, every_group=recipe.folds is not None)
    return Selection(splits, {} if counts == unconstrained else unconstrained)


def _counts(
    requested: Mapping[str, int] | None,
    recipe: Recipe,
    maximum: Mapping[str, int],
    step: Mapping[str, int],
) -> dict[str, int]:
    """Return split → number of samples of each class: as requested, or the maximum."""
    if requested is None:
        return {s: max(maximum[s] // step[s], 1) * step[s] for s in SPLITS}
    return balance.shrunk(requested, maximum) if recipe.shrink else dict(requested)


def _by_compression(
    samples: pd.DataFrame,
    mode: Mode,
    recipe: Recipe,
    pools: Mapping[str, pd.DataFrame],
    maximum: Mapping[str, int],
    step: Mapping[str, int],
) -> dict[str, dict[str, int]]:
    """Return split → compression → maximum number of samples of each class.

    Empty if compression is ignored: if all clips have the same compression, or if a split would
    lose a category.
    """
    if len(clip_compressions(samples)) < 2:
        return {}
    capacity = {}
    for split, pool in pools.items():
        categories = _class_categories(mode, recipe, split)
        strata = balance.strata_capacity(pool, categories, maximum[split], recipe.rule != "random")
        capacity[split] = {c: n // step[split] * step[split] for c, n in strata.items()}
        used = [c for c, n in capacity[split].items() if n]
        remaining = pool.loc[pool["compression"].isin([*used, STILL]), "category"]
        if not used or set(remaining) < set(pool["category"]):
            return {}
    return capacity


def _selected_at_random(samples: pd.DataFrame, mode: Mode, recipe: Recipe) -> Selection:
    """As `select_samples`, with a single pool for all splits."""
    capacity = {"all": balance.capacity(samples, mode.classes, equal_methods=False)}
    maximum = min(capacity["all"].values())
    pools = {"all": samples}
    by_compression = _by_compression(samples, mode, recipe, pools, {"all": maximum}, {"all": 1})
    counts = unconstrained = _counts_at_random(mode, recipe, maximum)
    if by_compression:
        limit = min(sum(by_compression["all"].values()), maximum)
        counts = _counts_at_random(mode, recipe, limit)
    total = sum(counts.values())
    _check_filled(pools, capacity, "all", total, by_compression)
    strata = balance.strata_counts(by_compression["all"], total) if by_compression else None
    splits = balance.at_random(samples, counts, strata)
    return Selection(splits, {} if counts == unconstrained else unconstrained)


def _counts_at_random(mode: Mode, recipe: Recipe, maximum: int) -> dict[str, int]:
    """As `_counts`, for the single pool."""
    counts = _requested(recipe, mode) or balance.apportioned(maximum, _shares(recipe))
    total = sum(counts.values())
    if recipe.shrink and maximum < total:
        counts = balance.apportioned(maximum, {s: n / total for s, n in counts.items()})
    return counts


def _class_categories(mode: Mode, recipe: Recipe, split: str) -> dict[str, list[str]]:
    """Return class → its categories in a split, which --leave-out restricts."""
    method = recipe.leave_out

    def is_used(category: str, fake: bool) -> bool:
        return not method or not fake or (category == method) == (split == "test")

    return {
        name: [c for c in categories if is_used(c, name == "fake")]
        for name, categories in mode.classes.items()
    }


def _requested(recipe: Recipe, mode: Mode) -> dict[str, int] | None:
    if recipe.per_class is not None:
        return balance.apportioned(recipe.per_class, _shares(recipe))
    if recipe.counts is not None and mode.name in recipe.counts:
        return dict(recipe.counts[mode.name])
    return None


def _shares(recipe: Recipe) -> dict[str, float]:
    assert recipe.ratios is not None, "the caller sets the mode's ratios"
    return dict(zip(SPLITS, recipe.ratios, strict=True))


def _check_filled(
    pools: Mapping[str, pd.DataFrame],
    capacity: _Capacity,
    pool: str,
    count: int,
    by_compression: Mapping[str, Mapping[str, int]],
) -> None:
    """Raise SplitError if a class cannot provide `count` samples in a pool."""
    if min(capacity[pool].values()) >= count:
        if by_compression and sum(by_compression[pool].values()) < count:
            limits = ", ".join(f"{n} at {c}" for c, n in sorted(by_compression[pool].items()))
            raise SplitError(
                f"not enough data: {count} samples of each class were requested in {pool}, but "
                f"with the same compressions in every class, each class can have at most {limits}. "
                f"Extract more, request fewer with --per-class, scale all classes down with "
                f"--shrink, or use a single compression with --compression."
            )
        return
    if empty := [name for name, n in capacity[pool].items() if not n]:
        by_split = "; ".join(
            f"{name}: {', '.join(f'{n[name]} in {split}' for split, n in capacity.items())}"
            for name in empty
        )
        raise SplitError(
            f"not enough data: every split needs every class, but with this recipe {pool} has no "
            f"samples of {', '.join(empty)} ({by_split}). Extract more of it, or choose another "
            f"--recipe, or a --mode without it."
        )
    available = []
    for split, rows in pools.items():
        sizes = rows.groupby("class")["category"].value_counts()
        for name, n in capacity[split].items():
            of_categories = sizes[name].to_dict() if name in sizes else {}
            listed = ", ".join(f"{category} {size}" for category, size in of_categories.items())
            in_split = "" if split == "all" else f" in {split}"
            available.append(
                f"{name} has {n}{in_split}" + f" ({listed})" * (len(of_categories) > 1)
            )
    in_pool = "" if pool == "all" else f" in {pool}"
    raise SplitError(
        f"not enough data: {count} samples of each class were requested{in_pool}, but "
        f"{'; '.join(available)}. Extract more, request fewer with --per-class, or scale all "
        f"classes down with --shrink."
    )
