"""Contents of a report, before it is written to files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from classify.evaluation.evaluate import Evaluation
from classify.evaluation.robustness import Robustness
from classify.evaluation.scores import Scores
from classify.evaluation.thresholds import OperatingPoint
from classify.training.runs import Run
from ffpp_tools.splits import shortcuts
from ffpp_tools.splits.manifest import Manifest


@dataclass(frozen=True)
class Report:
    """Contents of `classify report` for a run or for external predictions."""

    name: str  # name of the run, or of the predictions file
    folder: Path  # folder of the report's files
    split: str
    provenance: str  # how far the metrics can be trusted; always the first line
    operating_point: OperatingPoint
    manifest: Manifest  # manifest of the split evaluated, with its current audit
    frames: Scores  # per crop; per clip if a predictions file has one score per clip
    validation: Scores | None  # scores on val of the same manifest, to fit the thresholds on
    run: Run | None  # None for external predictions
    evaluations: tuple[Evaluation, ...] = ()  # per frame, and per clip if there are clips
    leaks: bool = False  # whether an identity group is in several splits of the manifest
    remarks: tuple[str, ...] = ()  # caveats, most important first
    shortcuts: tuple[shortcuts.ProbeResult, ...] = ()  # shortcut probe of `ffpp-audit`
    robustness: Robustness | None = None
