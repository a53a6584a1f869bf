"""Who does the work, here or in a cluster, and what comes back from it."""

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
    """Who does the work.

    count: processes of this machine; with a scheduler, the cluster's workers count instead.
    scheduler: address of a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers see the
        same paths.
    limits: what a decoder may take.
    """

    count: int = 1
    scheduler: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.count < 1:
            raise SettingsError(f"workers ({self.count}) must be at least 1")


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
class Task:
    """What one worker does in one go, for a dataset folder."""

    do: Callable[..., Tally]  # a function of a module, for other processes
    tally: Tally  # its units and size; `do` returns the same with what came of them
    arguments: tuple[Any, ...]  # of `do`, after the dataset folder and the tally


# Passes tallies through as they come in; told first how many units and what size there will be.
TallyProgress = Callable[[Iterable[Tally], int, int], Iterable[Tally]]


def run_tasks(tasks: Sequence[Task], dataset: Path, workers: Workers) -> Iterator[Tally]:
    """The tallies of the tasks as they are done, in any order.

    Raises:
        FfppError: a worker was killed, or no cluster answers.
    """
    import joblib
    from joblib.externals.loky import BrokenProcessPool

    # Processes are kept from one call to the next; this one may have gone elsewhere since.
    here = None if workers.scheduler else Path.cwd()
    calls = (joblib.delayed(_done)(here, dataset, task) for task in tasks)
    try:
        with _backend(workers) as n_jobs:
            options: dict[str, Any] = {"return_as": "generator_unordered", "batch_size": 1}
            if not workers.scheduler:
                options |= parallel_options()
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


def _done(here: Path | None, dataset: Path, task: Task) -> Tally:
    _prepare()
    if here:
        os.chdir(here)
    return task.do(dataset, task.tally, *task.arguments)


@cache
def _prepare() -> None:
    """Make a process fit for its tasks."""
    import cv2

    cv2.setNumThreads(1)  # workers share the cores among them
    gc.collect()
    gc.freeze()  # what is loaded by now stays: looking through it after every clip takes long
