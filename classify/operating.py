"""Where a detector draws the line, chosen on validation and never on what it is judged by."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from classify.errors import ClassifyError
from classify.metrics import best_temperature, best_threshold
from classify.pack import Progress
from classify.predict import score_split
from classify.runs import Run
from classify.scores import Scores
from ffpp_tools.errors import FfppError
from ffpp_tools.files import read_json, sha256, write_atomically

FILE = "operating.json"


@dataclass(frozen=True)
class Operating:
    """What turns probabilities into verdicts."""

    why_fixed: str  # why nothing could be chosen; empty where validation has chosen
    frame_threshold: float = 0.5  # a frame or still is called fake above this P(fake)
    clip_threshold: float = 0.5  # a clip is, by the mean over its frames
    temperature: float = 1.0  # the logits are divided by, so that probabilities are what they say

    def threshold(self, unit: str) -> float:
        """For "frame" or "clip"."""
        return self.clip_threshold if unit == "clip" else self.frame_threshold


def chosen(validation: Scores) -> Operating:
    """The thresholds of the highest balanced accuracy, and the temperature of the lowest loss."""
    frame = best_threshold(validation.is_fake, validation.p_fake)
    clips = validation.clips()
    return Operating(
        "",
        frame,
        best_threshold(clips.is_fake, clips.p_fake) if len(clips) else frame,
        best_temperature(validation.actual, validation.probabilities),
    )


def operating(run: Run, progress: Progress | None = None) -> Operating:
    """The run's own, chosen once for every checkpoint and kept in operating.json.

    A refit has been trained on its validation split, so that nothing can be chosen there.

    Args:
        run: whose.
        progress: as `pack.pack` takes it.

    Raises:
        RunError: no epoch was finished.
    """
    if run.settings.refit:
        return Operating(why_fixed="the run was trained on val too")
    path = run.folder / FILE
    checkpoint = sha256(run.checkpoint)
    try:
        kept = read_json(path)
        if kept.pop("checkpoint") == checkpoint:
            return Operating(str(kept.pop("why_fixed")), **{k: float(v) for k, v in kept.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # none yet, or damaged: choose (again)
    found = chosen(score_split(run, "val", progress=progress))
    text = json.dumps({"checkpoint": checkpoint, **asdict(found)}, indent=2) + "\n"
    write_atomically(path, text.encode())
    return found


def operating_if_known(run: Run, progress: Progress | None = None) -> Operating:
    """The same, also for a run that was taken away from its data before anything was chosen."""
    try:
        return operating(run, progress)
    except (ClassifyError, FfppError) as error:
        return Operating(why_fixed=f"its validation split cannot be judged here ({error})")
