"""The ffpp-* commands: parse, call one function, print."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ffpp_tools import show
from ffpp_tools.console import console, run_script, say
from ffpp_tools.errors import FfppError, SettingsError

if TYPE_CHECKING:
    from ffpp_tools.workers import Workers

CPUS = os.cpu_count() or 1

Processes = Annotated[int, typer.Option("--workers", min=1, help="Processes side by side.")]
Out = Annotated[Path, typer.Option(help="Dataset folder; several sources may share one.")]
Margin = Annotated[float, typer.Option(help="Side of the crop, in longer sides of the face box.")]
Shape = Annotated[str, typer.Option(help="square, or box (with --margin 1.0 the bare face box).")]
MinFace = Annotated[int, typer.Option(min=0, help="Leave out faces below so many pixels.")]
Align = Annotated[
    bool, typer.Option("--align", help="Turn and scale to fixed eyes, 256 pixels square.")
]
Size = Annotated[
    str, typer.Option(help="Scale every crop, such as to 480x320.", show_default="as it is")
]
Format = Annotated[str, typer.Option("--format", help="png, or jpg.")]
DetectorName = Annotated[str, typer.Option(help="hog, or cnn (finds turned faces; wants a GPU).")]
Search = Annotated[
    str, typer.Option(help="fast, or full: exactly the boxes of face_recognition, 20 times slower.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many of each category.")]
Backend = Annotated[
    str, typer.Option(help="local: processes of this machine; dask: a cluster's workers.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of the Dask scheduler, such as tcp://10.0.0.1:8786.")
]
Retry = Annotated[
    str | None, typer.Option(help="failed: try again what could not be read the last time.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Delete what this command has made before.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Only check the dataset folder's files and tables.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no tables.")]


def _command(function: Callable[..., None], interrupted: str) -> Callable[[], None]:
    """A console script of one command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    return lambda: run_script(app, (FfppError,), interrupted)


def extract(
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of FF++, Celeb-DF or DFDC.",
            show_default="$FFPP_DATA, else ./data/FaceForensics++",
        ),
    ] = None,
    out: Out = Path("dataset"),
    every: Annotated[
        int | None,
        typer.Option(min=1, help="Take every Nth frame from frame 0.", show_default="25"),
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
    faces: Annotated[
        str, typer.Option(help="largest (or the forged one, by its mask), tracked, or all.")
    ] = "largest",
    margin: Margin = 1.3,
    shape: Shape = "square",
    min_face: MinFace = 0,
    align: Align = False,
    size: Size = "",
    format_: Format = "png",
    smooth: Annotated[
        int, typer.Option(min=1, help="Mean of the boxes of so many frames; an odd number.")
    ] = 1,
    detector: DetectorName = "hog",
    search: Search = "fast",
    twins: Annotated[
        bool, typer.Option(help="Compare fakes with their originals and reuse their boxes.")
    ] = True,
    keep_unchanged: Annotated[
        bool, typer.Option("--keep-unchanged", help="Keep crops of fakes that changed nothing.")
    ] = False,
    workers: Processes = CPUS,
    backend: Backend = "local",
    scheduler: Scheduler = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds a decoder may take to the next wanted frame.")
    ] = 120.0,
    retry: Retry = None,
    overwrite: Overwrite = False,
    verify: Verify = False,
    quiet: Quiet = False,
) -> None:
    """Crop the faces of FaceForensics++ videos, or of Celeb-DF's or DFDC's.

    The same command goes on where an earlier run stopped.

    Example: ffpp-extract data/FaceForensics++ --compression c23 --every 25 --workers 8
    """
    if verify:
        _verify(out)
        return
    from ffpp_tools.clip import NATIVE
    from ffpp_tools.crop import CropSettings
    from ffpp_tools.detect import FindSettings
    from ffpp_tools.layout import default_ffpp_root, families, find_clips
    from ffpp_tools.lists import OF_FFPP, keep_lists
    from ffpp_tools.plan import FramePlan
    from ffpp_tools.progress import shown
    from ffpp_tools.run import extract_dataset
    from ffpp_tools.settings import ClipSettings

    if every is None and frames_per_clip is None:
        every = 25
    settings = ClipSettings(
        FramePlan(every, frames_per_clip),
        CropSettings(margin, shape, min_face, align, size, format_),
        FindSettings(detector, search),
        faces,
        twins,
        keep_unchanged,
        smooth,
    )
    root = data or default_ffpp_root()
    root = root.absolute() if scheduler else root  # a cluster's workers run in other folders
    clips = find_clips(root, category or (), compression or (), limit)
    team = _team(workers, backend, scheduler, timeout)
    retry_failed = _retry(retry)
    progress = None if quiet else shown("clips")
    found = families(root, clips)
    if clips[0].compression != NATIVE:
        keep_lists(root, out, OF_FFPP)
    summary = extract_dataset(found, out, settings, team, retry_failed, overwrite, progress)
    show.extraction(summary, quiet)


def stills(
    data: Annotated[
        Path, typer.Argument(help="CelebA, CelebA-HQ, the 140k set or any folder of images.")
    ],
    category: Annotated[
        str | None,
        typer.Option(help="What they are recorded as, such as CelebA; the 140k set has its own."),
    ] = None,
    out: Out = Path("dataset"),
    label: Annotated[
        str | None, typer.Option(help="real or fake; needed only for a category of your own.")
    ] = None,
    limit: Limit = None,
    crop: Annotated[
        str, typer.Option(help="face, by the videos' rules; none: the photograph as it is.")
    ] = "face",
    margin: Margin = 1.3,
    shape: Shape = "square",
    min_face: MinFace = 0,
    align: Align = False,
    size: Size = "",
    format_: Format = "png",
    harmonise: Annotated[
        bool,
        typer.Option(
            "--harmonise", help="Make faces as large, and compressed as hard, as the clips'."
        ),
    ] = False,
    detector: DetectorName = "hog",
    search: Search = "fast",
    workers: Processes = CPUS,
    backend: Backend = "local",
    scheduler: Scheduler = None,
    retry: Retry = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Crop the faces of photographs, by the same rules as the videos'.

    The same command goes on where an earlier run stopped.

    Example: ffpp-stills data/CelebA --category CelebA
    """
    from ffpp_tools.crop import CropSettings
    from ffpp_tools.detect import FindSettings
    from ffpp_tools.harmonise import like_clips, other_stills
    from ffpp_tools.lists import OF_CELEBA, keep_lists
    from ffpp_tools.progress import shown
    from ffpp_tools.recorded import recorded_settings
    from ffpp_tools.run import extract_still_dataset
    from ffpp_tools.settings import StillSettings
    from ffpp_tools.stills import find_stills

    if crop not in ("face", "none"):
        raise SettingsError(f"crop ({crop!r}) must be face or none")

    keep_lists(data, out, OF_CELEBA)
    # A cluster's workers run in other folders.
    found = find_stills(data.absolute() if scheduler else data, category, label, limit)
    anew = overwrite and not other_stills(out, {still.category for still in found})
    like = like_clips(out, {} if anew else recorded_settings(out)) if harmonise else None
    settings = StillSettings(
        CropSettings(margin, shape, min_face, align, size, format_),
        FindSettings(detector, search),
        crop == "none",
        like,
    )
    team = _team(workers, backend, scheduler)
    retry_failed = _retry(retry)
    progress = None if quiet else shown("stills")
    summary = extract_still_dataset(found, out, settings, team, retry_failed, overwrite, progress)
    show.extraction(summary, quiet)


def clean(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    workers: Processes = CPUS,
) -> None:
    """Find unreadable, identical and near-identical stills and clips; nothing is deleted.

    Manifests that are made afterwards leave out what is there twice in one category, and keep the
    rest on one side.

    Example: ffpp-clean dataset
    """
    from ffpp_tools.dedupe import clean as find

    show.duplicates(find(dataset, workers), dataset)


def identify(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")] = Path("dataset"),
    distance: Annotated[
        float | None,
        typer.Option(help="Up to which two faces are taken for one person's.", show_default="0.36"),
    ] = None,
    workers: Processes = CPUS,
) -> None:
    """Find people who are in several clips or stills, by face embeddings.

    Manifests that are made afterwards keep them on one side.

    Example: ffpp-identify dataset --workers 8
    """
    from ffpp_tools.identity import MAX_DISTANCE
    from ffpp_tools.identity import identify as find

    chosen = MAX_DISTANCE if distance is None else distance
    show.identities(find(dataset, workers, chosen), dataset)


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
    pictures: Annotated[
        bool, typer.Option(help="Draw overview.html, which shows some of the faces.")
    ] = True,
) -> None:
    """Make a balanced manifest that keeps people on one side, and audit it.

    Example: ffpp-split dataset --mode videos --out data_manifests/videos
    """
    from ffpp_tools.overview import draw_overview
    from ffpp_tools.split import SplitSettings, default_name, make_manifests

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
    )
    folder = out or Path("data_manifests") / default_name(settings)
    for manifest in make_manifests(dataset, folder, settings):
        show.manifest(manifest)
        if pictures:
            say(f"pictures: {draw_overview(manifest)}")


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
    """Look for people on several sides of a manifest, and for shortcuts; status 1 on a leak.

    Duplicates and identities that were found since the manifest was made count as well.

    Example: ffpp-audit data_manifests/videos

    Example: ffpp-audit data_manifests/videos --why Deepfakes/183_253 Youtube/253
    """
    import dataclasses

    import pandas as pd

    from ffpp_tools import audit as audits
    from ffpp_tools import probe as probes
    from ffpp_tools.dataset import Dataset
    from ffpp_tools.manifest import Manifest
    from ffpp_tools.rows import SPLITS

    read = Manifest.read(manifest)
    tables = Dataset.read(read.root)
    samples = pd.concat([read.samples(s).assign(split=s) for s in SPLITS])
    if why:
        show.why(tables, audits.ties_within(samples, tables.ties), *why)
        return
    found = audits.audited(samples, tables)
    show.manifest(dataclasses.replace(read, info=audits.with_audit(read.info, found)))
    show.audit(found)
    if changed := tables.changed_since(read.info["tables"]):
        say(f"  changed since the manifest was made: {', '.join(changed)}", "yellow")
    if probe:
        answers = probes.probe(read.root, tables.faces, samples, workers)
        probes.write(read, answers)
        show.probe(answers)
    if found.leaks:
        raise FfppError(f"{manifest}: {found.groups} groups of people are on several sides")


def demo(
    out: Annotated[Path, typer.Option(help="A new or empty folder.")] = Path("demo"),
    people: Annotated[int, typer.Option(min=6, help="How many people; even.")] = 20,
    seconds: Annotated[float, typer.Option(min=1, help="About how long a clip lasts.")] = 4.0,
    compression: Annotated[
        list[str] | None, typer.Option(help="raw, c23 or c40; may be repeated.", show_default="c23")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another world.")] = 0,
    workers: Processes = CPUS,
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


def _team(
    workers: int, backend: str, scheduler: str | None, timeout_s: float | None = None
) -> Workers:
    from ffpp_tools.extract import TIMEOUT_S
    from ffpp_tools.workers import Workers

    if backend not in ("local", "dask"):
        raise SettingsError(f"backend ({backend!r}) must be one of local, dask")
    if (backend == "dask") != (scheduler is not None):
        raise SettingsError("--backend dask and --scheduler ADDRESS belong together")
    return Workers(workers, scheduler, TIMEOUT_S if timeout_s is None else timeout_s)


def _retry(what: str | None) -> bool:
    if what not in (None, "failed"):
        raise SettingsError(f"retry ({what!r}) must be failed")
    return what == "failed"


def _verify(dataset: Path) -> None:
    """Say what is wrong with a dataset folder; exit status 1 if anything is."""
    from ffpp_tools.ledger import verify

    problems = 0
    for problem in verify(dataset):
        say(f"  {problem}", style="yellow")
        problems += 1
    if problems:
        raise FfppError(f"{dataset}: {problems} files or tables are not as they should be")
    say(f"{dataset}: every crop is as recorded, and nothing else is there")


extract_app = _command(extract, "the same command goes on where this stopped")
stills_app = _command(stills, "the same command goes on where this stopped")
clean_app = _command(clean, "the same command goes on where this stopped")
identify_app = _command(identify, "the same command goes on where this stopped")
audit_app = _command(audit, "run the same command again")
split_app = _command(split, "run the same command again")
demo_app = _command(demo, "delete the folder and run the same command again")
