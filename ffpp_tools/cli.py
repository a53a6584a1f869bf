"""The ffpp-* commands: parse, call one function, print."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ffpp_tools.console import console, progress, run_script, say
from ffpp_tools.errors import FfppError

if TYPE_CHECKING:
    from ffpp_tools.run import Summary

CPUS = os.cpu_count() or 1

Workers = Annotated[int, typer.Option(min=1, help="Processes that work side by side.")]
Out = Annotated[Path, typer.Option(help="Dataset folder; several sources may share one.")]
Margin = Annotated[float, typer.Option(help="Side of the crop, in longer sides of the face box.")]
Shape = Annotated[str, typer.Option(help="square, or box (with --margin 1.0 the bare face box).")]
MinFace = Annotated[int, typer.Option(min=0, help="Leave out faces below so many pixels.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many of each category.")]


def _command(function: Callable[..., None], interrupted: str) -> Callable[[], None]:
    """A console script of one command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    return lambda: run_script(app, (FfppError,), interrupted)


def extract(
    data: Annotated[
        Path | None,
        typer.Argument(help="FF++ folder. Default: $FFPP_DATA, else ./data/FaceForensics++."),
    ] = None,
    out: Out = Path("dataset"),
    every: Annotated[
        int | None, typer.Option(min=1, help="Take every Nth frame from frame 0 [default: 25].")
    ] = None,
    frames_per_clip: Annotated[
        int | None, typer.Option(min=1, help="Take so many frames, spread evenly, instead.")
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Only this category; may be repeated.")
    ] = None,
    compression: Annotated[
        list[str] | None, typer.Option(help="Only raw, c23 or c40; may be repeated.")
    ] = None,
    limit: Limit = None,
    margin: Margin = 1.3,
    shape: Shape = "square",
    min_face: MinFace = 0,
    workers: Workers = CPUS,
) -> None:
    """Crop the faces of FaceForensics++ videos.

    Example: ffpp-extract data/FaceForensics++ --compression c23 --every 25 --workers 8
    """
    from ffpp_tools.crop import CropSettings
    from ffpp_tools.extract import ClipSettings
    from ffpp_tools.layout import default_ffpp_root, find_clips
    from ffpp_tools.plan import FramePlan
    from ffpp_tools.run import extract_dataset

    if every is None and frames_per_clip is None:
        every = 25
    settings = ClipSettings(
        FramePlan(every, frames_per_clip), CropSettings(margin, shape, min_face)
    )
    clips = find_clips(data or default_ffpp_root(), category or (), compression or (), limit)
    _print_summary(extract_dataset(clips, out, settings, workers, progress("clips")))


def stills(
    data: Annotated[Path, typer.Argument(help="CelebA, CelebA-HQ or any folder of images.")],
    category: Annotated[str, typer.Option(help="What they are recorded as, such as CelebA.")],
    out: Out = Path("dataset"),
    label: Annotated[
        str | None, typer.Option(help="real or fake; needed only for a category of your own.")
    ] = None,
    limit: Limit = None,
    margin: Margin = 1.3,
    shape: Shape = "square",
    min_face: MinFace = 0,
    workers: Workers = CPUS,
) -> None:
    """Crop the faces of photographs, by the same rules as the videos'.

    Example: ffpp-stills data/CelebA --category CelebA
    """
    from ffpp_tools.crop import CropSettings
    from ffpp_tools.layout import find_stills
    from ffpp_tools.run import extract_still_dataset

    found = find_stills(data, category, label, limit)
    settings = CropSettings(margin, shape, min_face)
    _print_summary(extract_still_dataset(found, out, settings, workers, progress("stills")))


def split(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    mode: Annotated[
        str, typer.Option(help="Label space: multiclass (7), videos (5) or binary.")
    ] = "multiclass",
    recipe: Annotated[
        str, typer.Option(help="Rule of selection; grouped keeps people on one side.")
    ] = "grouped",
    out: Annotated[
        Path | None, typer.Option(help="Manifest folder [default: data_manifests/<mode>].")
    ] = None,
    ratios: Annotated[
        str | None,
        typer.Option(help="train/val/test [default: 80/5/15 for binary, else 84/4/12]."),
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=3, help="So many samples of each class in all.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="A further category, such as FaceShifter.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Another seed, other people in val and test.")
    ] = 0,
) -> None:
    """Make a balanced manifest that keeps pairs, actors and known people on one side.

    Example: ffpp-split dataset --mode videos --out data_manifests/videos
    """
    from ffpp_tools.split import SplitSettings, make_manifest

    settings = SplitSettings(
        mode, recipe, _parse_ratios(ratios), per_class, tuple(include or ()), seed
    )
    manifest = make_manifest(dataset, out or Path("data_manifests") / mode, settings)
    table = Table("class", "label", *manifest.info["counts"])
    for name, label in manifest.classes.items():
        counts = [str(split[name]) for split in manifest.info["counts"].values()]
        table.add_row(name, label, *counts)
    for kind in ("clips", "stills"):
        counts = [str(groups[kind]) for groups in manifest.info["groups"].values()]
        table.add_row(f"groups of people behind {kind}", "", *counts)
    console.print(table)
    say(f"manifest: {manifest.folder}")


def demo(
    out: Annotated[Path, typer.Option(help="A new or empty folder.")] = Path("demo"),
    people: Annotated[int, typer.Option(min=6, help="How many people; even.")] = 20,
    seconds: Annotated[float, typer.Option(min=1, help="About how long a clip lasts.")] = 4.0,
    compression: Annotated[
        list[str] | None, typer.Option(help="raw, c23 or c40; may be repeated [default: c23].")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another world.")] = 0,
    workers: Workers = CPUS,
) -> None:
    """Draw a small FF++-shaped world, with fakes, masks and stills. Needs no data.

    Example: ffpp-demo --out demo
    """
    from ffpp_tools.demo import draw_world

    with console.status(f"drawing {people} people and their fakes"):
        draw_world(out, people, seconds, compression or ["c23"], seed, workers)
    say(f"drawn: {out}/FaceForensics++, {out}/CelebA, {out}/CelebA-HQ")


def _parse_ratios(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        train, val, test = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not like 80/5/15", param_hint="--ratios") from error
    return train, val, test


def _print_summary(summary: Summary) -> None:
    """What the folder holds: planned frames by what became of them, and every failure."""
    counts = summary.counts
    table = Table("category", "compression", "planned", *counts.columns)
    for (category, compression), row in counts.iterrows():
        table.add_row(category, compression, str(row.sum()), *(str(n) for n in row))
    console.print(table)
    failed = summary.frames[summary.frames["error"] != ""]
    for error in failed["error"].unique()[:10]:
        say(f"  {error}", style="yellow")
    if len(failed) > 10:
        say(f"  … {len(failed)} rows with an error in all", style="yellow")
    if summary.faces.empty:
        raise FfppError(f"not a single crop was made; {summary.dataset}/frames.parquet says why")
    say(
        f"{len(summary.faces)} crops in {summary.dataset}/faces; every planned frame stands in "
        f"{summary.dataset}/frames.parquet"
    )


extract_app = _command(extract, "the same command goes on where this stopped")
stills_app = _command(stills, "the same command goes on where this stopped")
split_app = _command(split, "run the same command again")
demo_app = _command(demo, "delete the folder and run the same command again")
