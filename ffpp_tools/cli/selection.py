"""ffpp-clean, ffpp-identify, ffpp-split and ffpp-audit: parse, call one function, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffpp_tools.cli import panels, printing
from ffpp_tools.cli.completion import CATEGORIES, COMPRESSIONS, METHODS, MODES, RECIPES
from ffpp_tools.cli.options import CPUS, Processes, ShowFaces, option
from ffpp_tools.console import log, print_json, print_line
from ffpp_tools.errors import FfppError


def clean(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    workers: Processes = CPUS,
) -> None:
    """Find unreadable files, duplicates and near-duplicates of stills and clips; delete nothing.

    Manifests made afterwards leave out duplicates within a category and keep other duplicates in
    one split.

    Example: ffpp-clean dataset
    """
    from ffpp_tools.api import clean as find_duplicates

    found = find_duplicates(dataset, workers=workers)
    log.keep(dataset)
    printing.duplicates(found, dataset)
    kinds = found["kind"].value_counts().to_dict()
    more = {"not_listed": found.attrs.get("not_listed", 0)}
    print_json({"folder": dataset, "found": kinds, **more, "table": dataset / "duplicates.parquet"})


def identify(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    distance: Annotated[
        float | None,
        option(
            panels.DATA,
            about="Maximum embedding distance for a same-person match.",
            default="0.52",
            metavar="X",
        ),
    ] = None,
    workers: Processes = CPUS,
) -> None:
    """Find people who appear in several clips or stills, by face embeddings.

    Manifests made afterwards keep each person in one split. Some matches are missed and some are
    false; both rates are measured on people named in an identity file.

    Example: ffpp-identify dataset --workers 8
    """
    import dataclasses

    from ffpp_tools.api import identify as match_identities
    from ffpp_tools.grouping.identity import MAX_DISTANCE

    chosen = MAX_DISTANCE if distance is None else distance
    found = match_identities(dataset, distance=chosen, workers=workers)
    log.keep(dataset)
    printing.identities(found, dataset)
    matched = int((found.table["partner"] != "").sum())
    counts = {"looked_at": len(found.table), "look_like_another": matched}
    rates = {"matching": dataclasses.asdict(found.matching)}
    print_json({"folder": dataset, **counts, **rates, "table": dataset / "identities.parquet"})


def split(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    mode: Annotated[
        str | None,
        option(
            panels.SPLITS,
            about="Label space: multiclass (7), videos (5) or binary.",
            default="multiclass",
            complete=MODES,
            metavar="NAME",
        ),
    ] = None,
    recipe: Annotated[
        str,
        option(
            panels.SPLITS,
            about="How samples are selected and split: grouped, holdout, videos-binary, "
            "paper, official, official-clean, 140k, dcgan, or a TOML file of your own.",
            complete=RECIPES,
            metavar="NAME",
        ),
    ] = "grouped",
    out: Annotated[
        Path | None,
        option(
            panels.OUTPUT,
            about="Manifest folder.",
            default="in data_manifests, named after mode and recipe",
        ),
    ] = None,
    ratios: Annotated[
        str | None,
        option(
            panels.SPLITS,
            about="Ratios of train/val/test.",
            default="80/5/15 for binary, else 84/4/12",
            metavar="A/B/C",
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        option(
            panels.SPLITS,
            about="Number of samples per class, over all splits.",
            default="set by the recipe",
            metavar="N",
            min=3,
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        option(
            panels.DATA,
            about="Further category to include, such as FaceShifter. Can be repeated.",
            complete=CATEGORIES,
            metavar="NAME",
        ),
    ] = None,
    compression: Annotated[
        list[str] | None,
        option(
            panels.DATA,
            about="Compression of clips to use, such as c40. Can be repeated.",
            default="every compression that all classes have",
            complete=COMPRESSIONS,
            metavar="NAME",
        ),
    ] = None,
    leave_out: Annotated[
        str | None,
        option(
            panels.SPLITS,
            about="Method to hold out: test on it and train on the other methods (binary only).",
            complete=METHODS,
            metavar="METHOD",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        option(
            panels.SPLITS,
            about="Number of cross-validation folds, each a manifest that tests on other people.",
            metavar="N",
            min=3,
        ),
    ] = None,
    shrink: Annotated[
        bool,
        option(
            panels.SPLITS,
            "--shrink",
            about="Reduce all classes to a size that the data can fill, instead of failing.",
        ),
    ] = False,
    seed: Annotated[
        int,
        option(
            panels.SPLITS,
            about="Random seed for choosing the people in val and test.",
            metavar="N",
            min=0,
        ),
    ] = 0,
    faces: ShowFaces = True,
) -> None:
    """Make a balanced manifest with no identity known to be in two splits, and audit it.

    Example: ffpp-split dataset --mode videos --out data_manifests/videos
    """
    from ffpp_tools.splits.build import SplitSettings, default_name, make_manifests
    from ffpp_tools.splits.overview import draw_overview

    settings = SplitSettings(
        mode,
        recipe,
        _parse_ratios(ratios),
        per_class,
        tuple(include or ()),
        leave_out,
        folds,
        shrink,
        seed,
        tuple(compression or ()),
    )
    folder = out or Path("data_manifests") / default_name(settings)
    made = make_manifests(dataset, folder, settings)
    log.keep(folder)
    for manifest in made:
        printing.manifest(manifest)
        print_line(f"pictures: {draw_overview(manifest, faces=faces)}")
    print_json({"manifests": [{"folder": manifest.folder, **manifest.info} for manifest in made]})


def audit(
    manifest: Annotated[Path, typer.Argument(help="Manifest folder.")],
    why: Annotated[
        tuple[str, str] | None,
        option(
            panels.EVALUATION,
            about="Print how two samples, clips or stills are linked in the group graph, and exit.",
            metavar="A B",
        ),
    ] = None,
    probe: Annotated[
        bool,
        option(
            panels.EVALUATION,
            about="Also measure how well simple image properties predict the class; reads the "
            "crops.",
        ),
    ] = True,
    workers: Processes = CPUS,
) -> None:
    """Check a manifest for leaks, missing crops and shortcuts; exit status 1 on the first two.

    Includes duplicates and identities that were found after the manifest was made.

    Example: ffpp-audit data_manifests/videos

    Example: ffpp-audit data_manifests/videos --why Deepfakes/183_253 Youtube/253
    """
    import dataclasses

    import pandas as pd

    from ffpp_tools.grouping.dataset import Dataset
    from ffpp_tools.splits import audit as audits
    from ffpp_tools.splits import shortcuts as probes
    from ffpp_tools.splits.manifest import Manifest
    from ffpp_tools.store.missing_crops import find_missing_crops
    from ffpp_tools.store.schema import SPLITS
    from ffpp_tools.store.tables import read_faces

    read = Manifest.read(manifest)
    tables = Dataset.read(read.root)
    samples = pd.concat([read.samples(s).assign(split=s) for s in SPLITS])
    if why:
        path = printing.identity_path(tables, audits.edges_within(samples, tables.edges), *why)
        print_json({"folder": manifest, "ties": path})
        return
    found = audits.audited(samples, tables)
    info = audits.with_audit(read.info, found)
    log.keep(manifest)
    printing.manifest(dataclasses.replace(read, info=info))
    lost = find_missing_crops(read.root, samples["path"])
    printing.audit(found, lost)
    if changed := tables.changed_since(read.info["tables"]):
        print_line(f"  changed since the manifest was made: {', '.join(changed)}", "yellow")
    answers = (
        probes.measure_shortcuts(read.root, read_faces(read.root), samples, workers)
        if probe
        else []
    )
    if probe:
        probes.write(read, answers)
        printing.shortcut_table(answers)
    gone = {"missing": len(lost.missing), "empty": len(lost.empty)}
    about = {"folder": manifest, "summary": info["summary"], **info["audit"], "lost_crops": gone}
    print_json(about | {"cheap_properties": [dataclasses.asdict(a) for a in answers]})
    if found.leaks:
        raise FfppError(f"{manifest}: identity groups in several splits: {found.groups}")
    if lost:
        raise FfppError(f"{manifest}: {lost}")


def _parse_ratios(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        train, val, test = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not of the form 80/5/15", param_hint="--ratios"
        ) from error
    return train, val, test
