"""Official splits: FF++'s lists, CelebA's partition file, and the lists of other sets.

FF++'s lists keep both people of a fake in one split, but 7 of the YouTube videos that are the
source of several clips are in two splits. `clean` excludes whatever connects two splits, for any
known reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import SplitError
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.groups import SAME_CONTENT, Graph, identity_groups, nodes, shortest_paths
from ffpp_tools.sources import official_lists
from ffpp_tools.sources.clip import FFPP_YOUTUBE
from ffpp_tools.splits.audit import SEVERAL, edges_within
from ffpp_tools.splits.group_assignment import assign_groups
from ffpp_tools.store.tables import as_text

# An identity that is in several splits stays in the first of these, so that test splits remain
# comparable with published results.
SPLIT_PRIORITY = ("test", "val", "train")
_UNASSIGNED = len(SPLIT_PRIORITY)  # rank of what is in no list
# Shares of FF++'s lists (720, 140, 140 clips), for categories without a list.
SHARES = {"train": 0.72, "val": 0.14, "test": 0.14}


@dataclass(frozen=True)
class Removed:
    """An identity that is excluded from one split because it is also in another one."""

    who: str  # a node, such as "Youtube/755"
    side: str  # the split that it is excluded from
    kept: str  # the split that it stays in, because of the next field
    because_of: str  # a node of that split, such as "Youtube/756"
    reason: str
    samples: int


@dataclass(frozen=True)
class OfficialSplits:
    """Result of assigning the official splits."""

    split: pd.Series  # of every sample: train, val or test; "" if excluded
    removed: tuple[Removed, ...]
    unlisted: int  # number of FF++ samples that are in none of FF++'s lists, and excluded


def assign_official_splits(
    samples: pd.DataFrame, tables: Dataset, seed: int, clean: bool
) -> OfficialSplits:
    """Assign every sample to a split by the official lists of its set.

    A sample that is in no list goes to the split of its identity group; groups without a split are
    assigned at random. If the lists of a set have only train and test, some of its training groups
    become val.

    Raises:
        SplitError: no list covers any sample.
    """
    split = _listed(samples, tables)
    is_ffpp = samples["category"].isin(FFPP_YOUTUBE)
    if not (split != "").any() or (is_ffpp.any() and not (split[is_ffpp] != "").any()):
        raise SplitError(
            f"{tables.folder} has no official lists for these crops. Expected FF++'s train.json, "
            f"val.json and test.json ({official_lists.WHERE_FROM}), CelebA's "
            f"Eval/list_eval_partition.txt, or another set's lists, which must be next to its data "
            f"when it is extracted"
        )
    # YouTube originals and their fakes are in FF++'s lists or excluded.
    unlisted = (split == "") & is_ffpp
    excluded, removed = pd.Series(False, samples.index), list[Removed]()
    if clean:
        cleaned = _cleaned(samples, split, unlisted, tables)
        split, excluded, removed = cleaned.split, cleaned.excluded, cleaned.removed
        # Excluded samples no longer connect others, so that groups may be smaller.
        remaining = samples[~(excluded | unlisted)]
        group = identity_groups(remaining, edges_within(remaining, tables.edges))
        samples = samples.assign(group=group.reindex(samples.index).fillna(samples["group"]))
    split = _with_val(samples, split, seed)
    return OfficialSplits(
        _with_unlisted(samples, split, excluded | unlisted, seed),
        tuple(removed),
        int(unlisted.sum()),
    )


def _listed(samples: pd.DataFrame, tables: Dataset) -> pd.Series:
    """Return the split of every sample in the official lists; "" if it is in none."""
    official = official_lists.official_splits(tables.folder) or {}
    samples = as_text(samples[["category", "target_id", "partition"]])
    listed = samples["target_id"].map(official).fillna("")
    # FF++'s clips have a partition only where it came with the crops.
    by_target = samples["category"].isin(FFPP_YOUTUBE) & (samples["partition"] == "")
    return samples["partition"].where(~by_target, listed).astype("str")


@dataclass(frozen=True)
class _Cleaned:
    """Result of cleaning."""

    split: pd.Series  # of every sample; "" if it is excluded, or may go to any split
    excluded: pd.Series  # whether a sample is excluded
    removed: list[Removed]


def _cleaned(
    samples: pd.DataFrame, split: pd.Series, unlisted: pd.Series, tables: Dataset
) -> _Cleaned:
    """Exclude what connects two splits.

    Splits claim identities in the order of `SPLIT_PRIORITY`. A clip or still stays in its split if
    no other split has claimed an identity that it shows; its split then claims all of them. Thus
    everything that is connected ends up in one split, and what is excluded shows an identity of an
    earlier split:

        test    006 ── 006_007 ── 007                claims 006, 007
        train   000 ── 000_007                       000_007 shows 007: excluded; 000 stays
    """
    rows = pd.DataFrame({"node": nodes(samples), "split": split, "category": samples["category"]})
    rows = rows[~unlisted]
    units = rows.groupby(["node", "split"], sort=True).size().rename("samples").reset_index()
    ranks = {name: i for i, name in enumerate(SPLIT_PRIORITY)}
    units["rank"] = units["split"].map(ranks).fillna(_UNASSIGNED)
    is_pair = tables.edges["reason"] == "pair"
    other_edges = tables.edges[~is_pair]
    appearances = _appearances(units, tables.edges[is_pair], other_edges)
    rank, stays = _claimed(units["rank"].to_numpy(int), appearances)
    units["rank"] = np.where(stays, rank, units["rank"])
    removed = _removed(units, stays, appearances, other_edges)
    index = pd.MultiIndex.from_frame(units[["node", "split"]])
    unit_of_row = index.get_indexer(pd.MultiIndex.from_frame(rows[["node", "split"]]))
    excluded = pd.Series(False, samples.index)
    excluded[rows.index] = ~stays[unit_of_row]
    unit_split = units["rank"].map(dict(enumerate(SPLIT_PRIORITY))).fillna("").to_numpy()
    new_split = split.copy()
    new_split[rows.index] = unit_split[unit_of_row]
    return _Cleaned(new_split.mask(excluded, ""), excluded, removed)


def _appearances(
    units: pd.DataFrame, pairs: pd.DataFrame, other_edges: pd.DataFrame
) -> pd.DataFrame:
    """Return which identities each clip and still shows.

    Args:
        units: clips and stills; column node.
        pairs: the edges from fakes to their two people, which exist only while the fake does.
        other_edges: all other edges.

    Returns:
        Columns unit (position in `units`), name (node to report if the unit is excluded), pair
        (whether the unit is a fake that shows the identity according to its file name, and is
        itself what is excluded), and people (component of `other_edges`).
    """
    n = len(units)
    people = Graph.of(other_edges, pd.concat([units["node"], pairs["b"]]))
    same = Graph.of(
        other_edges[other_edges["reason"].isin(SAME_CONTENT)],
        pd.concat([units["node"], pairs["a"]]),
    )
    itself = pd.DataFrame(
        {
            "unit": np.arange(n),
            "name": units["node"].to_numpy(),
            "pair": False,
            "people": people.query_components[:n],
        }
    )
    content = pd.DataFrame({"unit": np.arange(n), "content": same.query_components[:n]})
    pair_people = pd.DataFrame(
        {
            "fake": pairs["a"].to_numpy(),
            "person": pairs["b"].to_numpy(),
            "people": people.query_components[n:],
            "content": same.query_components[n:],
        }
    )
    # A clip with the same content as a fake shows the fake's people too.
    by_pair = content.merge(pair_people, on="content")
    unit_node = units["node"].to_numpy()[by_pair["unit"]]
    is_the_fake = by_pair["fake"].to_numpy() == unit_node
    is_youtube = is_the_fake & by_pair["person"].str.startswith("Youtube/")
    by_pair["name"] = by_pair["person"].where(is_youtube, unit_node)
    by_pair["pair"] = is_the_fake & ~is_youtube
    return pd.concat([itself, by_pair[itself.columns]], ignore_index=True)


def _claimed(
    rank: npt.NDArray[np.int_], appearances: pd.DataFrame
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.bool_]]:
    """Return the rank of every unit's split, and whether the unit stays.

    The rank is `_UNASSIGNED` if the unit may go to any split.
    """
    rank, stays = rank.copy(), np.ones(len(rank), bool)
    unit, people = appearances["unit"].to_numpy(), appearances["people"].to_numpy()
    claim = np.full(people.max(initial=-1) + 1, _UNASSIGNED)

    def claimed_by(splits: range) -> npt.NDArray[np.bool_]:
        """Return which units show an identity that one of these splits has claimed."""
        claimed = np.zeros(len(rank), bool)
        claimed[unit[np.isin(claim[people], list(splits))]] = True
        return claimed

    for split in range(len(SPLIT_PRIORITY)):
        listed = rank == split
        stays[listed & claimed_by(range(split))] = False
        claim[people[(listed & stays)[unit]]] = split
    # Units in no list go to the split that has claimed their identities.
    for split in range(len(SPLIT_PRIORITY)):
        other_splits = [i for i in range(len(SPLIT_PRIORITY)) if i != split]
        while True:
            joining = (rank == _UNASSIGNED) & claimed_by(range(split, split + 1))
            joining &= ~np.logical_or.reduce([claimed_by(range(i, i + 1)) for i in other_splits])
            if not joining.any():
                break
            rank[joining] = split
            claim[people[joining[unit]]] = split
    stays[(rank == _UNASSIGNED) & claimed_by(range(len(SPLIT_PRIORITY)))] = False
    return rank, stays


def _removed(
    units: pd.DataFrame,
    stays: npt.NDArray[np.bool_],
    appearances: pd.DataFrame,
    other_edges: pd.DataFrame,
) -> list[Removed]:
    """Return which identities are excluded from which split, and because of which others."""
    appearances = appearances.assign(
        rank=units["rank"].to_numpy()[appearances["unit"]],
        samples=units["samples"].to_numpy()[appearances["unit"]],
    )
    staying = appearances[stays[appearances["unit"]] & (appearances["rank"] != _UNASSIGNED)]
    first = staying.sort_values("name").drop_duplicates("people").set_index("people")
    out = appearances[~stays[appearances["unit"]] & appearances["people"].isin(first.index)]
    out = out.assign(
        kept=first["rank"].reindex(out["people"]).to_numpy(),
        because_of=first["name"].reindex(out["people"]).to_numpy(),
    )
    lowest = out.groupby("unit")["kept"].transform("max")
    out["rank"] = out["rank"].mask(out["rank"] == _UNASSIGNED, lowest)
    out = out[out["kept"] < out["rank"]]
    # A fake is reported as the people it shows, each once, rather than as itself.
    named = out["name"] != units["node"].to_numpy()[out["unit"]]
    out = out[named | ~named.groupby(out["unit"]).transform("any")]
    out = out.sort_values(["kept", "pair"], ascending=[True, False], kind="stable")
    out = out.drop_duplicates(["unit", "name"])
    rows = out.groupby(["name", "rank", "kept", "because_of", "pair"], as_index=False)["samples"]
    rows = rows.sum().sort_values(["name", "rank", "kept"], ignore_index=True)
    paths = shortest_paths(other_edges, list(rows["because_of"].unique()), list(rows["name"]))
    removed = []
    for row, path in zip(rows.itertuples(), paths, strict=True):
        from_cause = path if path and path[0][0] == row.because_of else []
        reasons = {reason for _, _, reason, _ in from_cause} or {
            "pair" if row.pair or row.name == row.because_of else SEVERAL
        }
        removed.append(
            Removed(
                row.name,
                SPLIT_PRIORITY[int(row.rank)],
                SPLIT_PRIORITY[int(row.kept)],
                row.because_of,
                reasons.pop() if len(reasons) == 1 else SEVERAL,
                int(row.samples),
            )
        )
    return removed


def _with_val(samples: pd.DataFrame, split: pd.Series, seed: int) -> pd.Series:
    """Move some training groups to val, in categories whose lists have no val split."""
    other = ~samples["category"].isin(FFPP_YOUTUBE)  # FF++'s lists have a val split
    counts = pd.crosstab(samples["category"][other], split[other])
    without_val = [
        category
        for category, row in counts.iterrows()
        if row.get("train", 0) and row.get("test", 0) and not row.get("val", 0)
    ]
    movable = samples[samples["category"].isin(without_val) & (split == "train")]
    if movable.empty:
        return split
    val_share = SHARES["val"] / (SHARES["train"] + SHARES["val"])
    assigned = assign_groups(movable, {"train": 1 - val_share, "val": val_share}, seed)
    val_groups = {group for group, group_split in assigned.items() if group_split == "val"}
    return split.mask(samples["group"].isin(val_groups) & (split == "train"), "val")


def _with_unlisted(
    samples: pd.DataFrame, split: pd.Series, excluded: pd.Series, seed: int
) -> pd.Series:
    """Assign samples without a split to that of their group, or whole groups at random."""
    ranks = {name: i for i, name in enumerate(SPLIT_PRIORITY)}
    rank = split.map(ranks).dropna().groupby(samples["group"]).min()
    group_split = samples["group"].map(rank).map(dict(enumerate(SPLIT_PRIORITY)))
    split = split.mask((split == "") & ~excluded & group_split.notna(), group_split)
    unassigned = samples[(split == "") & ~excluded]
    if len(unassigned):
        listed = set(samples["category"][split != ""])
        spread = [c for c in unassigned["category"].unique() if c not in listed]
        assigned = unassigned["group"].map(assign_groups(unassigned, SHARES, seed, spread))
        split = split.mask(split.index.isin(unassigned.index), assigned.reindex(split.index))
    return split
