"""Creation of balanced manifests from a mode, a recipe and identity groups."""

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
from ffpp_tools.splits import apply_recipe, audit, compressions, pairs, recipes
from ffpp_tools.splits.manifest import COMMAND, Manifest, write_manifest
from ffpp_tools.splits.recipes import Ratios, Recipe
from ffpp_tools.store.incomplete import delete, has_foreign_files, writing_folder
from ffpp_tools.store.schema import SPLITS, STILL
from ffpp_tools.store.tables import as_text, sorted_order

# Files of a manifest's folder, and files that are later derived from the manifest.
WRITTEN = (*(f"{split}.csv" for split in SPLITS), "manifest.json")
DERIVED = ("overview", "overview.html", "probe.json", "croissant.json", "dataset-card.md")
SAMPLE_COLUMNS = (  # of frames.parquet
    *("category", "label", "compression", "clip", "target_id", "source_id", "frame", "partition"),
)
# Maximum number of untested identity groups of stills that manifest.json lists; there may be many.
MAX_LISTED = 100


@dataclass(frozen=True)
class SplitSettings:
    """Settings of a manifest. The same settings and tables give the same bytes.

    The recipe determines settings that are None.
    """

    mode: str | None = None  # the label space: multiclass (default), videos or binary
    recipe: str = "grouped"  # the selection rule: name of a recipe, or a TOML file
    ratios: Ratios | None = None  # train, val, test
    per_class: int | None = None  # number of samples of each class over all splits
    include: tuple[str, ...] = ()  # additional categories, such as FaceShifter
    leave_out: str | None = None  # train on the other methods, test on this one
    folds: int | None = None  # number of manifests, each tested on different people
    shrink: bool = False  # scale all classes down together if there is not enough data
    seed: int = 0
    compression: tuple[str, ...] = ()  # restrict clips to these, such as c40; keeps all stills


def make_manifest(
    dataset: Path, folder: Path, settings: SplitSettings = SplitSettings()
) -> Manifest:
    """Write a manifest of the crops in `dataset` to `folder`.

    In every split, all classes have the same number of samples, drawn as evenly as possible from
    the class's categories and from their clips. Unless the recipe has another rule, an identity
    group (a pair of people with all their originals and fakes, or all photographs of a person) is
    in one split only.

    Raises:
        TableError: the dataset has no tables, or `folder` contains other files.
        SettingsError: unknown mode or recipe, or contradictory settings.
        SplitError: a class would have no or too few samples in a split; the message names the
            class and the reason.
    """
    if _recipe(settings).folds:
        raise SettingsError("folds create several manifests; use make_manifests")
    (manifest,) = make_manifests(dataset, folder, settings)
    return manifest


def make_manifests(dataset: Path, folder: Path, settings: SplitSettings) -> list[Manifest]:
    """As `make_manifest`; with folds, write one manifest per fold to `folder`/fold-1, fold-2, ….

    Each manifest tests on the people of one fold and validates on those of the next fold.
    """
    recipe = _recipe(settings)
    folders = [folder]
    if recipe.folds:
        folders = [folder / f"fold-{i + 1}" for i in range(recipe.folds)]
    for path in folders:
        if has_foreign_files(path, COMMAND) and not (path / "manifest.json").exists():
            raise TableError(
                f"{path} contains files that do not belong to a manifest; choose another folder "
                f"with --out"
            )
    tables = Dataset.read(dataset)
    mode, samples = _samples(tables, recipe)
    samples, unshared = compressions.drop_unshared_compressions(
        samples, recipe.compression, by_method=recipe.rule != "random"
    )
    ratios = (recipe.folds - 2, 1, 1) if recipe.folds else recipe.ratios or mode.ratios
    recipe = replace(recipe, ratios=_fractions(ratios))
    rng = np.random.default_rng(settings.seed)
    draw, samples["order"] = rng.random((2, len(samples)))
    samples["original"] = pairs.paired_originals(tables)[samples["face"].to_numpy()]
    # Members of a pair share a number, so that they are selected together.
    samples["draw"] = pairs.shared_by_pairs(draw, samples["original"].to_numpy())
    try:
        splits, excluded = apply_recipe.assign_splits(samples, tables, recipe, settings.seed)
        selections = [_selected(samples, split, mode, recipe) for split in splits]
    except SplitError as error:
        if not unshared:
            raise
        reasons = "; ".join(
            f"{compression} was excluded, because {', '.join(entry['lacking'])} has none of it"
            for compression, entry in unshared.items()
        )
        raise SplitError(f"{error} ({reasons})") from error
    if recipe.folds:
        tested = np.concatenate([rows["test"] for _, rows in selections])
        excluded["untested"] = _untested(samples, tested, recipe.leave_out)
    available = _counted(samples["class"])
    manifests = []
    with ExitStack() as stack:
        if recipe.folds:
            stack.enter_context(writing_folder(folder, COMMAND, [path.name for path in folders]))
            _clear_folds(folder, folders)
        for number, (path, selection) in enumerate(zip(folders, selections, strict=True), 1):
            unbalanced, split_rows = selection
            fold = (number, recipe.folds) if recipe.folds else None
            grouped = {split: samples.loc[rows] for split, rows in split_rows.items()}
            if number == len(folders):
                del samples  # saves memory
            if not fold:  # folds keep their common groups, so that their results can be combined
                grouped = _regrouped(grouped, tables)
            about = {
                "available": available,
                "unused": _unused(tables, mode),
                "unused_compressions": unshared,
                "unbalanced": unbalanced,
                **excluded,
            }
            info = _info(tables, path, mode, recipe, settings.seed, grouped, about, fold)
            crops = ((split, _with_crops(rows, tables.faces)) for split, rows in grouped.items())
            with writing_folder(path, COMMAND, WRITTEN):
                for stale in ("manifest.json", *DERIVED):  # of an earlier manifest in this folder
                    delete(path / stale)
                manifests.append(write_manifest(path, crops, info))
    return manifests


def _selected(
    samples: pd.DataFrame, split: pd.Series, mode: Mode, recipe: Recipe
) -> tuple[dict[str, int], dict[str, npt.NDArray[np.integer]]]:
    """Return `Selection.unbalanced`, and the index of the samples of each split."""
    selection = apply_recipe.select_samples(samples.assign(split=split), mode, recipe)
    rows = {name: table.index.to_numpy() for name, table in selection.splits.items()}
    return selection.unbalanced, rows


def _with_crops(samples: pd.DataFrame, faces: pd.DataFrame) -> pd.DataFrame:
    """Add the id, path and hash of each crop, and the name of its pair."""
    crops = faces[["face_id", "path", "sha256"]].iloc[samples["face"].to_numpy()]
    pair = pairs.pair_names(samples["original"].to_numpy(), faces).set_axis(samples.index)
    return pd.concat([samples.assign(pair=pair), crops.set_axis(samples.index)], axis=1)


def _untested(
    samples: pd.DataFrame, tested: npt.NDArray[np.integer], leave_out: str | None = None
) -> dict[str, Any]:
    """Return the identity groups that are in no fold's test split because of class balancing.

    All groups with clips are listed, but only the first `MAX_LISTED` groups of stills. With
    `leave_out`, a group that appears only in fakes of other methods has no samples for a test
    split.
    """
    untested = samples[~samples["group"].isin(samples.loc[tested, "group"].unique())]
    with_clips = sorted(untested.loc[untested["compression"] != STILL, "group"].unique())
    of_stills = sorted(set(untested["group"]) - set(with_clips))
    testable = untested
    if leave_out is not None:
        testable = untested.query("label != 'fake' or category == @leave_out")
    return {
        "groups": len(with_clips) + len(of_stills),
        "without_test_samples": len(set(untested["group"]) - set(testable["group"])),
        "with_clips": with_clips,
        "of_stills": of_stills[:MAX_LISTED],
    }


def _clear_folds(folder: Path, wanted: list[Path]) -> None:
    """Delete folds of an earlier partition, which could be mistaken for folds of this one."""
    for path in folder.glob("fold-*"):
        if path not in wanted and (path / "manifest.json").exists():
            shutil.rmtree(path)


def default_name(settings: SplitSettings) -> str:
    """Return the default name of a manifest's folder."""
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
    """Return the recipe, updated with the settings."""
    recipe = recipes.read(settings.recipe)
    overrides = {
        key: value
        for key in ("mode", "ratios", "per_class", "leave_out", "folds")
        if (value := getattr(settings, key)) is not None
    }
    if recipe.mode and settings.mode not in (None, recipe.mode):
        raise SettingsError(f"recipe {recipe.name} is for mode {recipe.mode}, not {settings.mode}")
    recipe = replace(
        recipe,
        **overrides,
        include=(*recipe.include, *settings.include),
        compression=tuple(sorted(set(settings.compression or recipe.compression))),
        shrink=recipe.shrink or settings.shrink,
    )
    recipes.check(recipe)
    return recipe


def _samples(tables: Dataset, recipe: Recipe) -> tuple[Mode, pd.DataFrame]:
    """Return one row per usable crop of the wanted categories, with group and class, sorted by id.

    `face` is the position of the crop in `tables.faces`, whose long columns are not copied.
    """
    mode = recipe.label_space()
    categories = (*mode.categories, *recipe.include)
    frames = tables.frames.reset_index(drop=True)
    frames = frames[frames["category"].isin(categories) & (frames["status"] == "ok")]
    frames = compressions.restricted(frames, recipe.compression)
    if repeated := tables.repeated():
        frames = frames[~nodes(frames).isin(repeated)]
    frame_row = np.full(len(tables.frames) + 1, -1)  # the last element is for frame -1
    frame_row[frames.index] = np.arange(len(frames))
    row_of_face = frame_row[tables.faces["frame"]]
    if unreadable := tables.unreadable():
        row_of_face[tables.faces["path"].isin(unreadable)] = -1
    face = sorted_order(tables.faces["face_id"])
    face = face[row_of_face[face] >= 0]
    samples = frames[list(SAMPLE_COLUMNS)].iloc[row_of_face[face]]
    text = as_text(samples[["category", "label", "compression", "clip"]])
    samples = samples.assign(**dict(text.items()), face=face).reset_index(drop=True)
    del frames, text
    available = set(samples["category"].unique())
    if missing := [c for c in categories if c not in available]:
        other_modes = _possible_modes(recipe, tables)
        alternative = f", or choose --mode {' or '.join(other_modes)}" if other_modes else ""
        if mode.name == "binary" and "videos" in other_modes:
            alternative += " or --recipe videos-binary"
        raise SplitError(
            f"mode {mode.name}: the dataset has no crops of {', '.join(missing)}. Extract them "
            f"first (ffpp-extract for videos, ffpp-stills for photographs){alternative}."
        )
    samples["group"] = identity_groups(samples, tables.edges)
    return _with_classes(mode, samples, recipe)


def _possible_modes(recipe: Recipe, tables: Dataset) -> list[str]:
    """Return the other modes that the dataset has crops for; none if a recipe has own classes."""
    if recipe.classes:
        return []
    available = set(tables.frames["category"][tables.frames["status"] == "ok"].unique())
    current = recipe.label_space().name
    return [
        name
        for name, mode in modes().items()
        if name != current and available >= {*mode.categories, *recipe.include}
    ]


def _with_classes(mode: Mode, samples: pd.DataFrame, recipe: Recipe) -> tuple[Mode, pd.DataFrame]:
    """Return the mode with the included categories, and the samples with their class.

    In binary mode, an included category joins the class of its label. In other modes, it is a
    class of its own.
    """
    mixed = samples.groupby("category")["label"].nunique().loc[lambda n: n > 1].index
    if len(mixed):
        raise SplitError(
            f"{', '.join(mixed)}: has samples labelled real and samples labelled fake; extract it "
            f"again"
        )
    labels = samples.groupby("category")["label"].first()
    classes = dict(mode.classes)
    for category in recipe.include:
        name = labels[category] if mode.name == "binary" else category
        classes[name] = tuple(dict.fromkeys((*classes.get(name, ()), category)))
    classes = {name: classes[name] for name in sorted(classes)}
    if {"fake", "real"} & set(classes) and len(classes) > 2:
        raise SplitError(
            "only manifests of two classes may name a class fake or real, because these are the "
            "labels: rename the class in the recipe, or the --category of its stills"
        )
    class_of = {category: name for name, parts in classes.items() for category in parts}
    samples["class"] = samples["category"].map(class_of)
    mixed = samples.groupby("class")["label"].nunique().loc[lambda n: n > 1].index
    if len(mixed):
        raise SplitError(
            f"class {', '.join(mixed)} would contain real and fake samples; divide it into two "
            f"classes"
        )
    samples["class_index"] = samples["class"].map({name: i for i, name in enumerate(classes)})
    return Mode(mode.name, classes, mode.ratios), samples


def _regrouped(splits: Mapping[str, pd.DataFrame], tables: Dataset) -> dict[str, pd.DataFrame]:
    """Return the samples with the identity groups that follow from these samples alone.

    A fake that was not selected does not connect its people.
    """
    samples = pd.concat({s: r[["category", "clip", "label"]] for s, r in splits.items()})
    edges = audit.edges_within(samples, tables.edges)
    group = identity_groups(samples, edges)
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
    """Return the content of manifest.json, without the hashes of the CSV files."""
    columns = ["category", "clip", "class", "label", "compression"]
    samples = pd.concat([rows[columns].assign(split=s) for s, rows in splits.items()])
    rules = {k: v for k, v in asdict(recipe).items() if k not in ("counts", "about", "name")}
    info = {
        "mode": mode.name,
        "recipe": recipe.name,
        "about": recipe.about,
        "seed": seed,
        "settings": {**rules, "mode": mode.name},
        "root": os.path.relpath(tables.folder.resolve(), folder.resolve()),
        "classes": samples.groupby("class")["label"].first().reindex(list(mode.classes)).to_dict(),
        "counts": {s: _counted(rows["class"]) for s, rows in splits.items()},
        "categories": {s: _counted(rows["category"]) for s, rows in splits.items()},
        "groups": {s: group_counts(rows) for s, rows in splits.items()},
        "pairs": pairs.pair_counts(splits),
        **about,
        "tables": {**tables.table_hashes, **official_lists.hashes(tables.folder)},
        **({"fold": fold} if fold else {}),
    }
    return audit.with_audit(info, audit.audited(samples, tables))


def _unused(tables: Dataset, mode: Mode) -> dict[str, int]:
    """Return category that is in no class → its number of frames with a face."""
    usable = tables.frames[tables.frames["status"] == "ok"]
    return _counted(usable.loc[~usable["category"].isin(mode.categories), "category"])


def group_counts(rows: pd.DataFrame) -> dict[str, int]:
    """Return the number of identity groups among the clips, and among the stills."""
    still = rows["compression"] == STILL
    return {
        "clips": int(rows.loc[~still, "group"].nunique()),
        "stills": int(rows.loc[still, "group"].nunique()),
    }


def _counted(values: pd.Series) -> dict[str, int]:
    return {str(k): int(v) for k, v in values.value_counts().sort_index().items() if v}
