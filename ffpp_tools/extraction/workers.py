"""Local processes and Dask clusters that run extraction tasks, and the tallies they return."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ffpp_tools.errors import FfppError, SettingsError
from ffpp_tools.parent_process import parallel_options
from ffpp_tools.store.schema import Part
from ffpp_tools.video.decode_limits import Limits

DASK_TIMEOUT_S = 20


@dataclass(frozen=True)
class Workers:
    """The processes that run tasks.

    count: number of local processes; ignored if there is a scheduler.
    scheduler: address of a Dask scheduler, such as tcp://10.0.0.1:8786. Its workers must see the
        same paths.
    limits: time and size limits for decoding.
    """

    count: int = 1
    scheduler: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Validate the fields."""
        if self.count < 1:
            raise SettingsError(f"workers ({self.count}) must be at least 1")


@dataclass(frozen=True)
class Tally:
    """Counts of finished work. Each task returns its tally when it ends."""

    units: int = 0  # clips or stills
    crops: int = 0
    misses: int = 0  # planned frames whose status is not "ok"
    size: int = 0  # bytes of video, or number of stills

    def __add__(self, other: Tally) -> Tally:
        """Return the sum."""
        return Tally(
            self.units + other.units,
            self.crops + other.crops,
            self.misses + other.misses,
            self.size + other.size,
        )

    def with_part(self, part: Part) -> Tally:
        """Return the tally with the crops and misses of a part added."""
        crops = self.crops + len(part.faces)
        return replace(self, crops=crops, misses=self.misses + part.misses)


@dataclass(frozen=True)
class Task:
    """A unit of work that one worker does for a dataset folder."""

    do: Callable[..., Tally]  # a module-level function, which other processes can import
    tally: Tally  # units and size of the task; `do` returns it with crops and misses
    arguments: tuple[Any, ...]  # arguments of `do`, after the dataset folder and the tally


# Passes tallies through as tasks finish; also takes the total number of units and the total size.
TallyProgress = Callable[[Iterable[Tally], int, int], Iterable[Tally]]


def run_tasks(tasks: Sequence[Task], dataset: Path, workers: Workers) -> Iterator[Tally]:
    """Run the tasks, and yield their tallies as they finish, in any order.

    Raises:
        FfppError: a worker was killed, or the Dask scheduler does not answer.
    """
    import joblib
    from joblib.externals.loky import BrokenProcessPool

    # Worker processes are reused between calls; the working directory may have changed since.
    working_folder = None if workers.scheduler else Path.cwd()
    calls = (joblib.delayed(_run_task)(working_folder, dataset, task) for task in tasks)
    try:
        with _backend(workers) as n_jobs:
            options: dict[str, Any] = {"return_as": "generator_unordered", "batch_size": 1}
            if not workers.scheduler:
                options |= parallel_options()
            yield from joblib.Parallel(n_jobs, **options)(calls)
    except BrokenProcessPool as error:
        raise FfppError(
            "a worker process was killed, possibly by the system's out-of-memory killer. Committed "
            "parts are kept, and the same command resumes after them; fewer --workers need less "
            "memory"
        ) from error


@contextmanager
def _backend(workers: Workers) -> Iterator[int]:
    """Set up local processes or a Dask cluster; yield the number of jobs for joblib."""
    if not workers.scheduler:
        yield workers.count
        return
    import joblib

    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise FfppError("Dask is not installed; run `pip install ffpp-tools[dask]`") from error
    try:
        client: Any = Client(workers.scheduler, timeout=DASK_TIMEOUT_S)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise FfppError(
            f"no Dask scheduler answers at {workers.scheduler} ({error}); start one with "
            f"`dask scheduler`, and workers with `dask worker {workers.scheduler}`"
        ) from error
    try:
        with client, joblib.parallel_config("dask"):
            yield -1
    except KilledWorker as error:
        raise FfppError(
            f"a Dask worker was killed several times on the same clips ({error}). Committed parts "
            f"are kept, and the same command resumes after them"
        ) from error


def _run_task(working_folder: Path | None, dataset: Path, task: Task) -> Tally:
    _prepare_process()
    if working_folder:
        os.chdir(working_folder)
    return task.do(dataset, task.tally, *task.arguments)


@cache
def _prepare_process() -> None:
    """Configure a worker process once."""
    import cv2

    cv2.setNumThreads(1)  # workers share the cores
    gc.collect()
    gc.freeze()  # exclude loaded modules from collection, which is slow and runs after every clip
