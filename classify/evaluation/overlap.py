"""Identity overlap between a run's training data and the split it is evaluated on."""

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
    """The identity groups of a split that a run has seen in training or validation."""

    shared: int  # groups seen in training or validation
    total: int  # groups of the split
    unknown_reason: str = ""  # why the overlap is unknown; empty if known

    def __str__(self) -> str:
        if self.unknown_reason:
            return f"Identity overlap with its training data is unknown ({self.unknown_reason})."
        if not self.shared:
            return "No identity overlap with its training data is known."
        return (
            f"IDENTITIES OF ITS TRAINING DATA ARE IN THIS SPLIT: {self.shared} of "
            f"{counted(self.total, 'identity group')}."
        )


def identity_overlap(run: Run, other: Manifest, split: str) -> IdentityOverlap:
    """Find the identity groups of a split that a run has seen, by the edges of both datasets.

    Args:
        run: the run; its training and validation splits count as seen.
        other: the manifest of the split.
        split: "train", "val" or "test".

    Raises:
        TableError: the split cannot be read.
    """
    evaluated = other.samples(split)
    try:
        manifest = run.manifest
        seen = pd.concat([manifest.samples(own_split) for own_split in ("train", "val")])
        roots = dict.fromkeys((manifest.root, other.root))
        edges = pd.concat([dataset_at(root).edges for root in roots]).drop_duplicates()
    except (ClassifyError, FfppError) as error:
        return IdentityOverlap(0, 0, without_paths(error, other))
    samples = pd.concat([seen, evaluated], ignore_index=True)
    group = identity_groups(samples, edges_within(samples, edges))
    seen_groups, split_groups = set(group[: len(seen)]), set(group[len(seen) :])
    return IdentityOverlap(len(seen_groups & split_groups), len(split_groups))
