"""Identity overlap between a run's training and the split it is judged on."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from classify.errors import ClassifyError
from classify.evaluation.split_audit import dataset_at, without_paths
from classify.training.runs import Run
from ffpp_tools.console import counted
from ffpp_tools.errors import FfppError
from ffpp_tools.grouping.groups import identity_groups
from ffpp_tools.splits.audit import edges_within
from ffpp_tools.splits.manifest import Manifest


@dataclass(frozen=True)
class IdentityOverlap:
    """How many groups of people of a split a run has seen in training or validation."""

    shared: int
    asked: int  # groups of the split
    why_not: str = ""  # why that could not be found out

    def __str__(self) -> str:
        if self.why_not:
            return f"Whether its training's people are in this split is not known ({self.why_not})."
        if not self.shared:
            return "None of its training's people are in this split, as far as is known."
        return (
            f"PEOPLE OF ITS OWN TRAINING ARE IN THIS SPLIT: {self.shared} of "
            f"{counted(self.asked, 'group')} of people."
        )


def identity_overlap(run: Run, other: Manifest, split: str) -> IdentityOverlap:
    """Whom of a split the run was trained or validated on, by the ties of both datasets."""
    judged = other.samples(split)
    try:
        own = run.manifest
        seen = pd.concat([own.samples(part) for part in ("train", "val")])
        roots = dict.fromkeys((own.root, other.root))
        tied = pd.concat([dataset_at(root).edges for root in roots]).drop_duplicates()
    except (ClassifyError, FfppError) as error:
        return IdentityOverlap(0, 0, without_paths(error, other))
    samples = pd.concat([seen, judged], ignore_index=True)
    group = identity_groups(samples, edges_within(samples, tied))
    known, asked = set(group[: len(seen)]), set(group[len(seen) :])
    return IdentityOverlap(len(known & asked), len(asked))
