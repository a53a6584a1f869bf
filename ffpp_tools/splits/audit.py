"""What would make a result misleading: people in several splits, lost frames, unequal classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ffpp_tools.console import counted
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.groups import REASONS, SAME_CONTENT, Graph, nodes
from ffpp_tools.grouping.identity_coverage import Coverage, coverage, coverage_gaps
from ffpp_tools.splits import confounding
from ffpp_tools.splits.confounding import Confounding
from ffpp_tools.store.ledger import MISSES, compare_misses
from ffpp_tools.store.schema import SPLITS

SEVERAL_SPLITS = "PEOPLE APPEAR IN SEVERAL SPLITS"  # how a summary names a leak
# Besides the ties between clips and stills: frames of one clip, and ties of several kinds.
SAME_CLIP, SEVERAL = "clip", "several"
ALL_REASONS = {
    SAME_CLIP: "frames of the same clip",
    **REASONS,
    SEVERAL: "ties of several kinds in a row",
}


@dataclass(frozen=True)
class Crossing:
    """What is in several splits for one reason."""

    reason: str  # a key of `ALL_REASONS`
    count: int  # clips, pairs, videos, people …
    sides: dict[str, int]  # how many are on which, such as {"train+test": 2}
    example: tuple[str, str]  # two knots, on different sides


@dataclass(frozen=True)
class Audit:
    """What was found in a manifest."""

    groups: int  # in several splits, whatever ties them
    crossings: tuple[Crossing, ...]
    unequal: tuple[str, ...]  # splits whose classes are not equally large
    miss_rates: dict[str, float]  # category → share of its frames without a usable face
    unknown: tuple[str, ...]  # what would tell more, and is not there or not whole
    coverage: tuple[Coverage, ...] = ()  # of every source of ties
    compression: Confounding | None = None  # with class, among clips of several compressions
    still_accuracy: float = 0.5  # of telling fake from real by photograph or video alone
    misses_differ: bool = False  # miss rates differ by category by more than chance

    @property
    def leaks(self) -> bool:
        """Whether an identity group is in two splits."""
        return self.groups > 0

    @property
    def confounded(self) -> bool:
        """Whether compression alone tells two classes apart."""
        return self.compression is not None and self.compression.matters


def audited(samples: pd.DataFrame, tables: Dataset) -> Audit:
    """Look for what crosses.

    Args:
        samples: of all splits; columns of `ManifestRow` and `split`.
        tables: the dataset they come from.
    """
    tied = edges_within(samples, tables.edges)
    covered = coverage(tables, samples)
    units = pd.DataFrame({"knot": nodes(samples), "split": samples["split"]}).drop_duplicates()
    found = [
        _crossing(reason, units, tied[tied["reason"] == reason]) for reason in (SAME_CLIP, *REASONS)
    ]
    crossings = [c for c in found if c]
    every = _crossing(SEVERAL, units, tied)
    if every and not crossings:
        crossings = [every]
    frames = tables.frames
    frames = frames[frames["category"].isin(samples["category"].unique())]
    frames = frames[frames["compression"].isin(samples["compression"].unique())]
    missed = frames["status"].isin(MISSES).groupby(frames["category"]).sum()
    looked = frames["status"].isin(("ok", *MISSES)).groupby(frames["category"]).sum()
    sizes = pd.crosstab(samples["split"], samples["class"])
    unequal = [s for s in SPLITS if s in sizes.index and sizes.loc[s].min() < sizes.loc[s].max()]
    return Audit(
        every.count if every else 0,
        tuple(crossings),
        tuple(unequal),
        {str(c): round(float(r), 4) for c, r in (missed / looked).items()},
        (*coverage_gaps(covered), *tables.matching_limitations),
        tuple(covered),
        confounding.compression_confounding(samples),
        confounding.still_accuracy(samples),
        compare_misses(frames).differ,
    )


def edges_within(samples: pd.DataFrame, tied: pd.DataFrame) -> pd.DataFrame:
    """The ties that hold between samples: without fakes that are not among them.

    Who is the same person as somebody else is so whoever else is there. A fake ties its two people
    only if it, or a clip that shows the same frames, is among the samples.
    """
    pairs = tied["reason"] == "pair"
    if not pairs.any():
        return tied
    own = nodes(samples).drop_duplicates()
    same = Graph.of(tied[tied["reason"].isin(SAME_CONTENT)], pd.concat([own, tied["a"][pairs]]))
    here, there = np.split(same.query_components, [len(own)])
    gone = pairs.to_numpy().copy()
    gone[gone] = ~np.isin(there, here)
    return tied[~gone]


def with_audit(info: Mapping[str, Any], found: Audit) -> dict[str, Any]:
    """What manifest.json holds, with the audit's verdict, and in its first line a summary."""
    verdict = {
        "leaks": found.leaks,
        "groups_on_several_sides": found.groups,
        "crossings": [asdict(c) for c in found.crossings],
        "unequal_splits": list(found.unequal),
        "miss_rates": found.miss_rates,
        "misses_differ": found.misses_differ,
        "not_known": list(found.unknown),
        "coverage": [asdict(c) for c in found.coverage],
        "confounded": found.confounded,
        "compression": asdict(found.compression) if found.compression else None,
        "still_accuracy": found.still_accuracy,
    }
    rest = {key: value for key, value in info.items() if key not in ("summary", "audit")}
    return {"summary": _summary(info, found), **rest, "audit": verdict}


def _summary(info: Mapping[str, Any], found: Audit) -> str:
    """What every report has to begin with."""
    what = f"Split: {info['recipe']}"
    if "fold" in info:
        what += ", fold {} of {}".format(*info["fold"])
    if info["settings"].get("leave_out"):
        what += f", {info['settings']['leave_out']} in test only"
    if compressions := info["settings"].get("compression"):
        what += f", {' and '.join(compressions)} only"
    if found.leaks:
        reasons = ", ".join(ALL_REASONS[c.reason] for c in found.crossings)
        said = (
            f"{SEVERAL_SPLITS}: {counted(found.groups, 'identity group')} "
            f"({reasons}). Figures on it are inflated"
        )
    else:
        limits = f", with {counted(len(found.unknown), 'limitation')}" if found.unknown else ""
        said = f"No identity group is known to be in two splits{limits}"
    if found.confounded:
        said += f". {found.compression}"
    return f"{what}. {said}"


def _crossing(reason: str, units: pd.DataFrame, tied: pd.DataFrame) -> Crossing | None:
    """The components of some ties that are in several splits.

    Args:
        reason: of the ties, or `SAME_CLIP` or `SEVERAL`.
        units: columns knot and split, each pair once.
        tied: the ties.
    """
    if reason in REASONS and tied.empty:
        return None
    where = units.assign(component=Graph.of(tied, units["knot"]).query_components)
    if reason not in (SAME_CLIP, SEVERAL):
        # A clip that is itself in several splits is counted once, as that.
        where = where[~where["knot"].duplicated(keep=False)]
    crossing = where[where.groupby("component")["split"].transform("nunique") > 1]
    if crossing.empty:
        return None
    crossing = crossing.sort_values("knot")
    sides = crossing.groupby("component")["split"].agg(
        lambda s: "+".join(split for split in SPLITS if split in set(s))
    )
    first = crossing[crossing["component"] == crossing["component"].iloc[0]]
    other = first[first["split"] != first["split"].iloc[0]]
    return Crossing(
        reason,
        int(crossing["component"].nunique()),
        {str(k): int(v) for k, v in sides.value_counts().sort_index().items()},
        (str(first["knot"].iloc[0]), str(other["knot"].iloc[0])),
    )
