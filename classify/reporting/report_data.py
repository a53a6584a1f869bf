"""What a report says, before it is written."""

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
    """Everything `classify report` says about a run, or about somebody's predictions."""

    name: str  # of the run, or of the file
    folder: Path  # where its files lie
    split: str
    provenance: str  # what the figures may be trusted for; always the first line
    operating: OperatingPoint
    manifest: Manifest  # whose split was judged, with what is known now of who is on it
    frames: Scores  # of every crop; of whole clips where somebody's file has no others
    validation: Scores | None  # of the same manifest: what was chosen on
    run: Run | None  # None for somebody's predictions
    judgements: tuple[Evaluation, ...] = ()  # per frame, and per clip where there are clips
    leaks: bool = False  # whether an identity group is in several splits of the manifest
    remarks: tuple[str, ...] = ()  # what to know besides
    shortcuts: tuple[
        shortcuts.ProbeResult, ...
    ] = ()  # what cheap properties alone tell, by ffpp-audit
    robustness: Robustness | None = None
