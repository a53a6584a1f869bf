"""Many clips or stills: workers, progress, one commit each, tables at the end."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffpp_tools.clip import Clip
from ffpp_tools.errors import FfppError, SettingsError, TableError
from ffpp_tools.extract import TIMEOUT_S, extract_family
from ffpp_tools.extract_stills import extract_stills
from ffpp_tools.files import flush, write_atomically
from ffpp_tools.layout import Family
from ffpp_tools.rows import FAILURES, STILL, Part, part_path
from ffpp_tools.settings import ClipSettings, StillSettings
from ffpp_tools.stills import Still

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = "settings.json"
PARENT_POLL_S = 0.5
DASK_TIMEOUT_S = 20


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    count: processes of this machine; with a scheduler, the cluster's workers count instead.
    scheduler: address of a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers see the
        same paths.
    timeout_s: how long a decoder may take to the next wanted frame before its clip is given up.
    """

    count: int = 1
    scheduler: str | None = None
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.count < 1:
            raise SettingsError(f"workers ({self.count}) must be at least 1")
        if not 0 < self.timeout_s <= threading.TIMEOUT_MAX:
            raise SettingsError(
                f"timeout ({self.timeout_s}) must be more than 0 seconds, and finite"
            )


@dataclass(frozen=True)
class Tally:
    """What tasks have done; each reports its own when it ends."""

    units: int = 0  # clips or stills
    crops: int = 0
    misses: int = 0  # planned frames that gave no crop
    size: int = 0  # of the task: bytes of video, or stills

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.units + other.units,
            self.crops + other.crops,
            self.misses + other.misses,
            self.size + other.size,
        )

    def with_part(self, part: Part) -> Tally:
        """The same, with what a part came to."""
        crops = self.crops + len(part.faces)
        return replace(self, crops=crops, misses=self.misses + part.misses)


@dataclass(frozen=True)
class Summary:
    """What a dataset folder holds after a run."""

    dataset: Path
    frames: pd.DataFrame
    faces: pd.DataFrame


# Passes tallies through as they come in; told first how many units and what size there will be.
Progress = Callable[[Iterable[Tally], int, int], Iterable[Tally]]


def extract_dataset(
    families: Sequence[Family],
    dataset: Path,
    settings: ClipSettings = ClipSettings(),  # noqa: B008 (frozen)
    workers: Workers = Workers(),
    retry: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Extract the faces of many clips and bring the tables of `dataset` up to date.

    Clips that an earlier run committed are not extracted again.

    Args:
        families: what `layout.families` found.
        dataset: the output folder; crops go to `faces/`.
        settings: what to extract.
        workers: who does it; the result does not depend on that.
        retry: extract those clips again that have frames which could not be read.
        overwrite: delete first what was extracted from clips; stills stay.
        progress: shows how far it is.

    Raises:
        SettingsError: the folder was made with other settings.
        FfppError: the folder cannot be written, or a worker was killed.
    """
    _settle(dataset, _sections(settings, "clips"), _Anew() if overwrite else None)
    if retry:
        for family in families:
            for clip in family.clips:
                path = _part(dataset, clip)
                if path.exists() and _failed(Part.read(path)):
                    path.unlink()
    tasks = []
    for family in families:
        todo = [clip for clip in family.clips if not _part(dataset, clip).exists()]
        if todo:
            tally = Tally(len(todo), size=family.size)
            tasks.append((_commit_family, tally, family, settings, workers.timeout_s))
    return _run(tasks, dataset, workers, progress)


def extract_still_dataset(
    stills: Sequence[Still],
    dataset: Path,
    settings: StillSettings = StillSettings(),  # noqa: B008 (frozen)
    workers: Workers = Workers(),
    retry: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Extract the faces of many stills into the tables of `dataset`, beside its clips.

    Arguments, result and errors as those of `extract_dataset`; `overwrite` deletes the stills of
    the categories at hand.
    """
    anew = _Anew(frozenset(still.category for still in stills)) if overwrite else None
    _settle(dataset, _sections(settings, "stills"), anew)
    batches = defaultdict(list)
    for still in stills:
        batches[part_path(still.category, STILL, still.name)].append(still)
    tasks = []
    for name, batch in batches.items():
        if todo := _todo(batch, _held(dataset / name), retry):
            tally = Tally(len(todo), size=len(todo))
            tasks.append((_commit_stills, tally, todo, settings, name, retry))
    return _run(tasks, dataset, workers, progress)


def _run(
    tasks: Sequence[tuple[Any, ...]], dataset: Path, workers: Workers, progress: Progress | None
) -> Summary:
    """Do every task (function, tally, arguments …) and bring the tables up to date."""
    from ffpp_tools.tables import merge_parts

    units, size = sum(t.units for _, t, *_ in tasks), sum(t.size for _, t, *_ in tasks)
    finished = _finished(tasks, dataset.absolute(), workers)
    for _ in progress(finished, units, size) if progress else finished:
        pass
    return Summary(dataset, *merge_parts(dataset))


def _finished(tasks: Sequence[tuple[Any, ...]], dataset: Path, workers: Workers) -> Iterator[Tally]:
    """The tallies of the tasks as they are done, in any order."""
    import joblib
    from joblib.externals.loky import BrokenProcessPool

    calls = (joblib.delayed(function)(dataset, *args) for function, *args in tasks)
    try:
        with _backend(workers) as n_jobs:
            options: dict[str, Any] = {"return_as": "generator_unordered", "batch_size": 1}
            yield from joblib.Parallel(n_jobs, **options)(calls)
    except BrokenProcessPool as error:
        raise FfppError(
            "a worker process was killed, by somebody or by the system for want of memory. What "
            "is committed stays, and the same command goes on from there; fewer --workers need "
            "less memory"
        ) from error


@contextmanager
def _backend(workers: Workers) -> Iterator[int]:
    """The processes of this machine, or those of a Dask cluster; how many jobs to run at once."""
    if not workers.scheduler:
        yield workers.count
        return
    import joblib

    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise FfppError("Dask is not installed; `pip install ffpp-tools[dask]`") from error
    try:
        client: Any = Client(workers.scheduler, timeout=DASK_TIMEOUT_S)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise FfppError(
            f"no Dask scheduler answers at {workers.scheduler} ({error}); `dask scheduler` starts "
            f"one, and `dask worker {workers.scheduler}` a worker"
        ) from error
    try:
        with client, joblib.parallel_config("dask"):
            yield -1
    except KilledWorker as error:
        raise FfppError(
            f"a Dask worker was killed several times at the same clips ({error}). What is "
            f"committed stays, and the same command goes on from there"
        ) from error


def _commit_family(
    dataset: Path, tally: Tally, family: Family, settings: ClipSettings, timeout_s: float
) -> Tally:
    _prepare()

    def done(clip: Clip) -> bool:
        return _part(dataset, clip).exists()

    for clip, part in extract_family(family, settings, dataset, done, timeout_s):
        flush(dataset)  # a power cut must not leave the commit without the crops
        part.write(_part(dataset, clip))
        tally = tally.with_part(part)
    return tally


def _commit_stills(
    dataset: Path,
    tally: Tally,
    stills: Sequence[Still],
    settings: StillSettings,
    name: str,
    retry: bool,
) -> Tally:
    """Extract those of a batch that its part does not hold yet, and add them to it."""
    _prepare()
    path = dataset / name
    held = _held(path)
    wanted = _todo(stills, held, retry)  # another process may have done them by now
    new = extract_stills(wanted, settings, dataset)
    frames = {row.clip: row for row in (*held.frames, *new.frames)}
    faces = {face.frame_id: face for face in (*held.faces, *new.faces)}
    if wanted:
        flush(dataset)
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


@cache
def _prepare() -> None:
    """Make a process fit for its tasks."""
    import cv2

    cv2.setNumThreads(1)  # workers share the cores among them
    gc.collect()
    gc.freeze()  # what is loaded by now stays: looking through it after every clip takes long
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this worker when its parent is killed: it would go on waiting for tasks for minutes."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)


def _sections(settings: ClipSettings | StillSettings, own: str) -> dict[str, Any]:
    """Settings as they are recorded: what clips and stills share, and what is their own."""
    every: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    shared = {name: every.pop(name) for name in ("crop", "find")}
    return {**shared, own: every}


def _settle(dataset: Path, wanted: dict[str, Any], anew: _Anew | None) -> None:
    """Record the settings a dataset folder is made with, or refuse other ones.

    With `anew`, what it names is deleted, but only if the settings fit what stays.
    """
    recorded = recorded_settings(dataset)
    sections = dict(recorded)
    if anew and recorded:
        stays = [f.name == STILL for f in dataset.glob("parts/*/*") if not anew.takes(f)]
        if not stays:
            sections = {}
        elif all(stays):
            sections.pop("clips", None)
        elif not any(stays):
            sections.pop("stills", None)
    for section, settings in wanted.items():
        if sections.setdefault(section, settings) != settings:
            remedy = "start the rest of it anew as well" if anew else "start anew with --overwrite"
            raise SettingsError(
                f"{dataset} was made with other settings ({section}): "
                f"{_difference(sections[section], settings)}. Crops of one dataset must be made "
                f"alike: name another folder with --out, or {remedy}."
            )
    if anew and recorded:
        for top in ("parts", "faces"):
            for folder in sorted(dataset.glob(f"{top}/*/*")):
                if anew.takes(folder):
                    shutil.rmtree(folder)
    for leftover in [*dataset.glob("*.tmp"), *(dataset / "parts").rglob("*.tmp")]:
        leftover.unlink(missing_ok=True)  # of a run that was killed
    write_atomically(dataset / SETTINGS, (json.dumps(sections, indent=2) + "\n").encode())


def _brief(value: Any) -> str:
    """A setting as one may read it: what holds a list is only said to be there."""
    return "yes" if isinstance(value, dict) else "no" if value is None else str(value)


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between recorded settings and those asked for, in words."""
    differing = sorted(key for key in {*was, *now} if was.get(key) != now.get(key))

    def told(values: dict[str, Any]) -> str:
        return ", ".join(f"{key} {_brief(values.get(key))}" for key in differing)

    return f"{told(was)}; asked for now: {told(now)}"


@dataclass(frozen=True)
class _Anew:
    """What is to be made anew: all clips, or the stills of some categories."""

    categories: Collection[str] | None = None

    def takes(self, folder: Path) -> bool:
        """Whether a folder .../<category>/<compression> is part of it."""
        if self.categories is None:
            return folder.name != STILL
        return folder.name == STILL and folder.parent.name in self.categories


def recorded_settings(dataset: Path) -> dict[str, Any]:
    """The settings a dataset folder was made with, by section; empty where there are none yet.

    Raises:
        TableError: settings.json is damaged.
    """
    path = dataset / SETTINGS
    try:
        recorded: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except ValueError as error:
        raise TableError(f"{path}: damaged ({error}); delete the folder and start anew") from error
    return recorded
