"""Many clips or stills: workers, progress, one commit each, tables at the end."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ffpp_tools.crop import CropSettings
from ffpp_tools.errors import SettingsError, TableError
from ffpp_tools.extract import ClipSettings, extract_clip, extract_stills
from ffpp_tools.files import write_atomically
from ffpp_tools.layout import STILL, Clip, Still
from ffpp_tools.tables import FAILURES, Part, merge_parts

STILL_PARTS = 256  # a still's part follows from its name alone, whatever else is selected


@dataclass(frozen=True)
class Summary:
    """What a dataset folder holds after a run."""

    dataset: Path
    frames: pd.DataFrame
    faces: pd.DataFrame

    @property
    def counts(self) -> pd.DataFrame:
        """Rows (category, compression), columns statuses, cells planned frames."""
        keys = [self.frames["category"], self.frames["compression"]]
        return pd.crosstab(keys, self.frames["status"])


Progress = Callable[[Iterable[Part], int], Iterable[Part]]


def extract_dataset(
    clips: Sequence[Clip],
    dataset: Path,
    settings: ClipSettings = ClipSettings(),  # noqa: B008 (frozen)
    workers: int = 1,
    progress: Progress | None = None,
) -> Summary:
    """Extract the faces of many clips and bring the tables of `dataset` up to date.

    Clips that an earlier run committed without a failure are not extracted again.

    Args:
        clips: what `layout.find_clips` found.
        dataset: the output folder; crops go to `faces/`.
        settings: what to extract.
        workers: processes; the result does not depend on their number.
        progress: wraps the iterator of finished parts, given with how many there will be.

    Raises:
        SettingsError: the folder was made with other settings.
        FfppError: the folder cannot be written.
    """
    _settle(dataset, {"crop": asdict(settings.crop), "frames": asdict(settings.plan)})
    tasks = []
    for clip in clips:
        path = dataset / "parts" / clip.category / clip.compression / f"{clip.name}.json"
        if not _done(path):
            tasks.append((_commit_clip, clip, settings, dataset, path))
    return _run(tasks, dataset, workers, progress)


def extract_still_dataset(
    stills: Sequence[Still],
    dataset: Path,
    settings: CropSettings = CropSettings(),  # noqa: B008 (frozen)
    workers: int = 1,
    progress: Progress | None = None,
) -> Summary:
    """Extract the faces of many stills into the tables of `dataset`, beside its clips.

    Stills that an earlier run committed without a failure are not extracted again. Arguments,
    result and errors as those of `extract_dataset`.
    """
    _settle(dataset, {"crop": asdict(settings)})
    batches = defaultdict(list)
    for still in stills:
        number = zlib.crc32(still.name.encode()) % STILL_PARTS
        batches[dataset / "parts" / still.category / STILL / f"{number:02x}.json"].append(still)
    tasks = [(_commit_stills, batch, settings, dataset, path) for path, batch in batches.items()]
    return _run(tasks, dataset, workers, progress)


def _run(
    tasks: Sequence[tuple[Any, ...]], dataset: Path, workers: int, progress: Progress | None
) -> Summary:
    import joblib

    if workers < 1:
        raise SettingsError(f"workers ({workers}) must be at least 1")
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    finished: Iterator[Part] = parallel(joblib.delayed(f)(*args) for f, *args in tasks)
    for _ in progress(finished, len(tasks)) if progress else finished:
        pass
    return Summary(dataset, *merge_parts(dataset))


def _commit_clip(clip: Clip, settings: ClipSettings, dataset: Path, path: Path) -> Part:
    _one_thread()
    part = extract_clip(clip, settings, dataset)
    part.write(path)
    return part


def _commit_stills(
    stills: Sequence[Still], settings: CropSettings, dataset: Path, path: Path
) -> Part:
    """Extract those of a batch that its part does not hold yet, and add them to it."""
    _one_thread()
    held = Part.read(path) if path.exists() else Part((), ())
    frames = {row.clip: row for row in held.frames}
    wanted = [s for s in stills if s.name not in frames or frames[s.name].status in FAILURES]
    new = extract_stills(wanted, settings, dataset)
    frames |= {row.clip: row for row in new.frames}
    faces = {face.frame_id: face for face in (*held.faces, *new.faces)}
    part = Part(tuple(frames.values()), tuple(faces.values()))
    if wanted:
        part.write(path)
    return part


def _done(path: Path) -> bool:
    """Whether a part is committed and free of failures that a repaired file would mend."""
    if not path.exists():
        return False
    return not any(row.status in FAILURES for row in Part.read(path).frames)


def _one_thread() -> None:
    """Workers share the cores among them; OpenCV must not take them all in each."""
    import cv2

    cv2.setNumThreads(1)


def _settle(dataset: Path, wanted: dict[str, Any]) -> None:
    """Record the settings a dataset folder is made with, or refuse other ones."""
    path = dataset / "settings.json"
    try:
        recorded = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except ValueError as error:
        raise TableError(f"{path}: damaged ({error}); delete the folder and start anew") from error
    for section, settings in wanted.items():
        if recorded.setdefault(section, settings) != settings:
            raise SettingsError(
                f"{dataset} was made with {section} settings {recorded[section]}, but "
                f"{settings} were asked for. Crops of one dataset must be made alike: "
                f"name another folder with --out, or delete this one."
            )
    write_atomically(path, (json.dumps(recorded, indent=2) + "\n").encode())
