"""Extract many clips or stills: plan the tasks, commit each part, and merge the tables."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.extraction.clips import delete_stale_crops, extract_family
from ffpp_tools.extraction.ready_crops import check_unchanged, take_crops
from ffpp_tools.extraction.recorded_boxes import (
    Comparison,
    RecordedBoxes,
    compare,
    extract_recorded,
)
from ffpp_tools.extraction.results import with_landmarks
from ffpp_tools.extraction.settings import ClipSettings, ReadyCropSettings, StillSettings
from ffpp_tools.extraction.settings_guard import Overwrite, check_folder, record_settings
from ffpp_tools.extraction.stills import extract_stills
from ffpp_tools.extraction.workers import Tally, TallyProgress, Task, Workers, run_tasks
from ffpp_tools.files import path_within, sync_to_disk
from ffpp_tools.pixel_limits import MAX_PIXELS
from ffpp_tools.sources.clip import NATIVE, Clip
from ffpp_tools.sources.deepfakebench import CropClip
from ffpp_tools.sources.faceforensics import Family, families
from ffpp_tools.sources.official_lists import IDENTITIES, OF_FFPP, copy_list, copy_lists
from ffpp_tools.sources.stills import Still, Survey
from ffpp_tools.store.locks import folder_lock
from ffpp_tools.store.schema import FAILURES, STILL, Part, part_path
from ffpp_tools.video.decode_limits import Limits

if TYPE_CHECKING:
    import pandas as pd

# Folder, in the dataset folder, to which clips are extracted again: crops to `faces` and, once all
# crops of a clip are written, its part to `parts`.
RETRIED = "retried"


@dataclass(frozen=True)
class Summary:
    """The tables of a dataset folder after a run."""

    dataset: Path
    frames: pd.DataFrame
    faces: pd.DataFrame
    comparison: Comparison | None = None  # with the table of boxes, if crops are made from one


def extract_clips(
    root: Path,
    clips: Sequence[Clip],
    dataset: Path,
    settings: ClipSettings = ClipSettings(),  # noqa: B008 (frozen)
    workers: Workers = Workers(),  # noqa: B008 (frozen)
    retry: bool = False,
    overwrite: bool = False,
    progress: TallyProgress | None = None,
) -> Summary:
    """Extract clips of one folder, and copy FF++'s official lists from it to the dataset folder.

    `clips` are those that `find_clips` found in `root`, at least one. The other arguments and the
    errors are those of `extract_dataset`.
    """
    grouped = families(root, clips)
    _copy_lists(root, clips, dataset)
    return extract_dataset(grouped, dataset, settings, workers, retry, overwrite, progress)


def extract_boxes(
    root: Path,
    boxes: RecordedBoxes,
    dataset: Path,
    workers: Workers = Workers(),  # noqa: B008 (frozen)
    retry: bool = False,
    overwrite: bool = False,
    progress: TallyProgress | None = None,
) -> Summary:
    """Extract the crops of a table of boxes, as `extract_clips`, and compare them with the table.

    `boxes` are those that `read_recorded_boxes` found in `root`. The other arguments and the errors
    are those of `extract_dataset`.
    """
    alone = [Family((clip,), (), ()) for clip in boxes.clips]
    grouped = sorted(alone, key=lambda family: -family.size)
    _copy_lists(root, list(boxes.clips), dataset)
    made = extract_dataset(
        grouped, dataset, boxes.settings, workers, retry, overwrite, progress, boxes
    )
    return replace(made, comparison=compare(boxes, made.frames, made.faces))


def _copy_lists(root: Path, clips: Sequence[Clip], dataset: Path) -> None:
    """Copy FF++'s official lists to the dataset folder if the clips are FF++'s."""
    check_folder(dataset)
    if clips[0].compression != NATIVE:
        with folder_lock(dataset, "ffpp-extract"):
            copy_lists(root, dataset, OF_FFPP)


def extract_dataset(
    families: Sequence[Family],
    dataset: Path,
    settings: ClipSettings = ClipSettings(),  # noqa: B008 (frozen)
    workers: Workers = Workers(),  # noqa: B008 (frozen)
    retry: bool = False,
    overwrite: bool = False,
    progress: TallyProgress | None = None,
    boxes: RecordedBoxes | None = None,
) -> Summary:
    """Extract the faces of many clips, and update the tables of `dataset`.

    Clips that an earlier run committed are not extracted again.

    Args:
        families: the clips, as returned by `faceforensics.families`.
        dataset: the dataset folder; crops are written to `faces/`.
        settings: extraction settings.
        workers: the processes that extract; they do not affect the result.
        retry: extract clips with unreadable frames again. The earlier crops of a clip are kept
            until they are replaced.
        overwrite: delete everything extracted from clips first; stills are kept.
        progress: shows the progress.
        boxes: recorded boxes of all clips, to be used instead of a detector.

    Raises:
        SettingsError: the folder was created with different settings.
        LockedError: another process is writing to the folder.
        FfppError: the folder cannot be written, or a worker was killed.
    """
    check_folder(dataset)
    with folder_lock(dataset, "ffpp-extract"):
        _finish_replacing(dataset)
        rules = boxes.rules if boxes else None
        record_settings(dataset, settings, Overwrite() if overwrite else None, rules)
        tasks = []
        for family in families:
            parts = {clip: _part(dataset, clip) for clip in family.clips}
            done = [clip for clip in family.clips if parts[clip].exists()]
            retried = [clip for clip in done if retry and _has_errors(Part.read(parts[clip]))]
            if n_todo := len(family.clips) - len(done) + len(retried):
                tally = Tally(n_todo, size=family.size)
                recorded = {clip: boxes.clips[clip] for clip in family.clips} if boxes else None
                arguments = (family, settings, workers.limits, tuple(retried), recorded)
                tasks.append(Task(_commit_family, tally, arguments))
        summary = _run(tasks, dataset, workers, progress)
        shutil.rmtree(dataset / RETRIED, ignore_errors=True)
        return summary


def extract_still_dataset(
    stills: Sequence[Still],
    dataset: Path,
    settings: StillSettings = StillSettings(),  # noqa: B008 (frozen)
    workers: Workers = Workers(),  # noqa: B008 (frozen)
    retry: bool = False,
    overwrite: bool = False,
    progress: TallyProgress | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Summary:
    """Extract the faces of many stills, and add them to the tables of `dataset`.

    Arguments, result and errors are those of `extract_dataset`, except that `overwrite` deletes all
    stills of the categories in `stills`. Stills with more than `max_pixels` are not decoded.
    """
    overwritten = Overwrite(frozenset(s.category for s in stills)) if overwrite else None
    check_folder(dataset)
    with folder_lock(dataset, "ffpp-stills"):
        _finish_replacing(dataset)
        record_settings(dataset, settings, overwritten)
        batches = defaultdict(list)
        for still in stills:
            batches[part_path(still.category, STILL, still.name)].append(still)
        tasks = []
        for name, batch in batches.items():
            if todo := _todo(batch, _read_part(dataset / name), retry):
                tally = Tally(len(todo), size=len(todo))
                arguments = (todo, settings, name, retry, max_pixels)
                tasks.append(Task(_commit_stills, tally, arguments))
        return _run(tasks, dataset, workers, progress)


def extract_ready_crops(
    clips: Sequence[CropClip],
    dataset: Path,
    settings: ReadyCropSettings = ReadyCropSettings(),  # noqa: B008 (frozen)
    workers: Workers = Workers(),  # noqa: B008 (frozen)
    retry: bool = False,
    overwrite: bool = False,
    progress: TallyProgress | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Summary:
    """Link or copy the crops of many clips to `dataset`, and update its tables.

    Arguments, result and errors are those of `extract_dataset`. Images with more than `max_pixels`
    are not decoded.

    Raises:
        SettingsError: a clip was taken before, with other frames or in another split.
    """
    check_folder(dataset)
    with folder_lock(dataset, "ffpp-stills"):
        _finish_replacing(dataset)
        parts = {clip: _part(dataset, clip) for clip in clips}
        committed = {
            clip: Part.read(path) for clip, path in parts.items() if path.exists() and not overwrite
        }
        for clip, part in committed.items():
            check_unchanged(clip, part, dataset)
        record_settings(dataset, settings, Overwrite() if overwrite else None)
        tasks = [
            Task(_commit_crops, Tally(1, size=len(clip.frames)), (clip, max_pixels))
            for clip in clips
            if clip not in committed or (retry and _has_errors(committed[clip]))
        ]
        return _run(tasks, dataset, workers, progress)


def copy_identities(survey: Survey, dataset: Path) -> None:
    """Copy CelebA's identity list to the dataset folder, if it was found with the stills.

    Raises:
        SettingsError: the folder is not empty and no dataset folder.
        LockedError: another process is writing to the folder.
    """
    check_folder(dataset)
    if survey.identities:
        with folder_lock(dataset, "ffpp-stills"):
            copy_list(survey.identities, dataset, IDENTITIES)


def _run(
    tasks: Sequence[Task], dataset: Path, workers: Workers, progress: TallyProgress | None
) -> Summary:
    """Run all tasks, and update the tables."""
    from ffpp_tools.store.tables import merge_parts

    units, size = sum(t.tally.units for t in tasks), sum(t.tally.size for t in tasks)
    tallies = run_tasks(tasks, dataset.absolute(), workers)
    for _ in progress(tallies, units, size) if progress else tallies:
        pass
    return Summary(dataset, *merge_parts(dataset))


def _commit_family(
    dataset: Path,
    tally: Tally,
    family: Family,
    settings: ClipSettings,
    limits: Limits,
    retried: Sequence[Clip],
    recorded: Mapping[Clip, pd.DataFrame] | None,
) -> Tally:
    """Extract the clips of a family that are not committed yet, and `retried` again.

    With `recorded` boxes, no faces are detected.
    """
    remaining = set(retried)
    folder = dataset / RETRIED if retried else dataset

    def done(clip: Clip) -> bool:
        return clip not in remaining and _part(dataset, clip).exists()

    parts = (
        extract_family(family, settings, folder, done, limits)
        if recorded is None
        else extract_recorded(recorded, settings, folder, done, limits)
    )
    for clip, part in parts:
        part = with_landmarks(part, folder, settings.crop)
        sync_to_disk(dataset)  # so that a power failure cannot leave a committed part without crops
        part.write(_part(folder, clip))
        if retried:
            _replace(dataset, _part(folder, clip))
        remaining.discard(clip)
        tally = tally.with_part(part)
    return tally


def _replace(dataset: Path, staged: Path) -> None:
    """Replace the crops and the part of a clip by those that were extracted again.

    The part is moved last, so that `_finish_replacing` can complete an interrupted replacement.
    """
    retried = dataset / RETRIED
    part = Part.read(staged)
    for face in part.faces:
        source, target = path_within(retried, face.path), path_within(dataset, face.path)
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    first = part.frames[0]
    delete_stale_crops(
        dataset / "faces" / first.category / first.compression / first.clip, part.faces
    )
    target = dataset / staged.relative_to(retried)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(target)


def _finish_replacing(dataset: Path) -> None:
    """Complete the replacements of clips that a killed run extracted again."""
    for staged in sorted((dataset / RETRIED / "parts").rglob("*.json")):
        _replace(dataset, staged)
    shutil.rmtree(dataset / RETRIED, ignore_errors=True)


def _commit_stills(
    dataset: Path,
    tally: Tally,
    stills: Sequence[Still],
    settings: StillSettings,
    name: str,
    retry: bool,
    max_pixels: int,
) -> Tally:
    """Extract the stills of a batch that its part does not have yet, and add them to the part."""
    path = dataset / name
    committed = _read_part(path)
    todo = _todo(stills, committed, retry)  # again, because a cluster may run a task twice
    new = with_landmarks(
        extract_stills(todo, settings, dataset, max_pixels), dataset, settings.crop
    )
    frames = {row.clip: row for row in (*committed.frames, *new.frames)}
    faces = {face.frame_id: face for face in (*committed.faces, *new.faces)}
    landmarks = {row.face_id: row for row in (*committed.landmarks, *new.landmarks)}
    if todo:
        sync_to_disk(dataset)
        rows = tuple(frames.values()), tuple(faces.values()), tuple(landmarks.values())
        Part(*rows).write(path)
    return tally.with_part(new)


def _commit_crops(dataset: Path, tally: Tally, clip: CropClip, max_pixels: int) -> Tally:
    """Take the crops of a clip, and commit its part."""
    path = _part(dataset, clip)
    part = take_crops(clip, dataset, max_pixels, Part.read(path) if path.exists() else None)
    sync_to_disk(dataset)
    part.write(path)
    return tally.with_part(part)


def _read_part(path: Path) -> Part:
    """Read a part; without rows if it does not exist yet."""
    return Part.read(path) if path.exists() else Part((), ())


def _todo(stills: Sequence[Still], committed: Part, retry: bool) -> list[Still]:
    """Return the stills that are not committed yet or, with `retry`, that failed."""
    done = {row.clip for row in committed.frames if not (retry and row.status in FAILURES)}
    return [still for still in stills if still.name not in done]


def _part(dataset: Path, clip: Clip | CropClip) -> Path:
    """Return the path of a clip's part."""
    return dataset / part_path(clip.category, clip.compression, clip.name)


def _has_errors(part: Part) -> bool:
    """Return whether frames of a clip or its original were unreadable; a retry may help."""
    return any(row.error for row in part.frames)
