"""Mode and groups to balanced manifests whose train, val and test share no group of people."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_manifests import Mode, modes
from ffpp_tools.errors import SettingsError, SplitError, TableError
from ffpp_tools.files import occupied, sha256
from ffpp_tools.groups import groups
from ffpp_tools.rows import STILL
from ffpp_tools.tables import (
    SPLITS,
    Manifest,
    read_faces,
    read_frames,
    write_manifest,
)

Ratios = tuple[float, float, float]


@dataclass(frozen=True)
class SplitSettings:
    """What kind of manifest is wanted. The same settings and tables give the same bytes."""

    mode: str = "multiclass"  # the label space: multiclass, videos or binary
    recipe: str = "grouped"  # the rule of selection
    ratios: Ratios | None = None  # train, val, test; None takes the mode's own
    per_class: int | None = None  # samples of each class over all splits; None: all that balance
    include: tuple[str, ...] = ()  # further categories, such as FaceShifter
    seed: int = 0


def make_manifest(
    dataset: Path,
    folder: Path,
    settings: SplitSettings = SplitSettings(),
) -> Manifest:
    """Write a manifest of the crops in `dataset` to `folder`.

    Whole groups (a pair of people with all their originals and fakes; the photographs of
    one person) go to one side. In every split all classes have the same number of samples,
    drawn as evenly as can be from the class's categories and from their clips.

    Raises:
        TableError: the dataset has no tables, or `folder` holds something else.
        SettingsError: an unknown mode or recipe, or impossible ratios.
        SplitError: some class would be empty or short in a split; it names which and why.
    """
    if occupied(folder) and not (folder / "manifest.json").exists():
        raise TableError(f"{folder} holds files that are no manifest; name another with --out")
    mode = _mode(settings)
    ratios = _fractions(settings.ratios or mode.ratios)
    frames, faces = read_frames(dataset), read_faces(dataset)
    samples = _samples(frames, faces, mode, settings)
    mode, samples = _with_included(mode, samples, settings.include)
    side = assign_groups(samples, ratios, settings.seed)
    samples["split"] = samples["group"].map(side)
    splits = _balanced(samples, mode, ratios, settings)
    info = _info(dataset, folder, mode, ratios, settings, splits)
    return write_manifest(folder, splits, info)


def assign_groups(samples: pd.DataFrame, ratios: Ratios, seed: int) -> dict[str, str]:
    """Group → split, so that every category is in every split and sizes come near `ratios`.

    First each split is given a group of each category, scarcest category first; then every
    further group, in random order, goes where its categories are most wanted.

    Args:
        samples: one row per crop, with columns `group` and `category`.
        ratios: fractions of train, val and test, summing to 1.
        seed: another seed, other groups in val and test.

    Raises:
        SplitError: a category has too few groups to be in all three splits.
    """
    sizes = pd.crosstab(samples["group"], samples["category"]).sort_index()
    rng = np.random.default_rng(seed)
    sizes = sizes.iloc[rng.permutation(len(sizes))]
    share = dict(zip(SPLITS, ratios, strict=True))
    wanted = {split: sizes.sum() * share[split] for split in SPLITS}
    side: dict[str, str] = {}

    def give(group: str, split: str) -> None:
        side[group] = split
        wanted[split] = wanted[split] - sizes.loc[group]

    for category in (sizes > 0).sum().sort_values(kind="stable").index:
        holders = sizes[category][sizes[category] > 0]
        for split in ("test", "val", "train"):
            if any(side.get(group) == split for group in holders.index):
                continue
            free = holders[[group not in side for group in holders.index]]
            if free.empty:
                raise SplitError(
                    f"{category}: its crops come from {len(holders)} group(s) of people who "
                    f"belong together ({_few(holders.index)}), too few to be in train, val and "
                    f"test without anybody on two sides. Extract more clips or stills of it."
                )
            # Not a giant where a small one will do: val and test should stay near their share.
            fitting = free[free <= 1.5 * max(share[split] * holders.sum(), free.min())]
            give(str(fitting.index[0]), split)
    total = sizes.sum()
    for group in sizes.index:
        if group not in side:
            held = sizes.loc[group] > 0
            give(group, max(SPLITS, key=lambda s: (wanted[s] / total)[held].sum()))
    return side


def _mode(settings: SplitSettings) -> Mode:
    if settings.mode not in modes():
        raise SettingsError(f"unknown mode {settings.mode!r}; choose from {', '.join(modes())}")
    if settings.recipe != "grouped":
        raise SettingsError(f"unknown recipe {settings.recipe!r}; there is: grouped")
    return modes()[settings.mode]


def _fractions(ratios: Ratios) -> Ratios:
    if len(ratios) != 3 or min(ratios) <= 0:
        raise SettingsError(f"ratios {ratios} must be three numbers above 0: train, val, test")
    train, val, test = (r / sum(ratios) for r in ratios)
    return train, val, test


def _samples(
    frames: pd.DataFrame, faces: pd.DataFrame, mode: Mode, settings: SplitSettings
) -> pd.DataFrame:
    """One row per usable crop of the wanted categories, with its group, sorted by id."""
    categories = (*mode.categories, *settings.include)
    frames = frames.assign(group=groups(frames))
    columns = ["face_id", "frame_id", "path"]
    samples = faces[columns].merge(frames, on="frame_id", validate="many_to_one")
    samples = samples[samples["category"].isin(categories) & (samples["status"] == "ok")]
    if missing := [c for c in categories if c not in set(samples["category"])]:
        raise SplitError(
            f"mode {mode.name}: the dataset holds no crop of {', '.join(missing)}. Extract them "
            f"first (ffpp-extract for FF++ videos, ffpp-stills for CelebA and CelebA-HQ), or "
            f"choose another --mode: {', '.join(modes())}."
        )
    return samples.sort_values("face_id", ignore_index=True)


def _with_included(
    mode: Mode, samples: pd.DataFrame, include: Sequence[str]
) -> tuple[Mode, pd.DataFrame]:
    """The mode with further categories, and the samples with their class.

    In binary mode a category joins the class of its label; elsewhere it is its own class.
    """
    mixed = samples.groupby("category")["label"].nunique().loc[lambda n: n > 1].index
    if len(mixed):
        raise SplitError(f"{', '.join(mixed)}: recorded both as real and as fake; extract it anew")
    labels = samples.groupby("category")["label"].first()
    classes = dict(mode.classes)
    for category in include:
        name = labels[category] if mode.name == "binary" else category
        classes[name] = tuple(dict.fromkeys((*classes.get(name, ()), category)))
    classes = {name: classes[name] for name in sorted(classes)}
    class_of = {category: name for name, parts in classes.items() for category in parts}
    samples["class"] = samples["category"].map(class_of)
    samples["class_index"] = samples["class"].map({name: i for i, name in enumerate(classes)})
    return Mode(mode.name, classes, mode.ratios), samples


def _balanced(
    samples: pd.DataFrame, mode: Mode, ratios: Ratios, settings: SplitSettings
) -> dict[str, pd.DataFrame]:
    """As many samples of every class in each split as the scarcest class has, or as asked."""
    rng = np.random.default_rng(settings.seed)
    samples = samples.assign(draw=rng.random(len(samples)))
    there = pd.crosstab(samples["class"], samples["split"]).reindex(columns=list(SPLITS))
    if settings.per_class is None:
        counts = {split: int(there[split].min()) for split in SPLITS}
    else:
        counts = _apportioned(settings.per_class, ratios)
        short = [
            f"{name} has {there.loc[name, s]} in {s}, {counts[s]} asked"
            for name in there.index
            for s in SPLITS
            if there.loc[name, s] < counts[s]
        ]
        if short:
            raise SplitError(
                f"--per-class {settings.per_class} cannot be filled: {'; '.join(short)}. "
                f"Ask for fewer, or leave --per-class out to take all that balance."
            )
    splits = {}
    for split in SPLITS:
        rows = samples[samples["split"] == split]
        drawn = [_drawn(rows[rows["class"] == name], counts[split]) for name in mode.classes]
        splits[split] = pd.concat(drawn).sort_values("face_id", ignore_index=True)
    return splits


def _drawn(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` rows, as evenly as can be from the categories, and in each from the clips."""
    parts = []
    for category, quota in _quotas(rows["category"].value_counts().to_dict(), count).items():
        part = rows[rows["category"] == category].sort_values("draw")
        turn = part.groupby(["compression", "clip"]).cumcount()
        order = np.lexsort((part["draw"], turn))  # every clip's first, then every second, …
        parts.append(part.iloc[order[:quota]])
    return pd.concat(parts)


def _quotas(there: Mapping[str, int], count: int) -> dict[str, int]:
    """Share `count` over categories as equally as what is there allows.

    >>> _quotas({"CelebA": 600, "CelebA-HQ": 40, "Youtube": 150}, 500)
    {'CelebA-HQ': 40, 'Youtube': 150, 'CelebA': 310}
    """
    quotas = {}
    left = count
    by_size = sorted(there, key=lambda name: (there[name], name))
    for position, name in enumerate(by_size):
        quotas[name] = min(there[name], left // (len(by_size) - position))
        left -= quotas[name]
    return quotas


def _apportioned(total: int, ratios: Ratios) -> dict[str, int]:
    """`total` split by `ratios`, val and test rounded, at least one each.

    >>> _apportioned(16750, (0.84, 0.04, 0.12))
    {'train': 14070, 'val': 670, 'test': 2010}
    """
    if total < 3:
        raise SettingsError(f"per_class ({total}) must be at least 3, one for each split")
    val, test = (max(round(total * r), 1) for r in ratios[1:])
    if val + test >= total:
        raise SettingsError(f"per_class ({total}) leaves nothing to train on at these ratios")
    return {"train": total - val - test, "val": val, "test": test}


def _info(
    dataset: Path,
    folder: Path,
    mode: Mode,
    ratios: Ratios,
    settings: SplitSettings,
    splits: dict[str, pd.DataFrame],
) -> dict[str, Any]:
    every = pd.concat(splits.values())
    crossing = every.groupby("group")["split"].nunique().gt(1).sum()
    return {
        "mode": mode.name,
        "recipe": settings.recipe,
        "seed": settings.seed,
        "settings": {**asdict(settings), "ratios": list(ratios), "include": list(settings.include)},
        "root": os.path.relpath(dataset.resolve(), folder.resolve()),
        "classes": every.groupby("class")["label"].first().reindex(list(mode.classes)).to_dict(),
        "counts": {s: _counted(rows["class"]) for s, rows in splits.items()},
        "categories": {s: _counted(rows["category"]) for s, rows in splits.items()},
        "groups": {s: _groups_behind(rows) for s, rows in splits.items()},
        "tables": {t: sha256(dataset / t) for t in ("frames.parquet", "faces.parquet")},
        "audit": {"groups_on_several_sides": int(crossing)},
    }


def _groups_behind(rows: pd.DataFrame) -> dict[str, int]:
    """How many groups of people the clips come from, and how many the stills."""
    still = rows["compression"] == STILL
    return {
        "clips": int(rows.loc[~still, "group"].nunique()),
        "stills": int(rows.loc[still, "group"].nunique()),
    }


def _counted(values: pd.Series) -> dict[str, int]:
    return {str(k): int(v) for k, v in values.value_counts().sort_index().items()}


def _few(names: pd.Index) -> str:
    shown = ", ".join(sorted(str(n) for n in names)[:3])
    return shown + (", …" if len(names) > 3 else "")
