"""ffpp-clean, ffpp-identify, ffpp-split and ffpp-audit: parse, call one function, print."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ffpp_tools.cli import printing
from ffpp_tools.cli.options import CPUS, Processes, ShowFaces
from ffpp_tools.console import log, print_json, print_line
from ffpp_tools.errors import FfppError


def clean(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    workers: Processes = CPUS,
) -> None:
    """Find unreadable, identical and near-identical stills and clips; nothing is deleted.

    Manifests that are made afterwards leave out what is there twice in one category, and keep the
    rest in one split.

    Example: ffpp-clean dataset
    """
    from ffpp_tools.grouping.dedupe import find_duplicates as find
    from ffpp_tools.store.locks import folder_lock

    with folder_lock(dataset, "ffpp-clean") if dataset.is_dir() else nullcontext():
        found = find(dataset, workers)
    log.keep(dataset)
    printing.duplicates(found, dataset)
    kinds = found["kind"].value_counts().to_dict()
    more = {"not_listed": found.attrs.get("not_listed", 0)}
    print_json({"folder": dataset, "found": kinds, **more, "table": dataset / "duplicates.parquet"})


def identify(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    distance: Annotated[
        float | None,
        typer.Option(help="Maximum distance of a same-person match.", show_default="0.52"),
    ] = None,
    workers: Processes = CPUS,
) -> None:
    """Find people who are in several clips or stills, by face embeddings.

    Manifests that are made afterwards keep them in one split. Some people are missed, and some
    different people matched: how many is measured on people whom an identity file names.

    Example: ffpp-identify dataset --workers 8
    """
    import dataclasses

    from ffpp_tools.grouping.identity import MAX_DISTANCE
    from ffpp_tools.grouping.identity import identify as find
    from ffpp_tools.store.locks import folder_lock

    chosen = MAX_DISTANCE if distance is None else distance
    with folder_lock(dataset, "ffpp-identify") if dataset.is_dir() else nullcontext():
        found = find(dataset, workers, chosen)
    log.keep(dataset)
    printing.identities(found, dataset)
    tied = int((found.table["partner"] != "").sum())
    counts = {"looked_at": len(found.table), "look_like_another": tied}
    rates = {"matching": dataclasses.asdict(found.matching)}
    print_json({"folder": dataset, **counts, **rates, "table": dataset / "identities.parquet"})


def split(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    mode: Annotated[
        str | None,
        typer.Option(
            help="Label space: multiclass (7), videos (5) or binary.", show_default="multiclass"
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="Rule of selection: grouped, holdout, paper, official, official-clean, 140k, "
            "dcgan, or a TOML file of your own."
        ),
    ] = "grouped",
    out: Annotated[
        Path | None,
        typer.Option(help="Manifest folder.", show_default="in data_manifests, by mode and recipe"),
    ] = None,
    ratios: Annotated[
        str | None,
        typer.Option(help="train/val/test.", show_default="80/5/15 for binary, else 84/4/12"),
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=3, help="So many samples of each class in all.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="A further category, such as FaceShifter.")
    ] = None,
    compression: Annotated[
        list[str] | None,
        typer.Option(
            help="Only clips of this compression, such as c40; may be repeated.",
            show_default="all that every class has",
        ),
    ] = None,
    leave_out: Annotated[
        str | None, typer.Option(help="Train on the other methods and test on this one (binary).")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=3, help="So many manifests, each testing on other people.")
    ] = None,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Scale all classes down to what the data can fill.")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Another seed, other people in val and test.")
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
        typer.Option(metavar="A B", help="Say what ties two samples, clips or stills, and stop."),
    ] = None,
    probe: Annotated[
        bool, typer.Option(help="Also measure what cheap properties give away; reads the crops.")
    ] = True,
    workers: Processes = CPUS,
) -> None:
    """Look for people in several splits, lost crops, and shortcuts; status 1 on the first two.

    Duplicates and identities that were found since the manifest was made count as well.

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
        ties = printing.identity_path(tables, audits.edges_within(samples, tables.edges), *why)
        print_json({"folder": manifest, "ties": ties})
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
        raise typer.BadParameter(f"{text!r} is not like 80/5/15", param_hint="--ratios") from error
    return train, val, test
