"""Where a detector draws the line, chosen on validation and never on what it is judged by."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from classify.data.pack import ProgressFactory
from classify.errors import ChangedError, ClassifyError, RunError
from classify.evaluation.metrics import best_temperature, best_threshold
from classify.evaluation.predict import score_split
from classify.evaluation.scores import Scores
from classify.training.runs import Run
from ffpp_tools.console import print_line
from ffpp_tools.errors import FfppError, FormatError
from ffpp_tools.files import read_json, write_atomically
from ffpp_tools.store import format_versions
from ffpp_tools.store.checksum import KEY, is_intact, with_digest

FILE = "operating.json"


@dataclass(frozen=True)
class OperatingPoint:
    """What turns probabilities into verdicts."""

    why_fixed: str  # why nothing could be chosen; empty where validation has chosen
    frame_threshold: float = 0.5  # a frame or still is called fake above this P(fake)
    clip_threshold: float = 0.5  # a clip is, by the mean over its frames
    temperature: float = 1.0  # the logits are divided by, so that probabilities are what they say
    no_better: tuple[str, ...] = ()  # "frame", "clip": no threshold was better than chance there

    def threshold(self, unit: str) -> float:
        """For "frame" or "clip"."""
        return self.clip_threshold if unit == "clip" else self.frame_threshold


def fit_operating_point(validation: Scores) -> OperatingPoint:
    """The thresholds of the highest balanced accuracy, and the temperature of the lowest loss.

    Where no threshold is better than to call everything the same, it is 0.5.
    """
    clips = validation.clips()
    units = {"frame": validation, "clip": clips if len(clips) else validation}
    if validation.unit == "clip":  # somebody's, of whole clips
        del units["frame"]
    best = {unit: best_threshold(s.is_fake, s.p_fake) for unit, s in units.items()}
    frame, clip = (0.5 if (at := best.get(unit)) is None else at for unit in ("frame", "clip"))
    temperature = best_temperature(validation.actual, validation.probabilities)
    no_better = tuple(unit for unit, value in best.items() if value is None)
    return OperatingPoint("", frame, clip, temperature, no_better if len(clips) else no_better[:1])


def operating_point(run: Run, progress: ProgressFactory | None = None) -> OperatingPoint:
    """The run's own, chosen on its validation split and kept in operating.json.

    It is chosen anew each time, which is quick, wherever the predictions of that split are there or
    can be made; only elsewhere, in a run that was taken away from its data, is the file relied on,
    by its digest. A refit has been trained on its validation split, so that nothing can be chosen
    there.

    Args:
        run: whose.
        progress: as `pack.pack` takes it.

    Raises:
        ChangedError: the file was changed after it was written, and nothing can be chosen anew.
        RunError: no epoch was finished, or the file is damaged.
        ClassifyError, FfppError: nothing was chosen before, and nothing can be.
    """
    if run.settings.refit:
        return OperatingPoint(why_fixed="the run was trained on val too")
    path, checkpoint = run.folder / FILE, run.checkpoint_sha256
    kept = _kept(run, checkpoint)
    try:
        found = fit_operating_point(score_split(run, "val", progress=progress))
    except FormatError:
        raise
    except (ClassifyError, FfppError) as error:
        if not kept:
            raise
        if is_intact(kept) is False:
            raise ChangedError(
                f"{path} was changed after it was written, and its thresholds cannot be chosen "
                f"anew ({error}): put the run's dataset back, or restore the file"
            ) from error
        if is_intact(kept) is None:
            print_line(
                f"{path} is taken as it is: an older version wrote it, without a digest", "yellow"
            )
        try:
            return _read(kept)
        except (KeyError, TypeError, ValueError) as damage:
            raise RunError(f"{path}: damaged ({damage!r}), and {error}") from damage
    values = {"checkpoint": checkpoint, "manifest": run.manifest_sha256, **asdict(found)}
    values = with_digest(format_versions.with_format(format_versions.OPERATING, values))
    if not (is_intact(kept) and _agree(kept, values)):
        if kept and is_intact(kept) is not None:
            print_line(f"{path} was written anew: it was not what validation gives", style="yellow")
        write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())
    return found


def _kept(run: Run, checkpoint: str) -> dict[str, Any]:
    """What operating.json holds of this checkpoint and manifest; empty where it is of others.

    Raises:
        FormatError: a newer release wrote it.
    """
    path = run.folder / FILE
    try:
        kept = dict(read_json(path))
        format_versions.checked_format(format_versions.OPERATING, path, kept)
    except (OSError, ValueError, TypeError):
        return {}  # none yet, or damaged
    same = kept.get("checkpoint") == checkpoint
    return kept if same and kept.get("manifest", run.manifest_sha256) == run.manifest_sha256 else {}


def _agree(kept: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether two operating points are one, but for what machines round otherwise."""
    return all(
        math.isclose(kept[name], value, rel_tol=1e-4)
        if isinstance(value, float)
        else kept.get(name) == json.loads(json.dumps(value))
        for name, value in values.items()
        if name not in (KEY, format_versions.KEY)
    )


def _read(kept: Mapping[str, Any]) -> OperatingPoint:
    """The operating point that a file holds; those of before the digest lack `no_better`."""
    names = ("frame_threshold", "clip_threshold", "temperature")
    values = {name: float(kept[name]) for name in names}
    return OperatingPoint(
        str(kept["why_fixed"]), **values, no_better=tuple(map(str, kept.get("no_better", ())))
    )


def operating_point_or_default(run: Run, progress: ProgressFactory | None = None) -> OperatingPoint:
    """The same, also for a run that was taken away from its data before anything was chosen.

    Raises:
        ChangedError: as `operating_point`.
    """
    try:
        return operating_point(run, progress)
    except (ChangedError, FormatError):
        raise
    except (ClassifyError, FfppError) as error:
        return OperatingPoint(why_fixed=f"its validation split cannot be judged here ({error})")
