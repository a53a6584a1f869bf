"""ffpp-extract and ffpp-stills: parse, call one function, print."""

from __future__ import annotations

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
    Backend,
    Data,
    DetectorName,
    Format,
    Limit,
    Margin,
    MaxPixels,
    MinFace,
    Out,
    Overwrite,
    Processes,
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

if TYPE_CHECKING:
    from ffpp_tools.extraction.pipeline import Summary
    from ffpp_tools.extraction.settings import Faces
    from ffpp_tools.extraction.workers import Workers
    from ffpp_tools.faces.crop import CropSettings
    from ffpp_tools.faces.detect import FindSettings
    from ffpp_tools.video.decode_limits import Limits


def extract(
    data: Data = None,
    out: Out = Path("dataset"),
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
    margin: Margin = 1.3,
    shape: Shape = "square",
    min_face: MinFace = 0,
    align: Align = False,
    size: Size = "",
    format_: Format = "png",
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
            "--keep-unchanged",
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
    from ffpp_tools.extraction.pipeline import extract_clips
    from ffpp_tools.extraction.progress import tally_progress
    from ffpp_tools.extraction.settings import ClipSettings
    from ffpp_tools.extraction.settings_guard import check_folder
    from ffpp_tools.sources.faceforensics import default_ffpp_root, find_clips, remarks
    from ffpp_tools.video.decode_limits import Limits
    from ffpp_tools.video.sampling import FramePlan

    if every is None and frames_per_clip is None:
        every = 25
    settings = ClipSettings(
        FramePlan(every, frames_per_clip),
        *_face_settings(margin, shape, min_face, align, size, format_, detector, search),
        cast("Faces", faces),
        twins,
        keep_unchanged,
        smooth,
    )
    root = data or default_ffpp_root()
    root = root.absolute() if scheduler else root  # a cluster's workers run in other folders
    clips = find_clips(root, category or (), compression or (), limit)
    team = _team(workers, backend, scheduler, Limits(timeout, max_pixels))
    log.keep(out)
    retry_failed = _retry(retry)
    progress = tally_progress("clips", len(clips))
    check_folder(out)
    said = remarks(root, clips)
    for line in said:
        print_line(line)
    summary = extract_clips(root, clips, out, settings, team, retry_failed, overwrite, progress)
    _told(summary, said)


def stills(
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
    margin: Margin = 1.3,
    shape: Shape = "square",
    min_face: MinFace = 0,
    align: Align = False,
    size: Size = "",
    format_: Format = "png",
    harmonise: Annotated[
        bool,
        option(
            panels.FACES,
            "--harmonise",
            about="Match the face size and the compression of the extracted clips.",
        ),
    ] = False,
    detector: DetectorName = "hog",
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
    from ffpp_tools.extraction.match_quality import other_stills, reference_faces
    from ffpp_tools.extraction.pipeline import copy_identities, extract_still_dataset
    from ffpp_tools.extraction.progress import tally_progress
    from ffpp_tools.extraction.settings import StillSettings
    from ffpp_tools.extraction.settings_file import recorded_settings
    from ffpp_tools.sources.deepfakebench import is_crop_set
    from ffpp_tools.sources.official_lists import celeba_identities
    from ffpp_tools.sources.stills import survey

    if crop not in ("face", "none"):
        raise SettingsError(f"crop ({crop!r}) must be face or none")
    if is_crop_set(data):
        if category or label or harmonise:
            raise SettingsError(
                f"{data}: a JSON file has categories and labels of its own, and its crops are "
                f"taken unchanged; omit --category, --label and --harmonise"
            )
        faces = _face_settings(margin, shape, min_face, align, size, format_, detector, search)
        _check_no_face_settings(data, faces)
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
        *_face_settings(margin, shape, min_face, align, size, format_, detector, search),
        crop == "none",
        like,
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


def _check_no_face_settings(data: Path, faces: tuple[CropSettings, FindSettings]) -> None:
    """Raise SettingsError if any option for faces was set: crops of a JSON file exist already."""
    from ffpp_tools.faces.crop import CropSettings
    from ffpp_tools.faces.detect import FindSettings

    if faces != (CropSettings(), FindSettings()):
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
        FfppError: not a single crop.
    """
    from ffpp_tools.store.ledger import status_counts

    printing.extraction(summary)
    counts = status_counts(summary.frames).reset_index().to_dict("records")
    crops = len(summary.faces)
    print_json({"folder": summary.dataset, "crops": crops, "frames": counts, "remarks": remarks})
    if summary.faces.empty:
        raise FfppError(
            f"not a single crop was made; {summary.dataset}/frames.parquet lists the reasons"
        )


def _face_settings(
    margin: float,
    shape: Any,
    min_face: int,
    align: bool,
    size: str,
    format_: Any,
    detector: Any,
    search: Any,
) -> tuple[CropSettings, FindSettings]:
    """The settings of crops and of detection; they refuse values that are not choices."""
    from ffpp_tools.faces.crop import CropSettings
    from ffpp_tools.faces.detect import FindSettings

    crop = CropSettings(margin, shape, min_face, align, size, format_)
    return crop, FindSettings(detector, search)


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
