"""Many clips or stills: what is left to do, one commit each, tables at the end."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.extraction.clips import delete_stale_crops, extract_family
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.settings_guard import Overwrite, check_folder, record_settings
from ffpp_tools.extraction.stills import extract_stills
from ffpp_tools.extraction.workers import Tally, TallyProgress, Task, Workers, run_tasks
from ffpp_tools.files import path_within, sync_to_disk
from ffpp_tools.pixel_limits import MAX_PIXELS
from ffpp_tools.sources.clip import NATIVE, Clip
from ffpp_tools.sources.faceforensics import Family, families
from ffpp_tools.sources.official_lists import IDENTITIES, OF_FFPP, copy_list, copy_lists
from ffpp_tools.sources.stills import Still, Survey
from ffpp_tools.store.locks import folder_lock
from ffpp_tools.store.schema import FAILURES, STILL, Part, part_path
from ffpp_tools.video.decode_limits import Limits

if TYPE_CHECKING:
    import pandas as pd

# Where clips that are tried again are extracted to, below the dataset folder: crops in `faces`,
# and, when all of a clip's are there, its part in `parts`.
RETRIED = "retried"


@dataclass(frozen=True)
class Summary:
    """What a dataset folder holds after a run."""

    dataset: Path
    frames: pd.DataFrame
    faces: pd.DataFrame


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
    """Extract clips of one tree, and copy FF++'s official lists from it to the dataset folder.

    `clips` are what `find_clips` found in `root`, at least one. The other arguments and the errors
    are those of `extract_dataset`.
    """
    grouped = families(root, clips)
    check_folder(dataset)
    if clips[0].compression != NATIVE:
        with folder_lock(dataset, "ffpp-extract"):
            copy_lists(root, dataset, OF_FFPP)
    return extract_dataset(grouped, dataset, settings, workers, retry, overwrite, progress)


def extract_dataset(
    families: Sequence[Family],
    dataset: Path,
    settings: ClipSettings = ClipSettings(),  # noqa: B008 (frozen)
    workers: Workers = Workers(),  # noqa: B008 (frozen)
    retry: bool = False,
    overwrite: bool = False,
    progress: TallyProgress | None = None,
) -> Summary:
    """Extract the faces of many clips and bring the tables of `dataset` up to date.

    Clips that an earlier run committed are not extracted again.

    Args:
        families: what `layout.families` found.
        dataset: the output folder; crops go to `faces/`.
        settings: what to extract.
        workers: who does it; the result does not depend on that.
        retry: extract those clips again that have frames which could not be read. What is there
            of a clip stays until it is replaced.
        overwrite: delete first what was extracted from clips; stills stay.
        progress: shows how far it is.

    Raises:
        SettingsError: the folder was made with other settings.
        LockedError: another process writes to the folder.
        FfppError: the folder cannot be written, or a worker was killed.
    """
    check_folder(dataset)
    with folder_lock(dataset, "ffpp-extract"):
        _finish_replacing(dataset)
        record_settings(dataset, settings, Overwrite() if overwrite else None)
        tasks = []
        for family in families:
            parts = {clip: _part(dataset, clip) for clip in family.clips}
            there = [clip for clip in family.clips if parts[clip].exists()]
            again = [clip for clip in there if retry and _failed(Part.read(parts[clip]))]
            if todo := len(family.clips) - len(there) + len(again):
                tally = Tally(todo, size=family.size)
                details = (family, settings, workers.limits, tuple(again))
                tasks.append(Task(_commit_family, tally, details))
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
    """Extract the faces of many stills into the tables of `dataset`, beside its clips.

    Arguments, result and errors as those of `extract_dataset`; `overwrite` deletes the stills of
    the categories at hand, and a still of more than `max_pixels` is not decoded.
    """
    anew = Overwrite(frozenset(still.category for still in stills)) if overwrite else None
    check_folder(dataset)
    with folder_lock(dataset, "ffpp-stills"):
        _finish_replacing(dataset)
        record_settings(dataset, settings, anew)
        batches = defaultdict(list)
        for still in stills:
            batches[part_path(still.category, STILL, still.name)].append(still)
        tasks = []
        for name, batch in batches.items():
            if todo := _todo(batch, _held(dataset / name), retry):
                tally = Tally(len(todo), size=len(todo))
                details = (todo, settings, name, retry, max_pixels)
                tasks.append(Task(_commit_stills, tally, details))
        return _run(tasks, dataset, workers, progress)


def copy_identities(survey: Survey, dataset: Path) -> None:
    """Copy CelebA's identity list, if it was found with the stills, to the dataset folder.

    Raises:
        SettingsError: the folder holds something else than a dataset.
        LockedError: another process writes to the folder.
    """
    check_folder(dataset)
    if survey.identities:
        with folder_lock(dataset, "ffpp-stills"):
            copy_list(survey.identities, dataset, IDENTITIES)


def _run(
    tasks: Sequence[Task], dataset: Path, workers: Workers, progress: TallyProgress | None
) -> Summary:
    """Do every task and bring the tables up to date."""
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
    again: Sequence[Clip],
) -> Tally:
    """Extract what is not there of a family, and `again` what is."""
    left = set(again)
    place = dataset / RETRIED if again else dataset

    def done(clip: Clip) -> bool:
        return clip not in left and _part(dataset, clip).exists()

    for clip, part in extract_family(family, settings, place, done, limits):
        sync_to_disk(dataset)  # a power cut must not leave the commit without the crops
        part.write(_part(place, clip))
        if again:
            _replace(dataset, _part(place, clip))
        left.discard(clip)
        tally = tally.with_part(part)
    return tally


def _replace(dataset: Path, staged: Path) -> None:
    """Put a clip that was extracted again in the place of what was there.

    Whenever this is stopped, `_finish_replacing` does the rest: the part comes last.
    """
    place = dataset / RETRIED
    part = Part.read(staged)
    for face in part.faces:
        source, target = path_within(place, face.path), path_within(dataset, face.path)
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    first = part.frames[0]
    delete_stale_crops(
        dataset / "faces" / first.category / first.compression / first.clip, part.faces
    )
    target = dataset / staged.relative_to(place)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(target)


def _finish_replacing(dataset: Path) -> None:
    """Put in their places the clips that a run which was killed had extracted again."""
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
    """Extract those of a batch that its part does not hold yet, and add them to it."""
    path = dataset / name
    held = _held(path)
    wanted = _todo(stills, held, retry)  # a cluster may start a task a second time
    new = extract_stills(wanted, settings, dataset, max_pixels)
    frames = {row.clip: row for row in (*held.frames, *new.frames)}
    faces = {face.frame_id: face for face in (*held.faces, *new.faces)}
    if wanted:
        sync_to_disk(dataset)
        Part(tuple(frames.values()), tuple(faces.values())).write(path)
    return tally.with_part(new)


def _held(path: Path) -> Part:
    return Part.read(path) if path.exists() else Part((), ())


def _todo(stills: Sequence[Still], held: Part, retry: bool) -> list[Still]:
    """Those that are not held yet, or that failed and are to be tried again."""
    done = {row.clip for row in held.frames if not (retry and row.status in FAILURES)}
    return [still for still in stills if still.name not in done]


def _part(dataset: Path, clip: Clip) -> Path:
    """Where a clip is committed."""
    return dataset / part_path(clip.category, clip.compression, clip.name)


def _failed(part: Part) -> bool:
    """Whether frames could not be read, of the clip or its original; a repaired file would help."""
    return any(row.error for row in part.frames)
