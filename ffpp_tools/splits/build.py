"""Mode, recipe and groups to balanced manifests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_manifests import Mode, modes
from ffpp_tools.errors import SettingsError, SplitError, TableError
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.groups import identity_groups, nodes
from ffpp_tools.sources import official_lists
from ffpp_tools.splits import apply_recipe, audit, compressions, recipes
from ffpp_tools.splits.manifest import COMMAND, Manifest, write_manifest
from ffpp_tools.splits.recipes import Ratios, Recipe
from ffpp_tools.store.incomplete import delete, has_foreign_files, writing_folder
from ffpp_tools.store.schema import SPLITS, STILL
from ffpp_tools.store.tables import as_text, sorted_order

# What a manifest's folder holds, and what is made from the manifest afterwards.
WRITTEN = (*(f"{split}.csv" for split in SPLITS), "manifest.json")
DERIVED = ("overview", "overview.html", "probe.json")
OF_SAMPLES = (  # of the ledger
    *("category", "label", "compression", "clip", "target_id", "source_id", "frame", "partition"),
)
NAMED = 100  # identity groups of stills that manifest.json names as untested; they may be many


@dataclass(frozen=True)
class SplitSettings:
    """What kind of manifest is wanted. The same settings and tables give the same bytes.

    What is None is left to the recipe.
    """

    mode: str | None = None  # the label space: multiclass (default), videos or binary
    recipe: str = "grouped"  # the rule of selection: a name, or a TOML file
    ratios: Ratios | None = None  # train, val, test
    per_class: int | None = None  # samples of each class over all splits
    include: tuple[str, ...] = ()  # further categories, such as FaceShifter
    leave_out: str | None = None  # train on the other methods, test on this one
    folds: int | None = None  # so many manifests, each with other people to test on
    shrink: bool = False  # scale all classes down together where they cannot be filled
    seed: int = 0
    compression: tuple[str, ...] = ()  # only clips of these, such as c40; stills have none


def make_manifest(
    dataset: Path, folder: Path, settings: SplitSettings = SplitSettings()
) -> Manifest:
    """Write a manifest of the crops in `dataset` to `folder`.

    In every split all classes have the same number of samples, drawn as evenly as can be from
    the class's categories and from their clips. Unless the recipe says otherwise, whole groups (a
    pair of people with all their originals and fakes; the photographs of one person) go to one
    side.

    Raises:
        TableError: the dataset has no tables, or `folder` holds something else.
        SettingsError: an unknown mode or recipe, or settings that contradict each other.
        SplitError: some class would be empty or short in a split; it names which and why.
    """
    if _recipe(settings).folds:
        raise SettingsError("folds make several manifests: use make_manifests")
    (manifest,) = make_manifests(dataset, folder, settings)
    return manifest


def make_manifests(dataset: Path, folder: Path, settings: SplitSettings) -> list[Manifest]:
    """As `make_manifest`; with folds, one manifest for each in `folder`/fold-1, fold-2, ….

    Every fold's people are tested on once; the next fold's are its validation split.
    """
    recipe = _recipe(settings)
    folders = [folder]
    if recipe.folds:
        folders = [folder / f"fold-{i + 1}" for i in range(recipe.folds)]
    for path in folders:
        if has_foreign_files(path, COMMAND) and not (path / "manifest.json").exists():
            raise TableError(f"{path} holds files that are no manifest; name another with --out")
    tables = Dataset.read(dataset)
    mode, samples = _samples(tables, recipe)
    samples, unshared = compressions.drop_unshared_compressions(
        samples, recipe.compression, by_method=recipe.rule != "random"
    )
    ratios = (recipe.folds - 2, 1, 1) if recipe.folds else recipe.ratios or mode.ratios
    recipe = replace(recipe, ratios=_fractions(ratios))
    rng = np.random.default_rng(settings.seed)
    samples["draw"], samples["order"] = rng.random((2, len(samples)))
    try:
        sides, left_out = apply_recipe.assign_splits(samples, tables, recipe, settings.seed)
        chosen = [_chosen(samples, side, mode, recipe) for side in sides]
    except SplitError as error:
        if not unshared:
            raise
        gone = "; ".join(
            f"{compression} was left out, since {', '.join(of['lacking'])} has none of it"
            for compression, of in unshared.items()
        )
        raise SplitError(f"{error} ({gone})") from error
    if recipe.folds:
        tested = np.concatenate([at["test"] for _, at in chosen])
        left_out["untested"] = _untested(samples, tested, recipe.leave_out)
    available = _counted(samples["class"])
    manifests = []
    with ExitStack() as together:
        if recipe.folds:
            together.enter_context(writing_folder(folder, COMMAND, [path.name for path in folders]))
            _clear_folds(folder, folders)
        for number, (path, (unbalanced, at)) in enumerate(zip(folders, chosen, strict=True), 1):
            fold = (number, recipe.folds) if recipe.folds else None
            grouped = {split: samples.loc[rows] for split, rows in at.items()}
            if number == len(folders):
                del samples  # they may be many
            if not fold:  # the folds of one partition keep its groups, to be taken together
                grouped = _regrouped(grouped, tables)
            about = {
                "available": available,
                "unused": _unused(tables, mode),
                "unused_compressions": unshared,
                "unbalanced": unbalanced,
                **left_out,
            }
            info = _info(tables, path, mode, recipe, settings.seed, grouped, about, fold)
            rows = ((split, _with_crops(own, tables.faces)) for split, own in grouped.items())
            with writing_folder(path, COMMAND, WRITTEN):
                for old in ("manifest.json", *DERIVED):  # of a manifest that was here before
                    delete(path / old)
                manifests.append(write_manifest(path, rows, info))
    return manifests


def _chosen(
    samples: pd.DataFrame, side: pd.Series, mode: Mode, recipe: Recipe
) -> tuple[dict[str, int], dict[str, npt.NDArray[np.integer]]]:
    """What `selection.chosen` says of compressions, and the index of the samples of each split."""
    found = apply_recipe.select_samples(samples.assign(split=side), mode, recipe)
    return found.unbalanced, {split: rows.index.to_numpy() for split, rows in found.splits.items()}


def _with_crops(samples: pd.DataFrame, faces: pd.DataFrame) -> pd.DataFrame:
    """The same with the id, path and hash of each crop."""
    own = faces[["face_id", "path", "sha256"]].iloc[samples["face"].to_numpy()]
    return pd.concat([samples, own.set_axis(samples.index)], axis=1)


def _untested(
    samples: pd.DataFrame, tested: npt.NDArray[np.integer], leave_out: str | None = None
) -> dict[str, Any]:
    """The identity groups that no fold's test split has a sample of, by equally large classes.

    Those with clips are all named, of those with stills alone the first `NAMED`. Some may have no
    samples for a test split: with a method left out, those that only fakes of other methods show.
    """
    left = samples[~samples["group"].isin(samples.loc[tested, "group"].unique())]
    of_clips = sorted(left.loc[left["compression"] != STILL, "group"].unique())
    of_stills = sorted(set(left["group"]) - set(of_clips))
    fits = left if leave_out is None else left.query("label != 'fake' or category == @leave_out")
    return {
        "groups": len(of_clips) + len(of_stills),
        "without_test_samples": len(set(left["group"]) - set(fits["group"])),
        "with_clips": of_clips,
        "of_stills": of_stills[:NAMED],
    }


def _clear_folds(folder: Path, wanted: list[Path]) -> None:
    """Delete folds of an earlier partition, which would be taken for this one's."""
    for path in folder.glob("fold-*"):
        if path not in wanted and (path / "manifest.json").exists():
            shutil.rmtree(path)


def default_name(settings: SplitSettings) -> str:
    """What a manifest's folder is called when nobody says."""
    recipe = _recipe(settings)
    name = recipe.label_space().name
    if recipe.name != "grouped":
        name = recipe.name if recipe.classes else f"{name}-{recipe.name}"
    if settings.include:
        name += f"-with-{'-'.join(settings.include)}"
    if recipe.compression:
        name += f"-{'-'.join(recipe.compression)}"
    if recipe.leave_out:
        name += f"-without-{recipe.leave_out}"
    return f"{name}-folds" if recipe.folds else name


def _recipe(settings: SplitSettings) -> Recipe:
    """The recipe, with what was asked for beside it."""
    recipe = recipes.read(settings.recipe)
    asked = {
        key: value
        for key in ("mode", "ratios", "per_class", "leave_out", "folds")
        if (value := getattr(settings, key)) is not None
    }
    fixed = recipe.mode
    if fixed and settings.mode not in (None, fixed):
        raise SettingsError(f"recipe {recipe.name} is for mode {fixed}, not {settings.mode}")
    recipe = replace(
        recipe,
        **asked,
        include=(*recipe.include, *settings.include),
        compression=tuple(sorted(set(settings.compression or recipe.compression))),
        shrink=recipe.shrink or settings.shrink,
    )
    recipes.check(recipe)
    return recipe


def _samples(tables: Dataset, recipe: Recipe) -> tuple[Mode, pd.DataFrame]:
    """One row per usable crop of the wanted categories, with group and class, sorted by id.

    `face` is where the crop stands in `tables.faces`, whose long columns are not carried along.
    """
    mode = recipe.label_space()
    categories = (*mode.categories, *recipe.include)
    frames = tables.frames.reset_index(drop=True)
    frames = frames[frames["category"].isin(categories) & (frames["status"] == "ok")]
    frames = compressions.restricted(frames, recipe.compression)
    if repeated := tables.repeated():
        frames = frames[~nodes(frames).isin(repeated)]
    at = np.full(len(tables.frames) + 1, -1)  # the last is for -1
    at[frames.index] = np.arange(len(frames))
    at = at[tables.faces["frame"]]
    if unreadable := tables.unreadable():
        at[tables.faces["path"].isin(unreadable)] = -1
    face = sorted_order(tables.faces["face_id"])
    face = face[at[face] >= 0]
    samples = frames[list(OF_SAMPLES)].iloc[at[face]]
    text = as_text(samples[["category", "label", "compression", "clip"]])
    samples = samples.assign(**dict(text.items()), face=face).reset_index(drop=True)
    del frames, text
    there = set(samples["category"].unique())
    if missing := [c for c in categories if c not in there]:
        others = _possible(recipe, tables)
        instead = f", or choose --mode {' or '.join(others)}" if others else ""
        raise SplitError(
            f"mode {mode.name}: the dataset holds no crop of {', '.join(missing)}. Extract them "
            f"first (ffpp-extract for videos, ffpp-stills for photographs){instead}."
        )
    samples["group"] = identity_groups(samples, tables.edges)
    return _with_classes(mode, samples, recipe)


def _possible(recipe: Recipe, tables: Dataset) -> list[str]:
    """The other modes that the dataset has crops for; none where a recipe has its own classes."""
    if recipe.classes:
        return []
    there = set(tables.frames["category"][tables.frames["status"] == "ok"].unique())
    own = recipe.label_space().name
    return [
        name
        for name, mode in modes().items()
        if name != own and there >= {*mode.categories, *recipe.include}
    ]


def _with_classes(mode: Mode, samples: pd.DataFrame, recipe: Recipe) -> tuple[Mode, pd.DataFrame]:
    """The mode with further categories, and the samples with their class.

    In binary mode a category joins the class of its label; elsewhere it is its own class.
    """
    mixed = samples.groupby("category")["label"].nunique().loc[lambda n: n > 1].index
    if len(mixed):
        raise SplitError(f"{', '.join(mixed)}: recorded both as real and as fake; extract it anew")
    labels = samples.groupby("category")["label"].first()
    classes = dict(mode.classes)
    for category in recipe.include:
        name = labels[category] if mode.name == "binary" else category
        classes[name] = tuple(dict.fromkeys((*classes.get(name, ()), category)))
    classes = {name: classes[name] for name in sorted(classes)}
    if {"fake", "real"} & set(classes) and len(classes) > 2:
        raise SplitError(
            "a class called fake or real beside others would be taken for the label: give its "
            "stills another --category, or the recipe another name for it"
        )
    class_of = {category: name for name, parts in classes.items() for category in parts}
    samples["class"] = samples["category"].map(class_of)
    mixed = samples.groupby("class")["label"].nunique().loc[lambda n: n > 1].index
    if len(mixed):
        raise SplitError(f"class {', '.join(mixed)} would hold real and fake: split it in two")
    samples["class_index"] = samples["class"].map({name: i for i, name in enumerate(classes)})
    return Mode(mode.name, classes, mode.ratios), samples


def _regrouped(splits: Mapping[str, pd.DataFrame], tables: Dataset) -> dict[str, pd.DataFrame]:
    """The same, with groups as they follow from these samples alone.

    A fake that is not among them ties nobody.
    """
    every = pd.concat({s: r[["category", "clip", "label"]] for s, r in splits.items()})
    tied = audit.edges_within(every, tables.edges)
    group = identity_groups(every, tied)
    return {split: rows.assign(group=group.loc[split]) for split, rows in splits.items()}


def _fractions(ratios: Ratios) -> Ratios:
    train, val, test = (r / sum(ratios) for r in ratios)
    return train, val, test


def _info(
    tables: Dataset,
    folder: Path,
    mode: Mode,
    recipe: Recipe,
    seed: int,
    splits: dict[str, pd.DataFrame],
    about: dict[str, Any],
    fold: tuple[int, int] | None,
) -> dict[str, Any]:
    columns = ["category", "clip", "class", "label", "compression"]
    every = pd.concat([rows[columns].assign(split=s) for s, rows in splits.items()])
    own = {k: v for k, v in asdict(recipe).items() if k not in ("counts", "about", "name")}
    info = {
        "mode": mode.name,
        "recipe": recipe.name,
        "about": recipe.about,
        "seed": seed,
        "settings": {**own, "mode": mode.name},
        "root": os.path.relpath(tables.folder.resolve(), folder.resolve()),
        "classes": every.groupby("class")["label"].first().reindex(list(mode.classes)).to_dict(),
        "counts": {s: _counted(rows["class"]) for s, rows in splits.items()},
        "categories": {s: _counted(rows["category"]) for s, rows in splits.items()},
        "groups": {s: group_counts(rows) for s, rows in splits.items()},
        **about,
        "tables": {**tables.table_hashes, **official_lists.hashes(tables.folder)},
        **({"fold": fold} if fold else {}),
    }
    return audit.with_audit(info, audit.audited(every, tables))


def _unused(tables: Dataset, mode: Mode) -> dict[str, int]:
    """Category that no class is made of → its frames with a face."""
    used = [category for parts in mode.classes.values() for category in parts]
    seen = tables.frames[tables.frames["status"] == "ok"]
    return _counted(seen.loc[~seen["category"].isin(used), "category"])


def group_counts(rows: pd.DataFrame) -> dict[str, int]:
    """How many groups of people the clips come from, and how many the stills."""
    still = rows["compression"] == STILL
    return {
        "clips": int(rows.loc[~still, "group"].nunique()),
        "stills": int(rows.loc[still, "group"].nunique()),
    }


def _counted(values: pd.Series) -> dict[str, int]:
    return {str(k): int(v) for k, v in values.value_counts().sort_index().items() if v}
