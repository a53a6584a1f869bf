"""Audit of a manifest: identities in several splits, missed faces, unequal classes, shortcuts."""

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

SEVERAL_SPLITS = "PEOPLE APPEAR IN SEVERAL SPLITS"  # marks a leak in a summary; reports look for it
# In addition to the reasons of edges: frames of one clip, and a path of edges of several kinds.
SAME_CLIP, SEVERAL = "clip", "several"
ALL_REASONS = {
    SAME_CLIP: "frames of the same clip",
    **REASONS,
    SEVERAL: "a chain of several reasons",
}


@dataclass(frozen=True)
class Crossing:
    """The connected components that are in several splits, for one reason."""

    reason: str  # a key of `ALL_REASONS`
    count: int  # clips, pairs, videos, people …
    sides: dict[str, int]  # splits → number of components, such as {"train+test": 2}
    example: tuple[str, str]  # two nodes in different splits


@dataclass(frozen=True)
class Audit:
    """The result of auditing a manifest."""

    groups: int  # number of identity groups that are in several splits, for any reason
    crossings: tuple[Crossing, ...]
    unequal: tuple[str, ...]  # splits in which the classes differ in size
    miss_rates: dict[str, float]  # category → share of its frames without a usable face
    limitations: tuple[str, ...]  # missing or incomplete inputs that would improve leak detection
    coverage: tuple[Coverage, ...] = ()  # of every source of edges
    compression: Confounding | None = None  # with class, among clips of several compressions
    still_accuracy: float = 0.5  # of predicting fake vs real from still vs video alone
    misses_differ: bool = False  # whether miss rates differ by category by more than chance

    @property
    def leaks(self) -> bool:
        """Whether an identity group is in more than one split."""
        return self.groups > 0

    @property
    def confounded(self) -> bool:
        """Whether compression alone separates two classes."""
        return self.compression is not None and self.compression.matters


def audited(samples: pd.DataFrame, tables: Dataset) -> Audit:
    """Audit the samples of a manifest.

    Args:
        samples: samples of all splits; columns of `ManifestRow` and `split`.
        tables: the dataset that the samples come from.
    """
    edges = edges_within(samples, tables.edges)
    covered = coverage(tables, samples)
    units = pd.DataFrame({"node": nodes(samples), "split": samples["split"]}).drop_duplicates()
    by_reason = (
        _crossing(reason, units, edges[edges["reason"] == reason])
        for reason in (SAME_CLIP, *REASONS)
    )
    crossings = [crossing for crossing in by_reason if crossing]
    all_edges = _crossing(SEVERAL, units, edges)
    if all_edges and not crossings:
        crossings = [all_edges]
    frames = tables.frames
    frames = frames[frames["category"].isin(samples["category"].unique())]
    frames = frames[frames["compression"].isin(samples["compression"].unique())]
    missed = frames["status"].isin(MISSES).groupby(frames["category"]).sum()
    searched = frames["status"].isin(("ok", *MISSES)).groupby(frames["category"]).sum()
    sizes = pd.crosstab(samples["split"], samples["class"])
    unequal = [s for s in SPLITS if s in sizes.index and sizes.loc[s].min() < sizes.loc[s].max()]
    return Audit(
        all_edges.count if all_edges else 0,
        tuple(crossings),
        tuple(unequal),
        {str(c): round(float(r), 4) for c, r in (missed / searched).items()},
        (*coverage_gaps(covered), *tables.matching_limitations),
        tuple(covered),
        confounding.compression_confounding(samples),
        confounding.still_accuracy(samples),
        compare_misses(frames).differ,
    )


def edges_within(samples: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Return the edges that apply to some samples: all but those of absent fakes.

    A fake connects its two people only if the samples contain it, or a clip that shows the same
    frames. Edges between clips and stills of the same person apply whatever the samples contain.
    """
    pairs = edges["reason"] == "pair"
    if not pairs.any():
        return edges
    sample_nodes = nodes(samples).drop_duplicates()
    same = Graph.of(
        edges[edges["reason"].isin(SAME_CONTENT)], pd.concat([sample_nodes, edges["a"][pairs]])
    )
    sample_content, fake_content = np.split(same.query_components, [len(sample_nodes)])
    absent = pairs.to_numpy().copy()
    absent[absent] = ~np.isin(fake_content, sample_content)
    return edges[~absent]


def with_audit(info: Mapping[str, Any], audit: Audit) -> dict[str, Any]:
    """Return the content of manifest.json with the audit, and a summary as its first line."""
    result = {
        "leaks": audit.leaks,
        "groups_on_several_sides": audit.groups,
        "crossings": [asdict(c) for c in audit.crossings],
        "unequal_splits": list(audit.unequal),
        "miss_rates": audit.miss_rates,
        "misses_differ": audit.misses_differ,
        "not_known": list(audit.limitations),
        "coverage": [asdict(c) for c in audit.coverage],
        "confounded": audit.confounded,
        "compression": asdict(audit.compression) if audit.compression else None,
        "still_accuracy": audit.still_accuracy,
    }
    other_keys = {key: value for key, value in info.items() if key not in ("summary", "audit")}
    return {"summary": _summary(info, audit), **other_keys, "audit": result}


def _summary(info: Mapping[str, Any], audit: Audit) -> str:
    """Return the sentences that every report starts with."""
    split = f"Split: {info['recipe']}"
    if "fold" in info:
        split += ", fold {} of {}".format(*info["fold"])
    if info["settings"].get("leave_out"):
        split += f", {info['settings']['leave_out']} in test only"
    if compressions := info["settings"].get("compression"):
        split += f", {' and '.join(compressions)} only"
    if audit.leaks:
        reasons = ", ".join(ALL_REASONS[c.reason] for c in audit.crossings)
        result = (
            f"{SEVERAL_SPLITS}: {counted(audit.groups, 'identity group')} "
            f"({reasons}). Results on this split are inflated"
        )
    else:
        result = "No identity group is known to be in two splits"
        if audit.limitations:
            result += f", with {counted(len(audit.limitations), 'limitation')}"
    if audit.confounded:
        result += f". {audit.compression}"
    return f"{split}. {result}"


def _crossing(reason: str, units: pd.DataFrame, edges: pd.DataFrame) -> Crossing | None:
    """Return the components that are in several splits, None if there are none.

    Args:
        reason: the reason of the edges, or `SAME_CLIP` or `SEVERAL`.
        units: columns node and split, each pair once.
        edges: the edges that define the components.
    """
    if reason in REASONS and edges.empty:
        return None
    components = units.assign(component=Graph.of(edges, units["node"]).query_components)
    if reason not in (SAME_CLIP, SEVERAL):
        # A clip that is itself in several splits is counted as `SAME_CLIP` only.
        components = components[~components["node"].duplicated(keep=False)]
    crossing = components[components.groupby("component")["split"].transform("nunique") > 1]
    if crossing.empty:
        return None
    crossing = crossing.sort_values("node")
    splits = crossing.groupby("component")["split"].agg(
        lambda s: "+".join(split for split in SPLITS if split in set(s))
    )
    first = crossing[crossing["component"] == crossing["component"].iloc[0]]
    other = first[first["split"] != first["split"].iloc[0]]
    return Crossing(
        reason,
        int(crossing["component"].nunique()),
        {str(k): int(v) for k, v in splits.value_counts().sort_index().items()},
        (str(first["node"].iloc[0]), str(other["node"].iloc[0])),
    )
