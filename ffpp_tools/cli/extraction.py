"""ffpp-extract and ffpp-stills: parse, call one function, print."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ffpp_tools.cli import panels, printing
from ffpp_tools.cli.completion import (
    CATEGORIES,
    COMPRESSIONS,
    VIDEO_CATEGORIES,
    values,
    values_of,
)
from ffpp_tools.cli.options import (
    CPUS,
    Align,
    AlignmentName,
    Backend,
    Data,
    DetectorModel,
    DetectorName,
    Format,
    Landmarks,
    Limit,
    Margin,
    MaxPixels,
    MinFace,
    Out,
    Overwrite,
    Processes,
    ProfileName,
    Retry,
    Scheduler,
    Search,
    Shape,
    Size,
    Verify,
    option,
)
from ffpp_tools.console import counted, log, print_json, print_line
from ffpp_tools.errors import FfppError, SettingsError, check_choice
from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS, MAX_PIXELS
from ffpp_tools.script import option_names

if TYPE_CHECKING:
    from ffpp_tools.cli.profiles import Profile
    from ffpp_tools.extraction.pipeline import Summary
    from ffpp_tools.extraction.settings import ClipSettings, Faces
    from ffpp_tools.extraction.workers import Workers
    from ffpp_tools.faces.crop import CropSettings
    from ffpp_tools.faces.detect import FindSettings
    from ffpp_tools.video.decode_limits import Limits

PLAN = {"every", "frames-per-clip"}  # options that exclude each other


def extract(
    context: typer.Context,
    data: Data = None,
    out: Out = Path("dataset"),
    boxes: Annotated[
        Path | None,
        option(
            panels.EXTRACT,
            about="Table of boxes (ffpp-export --format boxes): make the crops that it describes, "
            "with its settings and without a detector.",
            metavar="FILE",
        ),
    ] = None,
    every: Annotated[
        int | None,
        option(
            panels.EXTRACT,
            about="Take every Nth frame of a clip, from frame 0.",
            default="25",
            metavar="N",
            min=1,
        ),
    ] = None,
    frames_per_clip: Annotated[
        int | None,
        option(
            panels.EXTRACT,
            about="Take N frames of each clip, evenly spaced, instead of --every.",
            metavar="N",
            min=1,
        ),
    ] = None,
    category: Annotated[
        list[str] | None,
        option(
            panels.EXTRACT,
            about="Category of clips to extract, such as Deepfakes. Can be repeated.",
            default="all",
            complete=VIDEO_CATEGORIES,
            metavar="NAME",
        ),
    ] = None,
    compression: Annotated[
        list[str] | None,
        option(
            panels.EXTRACT,
            about="Compression of clips to extract: raw, c23 or c40. Can be repeated.",
            default="all",
            complete=COMPRESSIONS,
            metavar="NAME",
        ),
    ] = None,
    limit: Limit = None,
    faces: Annotated[
        str,
        option(
            panels.FACES,
            about="Faces to crop in each frame: largest (in a fake with a mask, the manipulated "
            "face), tracked, or all.",
            complete=values_of("ffpp_tools.extraction.settings:Faces"),
            metavar="WHICH",
        ),
    ] = "largest",
    profile: ProfileName = None,
    margin: Margin = 1.3,
    shape: Shape = "square",
    min_face: MinFace = 0,
    align: Align = False,
    alignment: AlignmentName = "eyes",
    size: Size = "",
    format_: Format = "png",
    landmarks: Landmarks = False,
    smooth: Annotated[
        int,
        option(
            panels.FACES,
            about="Average the face box over N frames, N odd. 1 does not smooth.",
            metavar="N",
            min=1,
        ),
    ] = 1,
    detector: DetectorName = "hog",
    detector_model: DetectorModel = None,
    search: Search = "fast",
    twins: Annotated[
        bool,
        option(
            panels.FACES,
            about="Compare each fake with its original and reuse the original's face boxes.",
        ),
    ] = True,
    keep_unchanged: Annotated[
        bool,
        option(
            panels.FACES,
            "--keep-unchanged/--no-keep-unchanged",
            about="Keep crops of fakes that show no manipulation; by default they are left out.",
        ),
    ] = False,
    workers: Processes = CPUS,
    backend: Backend = "local",
    scheduler: Scheduler = None,
    timeout: Annotated[
        float,
        option(
            panels.MACHINE,
            about="Maximum time to decode up to the next wanted frame, in seconds.",
            metavar="SECONDS",
        ),
    ] = 120.0,
    max_pixels: MaxPixels = MAX_FRAME_PIXELS,
    retry: Retry = None,
    overwrite: Overwrite = False,
    verify: Verify = False,
) -> None:
    """Crop the faces in videos of FaceForensics++, Celeb-DF or DFDC.

    After an interruption, run the same command again to resume.

    Example: ffpp-extract data/FaceForensics++ --compression c23 --every 25 --workers 8
    """
    if verify:
        _verify(out)
        return
    from ffpp_tools.cli.profiles import read
    from ffpp_tools.extraction.pipeline import extract_boxes, extract_clips
    from ffpp_tools.extraction.progress import tally_progress
    from ffpp_tools.extraction.recorded_boxes import read_recorded_boxes
    from ffpp_tools.extraction.settings import ClipSettings
    from ffpp_tools.extraction.settings_guard import check_folder
    from ffpp_tools.sources.faceforensics import default_ffpp_root, find_clips, remarks
    from ffpp_tools.video.decode_limits import Limits
    from ffpp_tools.video.sampling import FramePlan

    chosen = read(profile) if profile else None
    every, frames_per_clip = _plan(chosen, every, frames_per_clip)
    settings = ClipSettings(
        FramePlan(every, frames_per_clip),
        _crop_settings(margin, shape, min_face, align, size, format_, landmarks, alignment),
        _find_settings(detector, detector_model, search),
        cast("Faces", faces),
        twins,
        keep_unchanged,
        smooth,
        _profile_label(chosen, context, every=every, frames_per_clip=frames_per_clip),
    )
    root = data or default_ffpp_root()
    root = root.absolute() if scheduler else root  # a cluster's workers run in other folders
    team = _team(workers, backend, scheduler, Limits(timeout, max_pixels))
    retry_failed = _retry(retry)
    selection = (category or (), compression or (), limit)
    if boxes:
        recorded = read_recorded_boxes(boxes, root, *selection)
        _check_agreement(context, recorded.table.path, recorded.settings)
        log.keep(out)
        progress = tally_progress("clips", len(recorded.clips))
        made = extract_boxes(root, recorded, out, team, retry_failed, overwrite, progress)
        _told(made, ())
        return
    clips = find_clips(root, *selection)
    log.keep(out)
    progress = tally_progress("clips", len(clips))
    check_folder(out)
    said = remarks(root, clips)
    for line in said:
        print_line(line)
    summary = extract_clips(root, clips, out, settings, team, retry_failed, overwrite, progress)
    _told(summary, said)


def stills(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder of CelebA, CelebA-HQ, the 140k set, or any other images; or a JSON file "
            "of face crops in DeepfakeBench's format."
        ),
    ],
    category: Annotated[
        str | None,
        option(
            panels.EXTRACT,
            about="Category to record the images as, such as CelebA. The 140k set has its own.",
            complete=CATEGORIES,
            metavar="NAME",
        ),
    ] = None,
    out: Out = Path("dataset"),
    label: Annotated[
        str | None,
        option(
            panels.EXTRACT,
            about="Label of the images: real or fake. Needed only for a category of your own.",
            complete=values("real", "fake"),
            metavar="LABEL",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        option(
            panels.EXTRACT,
            about="For a JSON file: the folder that contains datasets/rgb.",
            default="found near the JSON file",
            metavar="FOLDER",
        ),
    ] = None,
    mappings: Annotated[
        list[str] | None,
        option(
            panels.EXTRACT,
            "--map",
            about="For a JSON file: category and label of one of its labels, such as "
            "UADFV_Fake=UADFV-fake:fake. Can be repeated.",
            default="FF++, DFD, Celeb-DF v2 and DFDC are known",
            metavar="LABEL=CATEGORY:WHAT",
        ),
    ] = None,
    limit: Limit = None,
    crop: Annotated[
        str,
        option(
            panels.FACES,
            about="face: crop the face as in videos. none: keep the whole image.",
            complete=values("face", "none"),
            metavar="HOW",
        ),
    ] = "face",
    profile: ProfileName = None,
    margin: Margin = 1.3,
    shape: Shape = "square",
    min_face: MinFace = 0,
    align: Align = False,
    alignment: AlignmentName = "eyes",
    size: Size = "",
    format_: Format = "png",
    landmarks: Landmarks = False,
    harmonise: Annotated[
        bool,
        option(
            panels.FACES,
            "--harmonise",
            about="Match the face size and the compression of the extracted clips.",
        ),
    ] = False,
    detector: DetectorName = "hog",
    detector_model: DetectorModel = None,
    search: Search = "fast",
    workers: Processes = CPUS,
    backend: Backend = "local",
    scheduler: Scheduler = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    retry: Retry = None,
    overwrite: Overwrite = False,
) -> None:
    """Crop the faces in photographs, by the same rules as in videos; or take ready face crops.

    After an interruption, run the same command again to resume.

    Example: ffpp-stills data/CelebA --category CelebA
    """
    from ffpp_tools.cli.profiles import read
    from ffpp_tools.extraction.pipeline import copy_identities, extract_still_dataset
    from ffpp_tools.extraction.progress import tally_progress
    from ffpp_tools.extraction.settings import StillSettings
    from ffpp_tools.extraction.settings_file import recorded_settings
    from ffpp_tools.faces.match_quality import other_stills, reference_faces
    from ffpp_tools.sources.deepfakebench import is_crop_set
    from ffpp_tools.sources.official_lists import celeba_identities
    from ffpp_tools.sources.stills import survey

    if crop not in ("face", "none"):
        raise SettingsError(f"crop ({crop!r}) must be face or none")
    if is_crop_set(data):
        if category or label or harmonise or profile or crop != "face":
            raise SettingsError(
                f"{data}: a JSON file has categories and labels of its own, and its crops are "
                f"taken unchanged; omit --category, --label, --harmonise, --profile and --crop"
            )
        crops = _crop_settings(margin, shape, min_face, align, size, format_, landmarks, alignment)
        _check_no_face_settings(data, crops, _find_settings(detector, detector_model, search))
        team = _team(workers, backend, scheduler)
        data = data.absolute() if scheduler else data
        _ready_crops(data, root, mappings or (), limit, out, team, retry, overwrite, max_pixels)
        return
    if root or mappings:
        raise SettingsError(f"{data} is a folder; --root and --map are for a JSON file")
    # A cluster's workers run in other folders.
    surveyed = survey(data.absolute() if scheduler else data, category, label, limit)
    found = surveyed.stills
    replaced = overwrite and not other_stills(out, {still.category for still in found})
    like = reference_faces(out, {} if replaced else recorded_settings(out)) if harmonise else None
    settings = StillSettings(
        _crop_settings(margin, shape, min_face, align, size, format_, landmarks, alignment),
        _find_settings(detector, detector_model, search),
        crop == "none",
        like,
        _profile_label(read(profile) if profile else None, context),
    )
    team = _team(workers, backend, scheduler)
    log.keep(out)
    retry_failed = _retry(retry)
    progress = tally_progress("stills", len(found))
    copy_identities(surveyed, out)
    said = list(surveyed.summary_lines(celeba_identities(out) or {}))
    for line in said:
        print_line(line)
    summary = extract_still_dataset(
        found, out, settings, team, retry_failed, overwrite, progress, max_pixels
    )
    _told(summary, said)


def _check_no_face_settings(data: Path, crop: CropSettings, find: FindSettings) -> None:
    """Raise SettingsError if any option for faces was set: crops of a JSON file exist already."""
    from ffpp_tools.faces.crop import CropSettings
    from ffpp_tools.faces.detect import FindSettings

    if (crop, find) != (CropSettings(), FindSettings()):
        raise SettingsError(
            f"{data}: the crops of a JSON file are taken unchanged; omit the options for faces, "
            f"such as --margin, --size and --detector"
        )


def _ready_crops(
    data: Path,
    root: Path | None,
    mappings: Sequence[str],
    limit: int | None,
    out: Path,
    team: Workers,
    retry: str | None,
    overwrite: bool,
    max_pixels: int,
) -> None:
    """Take the crops of a JSON file in DeepfakeBench's format."""
    from ffpp_tools.extraction.pipeline import extract_ready_crops
    from ffpp_tools.extraction.progress import tally_progress
    from ffpp_tools.extraction.settings import ReadyCropSettings
    from ffpp_tools.extraction.settings_guard import check_folder
    from ffpp_tools.sources.deepfakebench import read_crop_set

    retry_failed = _retry(retry)
    crops = read_crop_set(data, root, mappings, limit)
    check_folder(out)
    log.keep(out)
    for line in crops.remarks:
        print_line(line)
    progress = tally_progress("clips", len(crops.clips))
    settings = ReadyCropSettings()
    summary = extract_ready_crops(
        crops.clips, out, settings, team, retry_failed, overwrite, progress, max_pixels
    )
    _told(summary, crops.remarks)


def _told(summary: Summary, remarks: Sequence[str]) -> None:
    """Print what a dataset folder holds.

    Args:
        summary: of the run.
        remarks: sentences about the data that was read.

    Raises:
        FfppError: not a single crop, or not all crops of a table of boxes.
    """
    from ffpp_tools.store.ledger import status_counts

    printing.extraction(summary)
    counts = status_counts(summary.frames).reset_index().to_dict("records")
    crops, compared = len(summary.faces), summary.comparison
    about = {"folder": summary.dataset, "crops": crops, "frames": counts, "remarks": remarks}
    if compared:
        printing.comparison(compared)
        about["boxes"] = dataclasses.asdict(compared)
    print_json(about)
    if compared and (compared.failed or compared.missing):
        raise FfppError(
            f"{summary.dataset}: {counted(compared.missing, 'crop')} of "
            f"{counted(len(compared.failed), 'clip')} in the table of boxes could not be made, for "
            f"the reasons above. After correcting the videos, run the same command with --retry "
            f"failed"
        )
    if summary.faces.empty:
        raise FfppError(
            f"not a single crop was made; {summary.dataset}/frames.parquet lists the reasons"
        )


def _check_agreement(context: typer.Context, table: Path, settings: ClipSettings) -> None:
    """Check that no setting was given that differs from those of a table of boxes.

    Raises:
        SettingsError: one does; the message names it.
    """
    recorded = {
        **{"every": settings.plan.every, "frames_per_clip": settings.plan.per_clip},
        **{
            field.name: getattr(part, field.name)
            for part in (settings, settings.crop, settings.find)
            for field in dataclasses.fields(part)
            if field.compare
        },
    }
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        name = (parameter.name or "").removesuffix("_")
        if name in recorded and source and source.name != "DEFAULT":
            given = context.params[parameter.name or ""]
            if given != recorded[name]:
                raise SettingsError(
                    f"{name.replace('_', '-')} {given} contradicts {table}, which was made with "
                    f"{name.replace('_', '-')} {recorded[name]}: omit the option, or detect the "
                    f"faces again without --boxes"
                )


def _plan(
    profile: Profile | None, every: int | None, frames_per_clip: int | None
) -> tuple[int | None, int | None]:
    """The frame plan: one of the two options replaces the other one if that is the profile's."""
    if every is None and frames_per_clip is None:
        return 25, None
    options = profile.options("clips") if profile else {}
    if every is not None and frames_per_clip is not None and len(options.keys() & PLAN) == 1:
        if frames_per_clip == options.get("frames-per-clip"):
            return every, None
        if every == options.get("every"):
            return None, frames_per_clip
    return every, frames_per_clip


def _profile_label(profile: Profile | None, context: typer.Context, **changed: object) -> str:
    """What settings.json records of the profile: its name, and which options differ from it.

    Args:
        profile: the profile.
        context: of the command, with the values of its options.
        changed: parameters that the command has changed.
    """
    if profile is None:
        return ""
    parameters = option_names(context)
    values = {**context.params, **changed}
    options = profile.options("clips" if "every" in parameters else "stills")
    return profile.label([k for k, value in options.items() if values[parameters[k]] != value])


def _crop_settings(
    margin: float,
    shape: Any,
    min_face: int,
    align: bool,
    size: str,
    format_: Any,
    landmarks: bool,
    alignment: Any,
) -> CropSettings:
    """The settings of crops; they refuse values that are not choices."""
    from ffpp_tools.faces.crop import CropSettings

    return CropSettings(margin, shape, min_face, align, size, format_, landmarks, alignment)


def _find_settings(detector: Any, detector_model: Path | None, search: Any) -> FindSettings:
    """The settings of detection; workers may run in other folders than this process."""
    from ffpp_tools.faces.detect import FindSettings

    model_file = detector_model.absolute() if detector_model else None
    return FindSettings(detector, search, model_file=model_file)


def _team(
    workers: int, backend: str, scheduler: str | None, limits: Limits | None = None
) -> Workers:
    from ffpp_tools.extraction.workers import Workers
    from ffpp_tools.video.decode_limits import Limits

    check_choice("backend", backend, ("local", "dask"))
    if (backend == "dask") != (scheduler is not None):
        raise SettingsError("--backend dask and --scheduler ADDRESS must be given together")
    return Workers(workers, scheduler, limits or Limits())


def _retry(what: str | None) -> bool:
    if what not in (None, "failed"):
        raise SettingsError(f"retry ({what!r}) must be failed")
    return what == "failed"


def _verify(dataset: Path) -> None:
    """Print what is wrong with a dataset folder; exit status 1 if anything is."""
    from ffpp_tools.store.ledger import verify

    problems = []
    for problem in verify(dataset):
        print_line(f"  {problem}", style="yellow")
        problems.append(problem)
    print_json({"folder": dataset, "problems": problems})
    if problems:
        raise FfppError(f"{dataset}: {counted(len(problems), 'problem')} with files or tables")
    print_line(f"{dataset}: all crops match the tables, and there are no other files")
