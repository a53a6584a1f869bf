"""The sides that the sets' own lists give: FF++'s official splits, CelebA's partition, and others'.

FF++'s lists keep both people of a fake in one split, but 7 of the YouTube videos that gave several
clips are in two. `clean` leaves out whatever would connect two splits, for any known reason.
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

# The first of these that has a person keeps it: test splits stay what others report on.
SPLIT_PRIORITY = ("test", "val", "train")
_OPEN = len(SPLIT_PRIORITY)  # the rank of what no list gives to a split
# What FF++'s lists give to each side, for categories that come without any: 720, 140, 140 clips.
SHARES = {"train": 0.72, "val": 0.14, "test": 0.14}


@dataclass(frozen=True)
class Removed:
    """A person left out of one side, being on another as well."""

    who: str  # a knot, such as "Youtube/755"
    side: str  # the one that it was taken from
    kept: str  # the side that kept it, by what is named next
    because_of: str  # a knot there, such as "Youtube/756"
    reason: str
    samples: int


@dataclass(frozen=True)
class OfficialSplits:
    """What the lists come to."""

    side: pd.Series  # of every sample: train, val, test, or nothing where it was left out
    removed: tuple[Removed, ...]
    unlisted: int  # samples of FF++ on none of its lists, left out


def assign_official_splits(
    samples: pd.DataFrame, tables: Dataset, seed: int, clean: bool
) -> OfficialSplits:
    """The side of every sample by the sets' own lists.

    What no list names goes where its group is, else by whole groups. Where a set's lists know train
    and test only, some of train's groups become val.

    Raises:
        SplitError: no list covers any sample.
    """
    side = _listed(samples, tables)
    of_ffpp = samples["category"].isin(FFPP_YOUTUBE)
    if not (side != "").any() or (of_ffpp.any() and not (side[of_ffpp] != "").any()):
        raise SplitError(
            f"{tables.folder} holds no lists that cover these crops: FF++'s train.json, val.json "
            f"and test.json ({official_lists.WHERE_FROM}), CelebA's Eval/list_eval_partition.txt, "
            f"or the lists of another set, beside its data when it is extracted"
        )
    # FF++'s own clips are on its lists or on none.
    unlisted = (side == "") & of_ffpp
    gone, removed = pd.Series(False, samples.index), list[Removed]()
    if clean:
        found = _cleaned(samples, side, unlisted, tables)
        side, gone, removed = found.side, found.gone, found.removed
        # What is gone ties nobody any more.
        left = samples[~(gone | unlisted)]
        group = identity_groups(left, edges_within(left, tables.edges))
        samples = samples.assign(group=group.reindex(samples.index).fillna(samples["group"]))
    side = _with_val(samples, side, seed)
    return OfficialSplits(
        _filled(samples, side, gone | unlisted, seed),
        tuple(removed),
        int(unlisted.sum()),
    )


def _listed(samples: pd.DataFrame, tables: Dataset) -> pd.Series:
    official = official_lists.official_splits(tables.folder) or {}
    samples = as_text(samples[["category", "target_id", "partition"]])
    listed = samples["target_id"].map(official).fillna("")
    return samples["partition"].where(~samples["category"].isin(FFPP_YOUTUBE), listed).astype("str")


@dataclass(frozen=True)
class _Clean:
    """What cleaning comes to."""

    side: pd.Series  # of every sample; nothing where it goes, or may go to any split
    gone: pd.Series  # whether a sample is left out
    removed: list[Removed]


def _cleaned(
    samples: pd.DataFrame, side: pd.Series, unlisted: pd.Series, tables: Dataset
) -> _Clean:
    """Leave out what would connect two splits.

    Splits claim people in the order of `SPLIT_PRIORITY`. A clip or still stays if nobody whom it
    shows is claimed by another split; then its split claims them all. So whatever is tied together
    is in one split in the end, and what goes shows somebody whom a split before its own has:

        test    006 ── 006_007 ── 007                claims 006, 007
        train   000 ── 000_007                       000_007 shows 007 and goes, 000 stays
    """
    every = pd.DataFrame({"knot": nodes(samples), "side": side, "category": samples["category"]})
    every = every[~unlisted]
    units = every.groupby(["knot", "side"], sort=True).size().rename("samples").reset_index()
    units["rank"] = (
        units["side"].map({name: i for i, name in enumerate(SPLIT_PRIORITY)}).fillna(_OPEN)
    )
    pairs = tables.edges["reason"] == "pair"
    lasting = tables.edges[~pairs]
    shown = _shown(units, tables.edges[pairs], lasting)
    rank, stays = _claimed(units["rank"].to_numpy(int), shown)
    units["rank"] = np.where(stays, rank, units["rank"])
    removed = _removed(units, stays, shown, lasting)
    place = pd.MultiIndex.from_frame(units[["knot", "side"]])
    at = place.get_indexer(pd.MultiIndex.from_frame(every[["knot", "side"]]))
    gone = pd.Series(False, samples.index)
    gone[every.index] = ~stays[at]
    given = units["rank"].map(dict(enumerate(SPLIT_PRIORITY))).fillna("").to_numpy()
    new = side.copy()
    new[every.index] = given[at]
    return _Clean(new.mask(gone, ""), gone, removed)


def _shown(units: pd.DataFrame, pairs: pd.DataFrame, lasting: pd.DataFrame) -> pd.DataFrame:
    """Who is seen in which unit.

    Args:
        units: clips and stills; column knot.
        pairs: the ties of fakes to their two people, which hold while the fake is there.
        lasting: all other ties.

    Returns:
        Columns unit (its position), name (what it is called when it is left out), pair (whether the
        unit is a fake that shows them by its name, and is itself what is left out), and people: the
        number of a component of lasting ties.
    """
    n = len(units)
    people = Graph.of(lasting, pd.concat([units["knot"], pairs["b"]]))
    same = Graph.of(
        lasting[lasting["reason"].isin(SAME_CONTENT)], pd.concat([units["knot"], pairs["a"]])
    )
    itself = pd.DataFrame(
        {
            "unit": np.arange(n),
            "name": units["knot"].to_numpy(),
            "pair": False,
            "people": people.query_components[:n],
        }
    )
    content = pd.DataFrame({"unit": np.arange(n), "content": same.query_components[:n]})
    named = pd.DataFrame(
        {
            "fake": pairs["a"].to_numpy(),
            "person": pairs["b"].to_numpy(),
            "people": people.query_components[n:],
            "content": same.query_components[n:],
        }
    )
    by_name = content.merge(named, on="content")
    own_knot = units["knot"].to_numpy()[by_name["unit"]]
    own = by_name["fake"].to_numpy() == own_knot
    person = own & by_name["person"].str.startswith("Youtube/")
    by_name["name"] = by_name["person"].where(person, own_knot)
    by_name["pair"] = own & ~person
    return pd.concat([itself, by_name[itself.columns]], ignore_index=True)


def _claimed(
    rank: npt.NDArray[np.int_], shown: pd.DataFrame
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.bool_]]:
    """The split of every unit by rank, and whether it stays; `_OPEN` is free to go anywhere."""
    rank, stays = rank.copy(), np.ones(len(rank), bool)
    unit, people = shown["unit"].to_numpy(), shown["people"].to_numpy()
    claim = np.full(people.max(initial=-1) + 1, _OPEN)

    def others(splits: range) -> npt.NDArray[np.bool_]:
        """Which units show somebody whom one of these splits has."""
        found = np.zeros(len(rank), bool)
        found[unit[np.isin(claim[people], list(splits))]] = True
        return found

    for split in range(len(SPLIT_PRIORITY)):
        listed = rank == split
        stays[listed & others(range(split))] = False
        claim[people[(listed & stays)[unit]]] = split
    for split in range(
        len(SPLIT_PRIORITY)
    ):  # what no list names goes where those are whom it shows
        elsewhere = [i for i in range(len(SPLIT_PRIORITY)) if i != split]
        while True:
            found = (rank == _OPEN) & others(range(split, split + 1))
            found &= ~np.logical_or.reduce([others(range(i, i + 1)) for i in elsewhere])
            if not found.any():
                break
            rank[found] = split
            claim[people[found[unit]]] = split
    stays[(rank == _OPEN) & others(range(len(SPLIT_PRIORITY)))] = False
    return rank, stays


def _removed(
    units: pd.DataFrame,
    stays: npt.NDArray[np.bool_],
    shown: pd.DataFrame,
    lasting: pd.DataFrame,
) -> list[Removed]:
    """Who was left out of which split, and for whose sake."""
    shown = shown.assign(
        rank=units["rank"].to_numpy()[shown["unit"]],
        samples=units["samples"].to_numpy()[shown["unit"]],
    )
    there = shown[stays[shown["unit"]] & (shown["rank"] != _OPEN)]
    first = there.sort_values("name").drop_duplicates("people").set_index("people")
    out = shown[~stays[shown["unit"]] & shown["people"].isin(first.index)]
    out = out.assign(
        kept=first["rank"].reindex(out["people"]).to_numpy(),
        because_of=first["name"].reindex(out["people"]).to_numpy(),
    )
    lowest = out.groupby("unit")["kept"].transform("max")
    out["rank"] = out["rank"].mask(out["rank"] == _OPEN, lowest)
    out = out[out["kept"] < out["rank"]]
    # A fake is named by whom it shows rather than by itself, and each of them once.
    named = out["name"] != units["knot"].to_numpy()[out["unit"]]
    out = out[named | ~named.groupby(out["unit"]).transform("any")]
    out = out.sort_values(["kept", "pair"], ascending=[True, False], kind="stable")
    out = out.drop_duplicates(["unit", "name"])
    rows = out.groupby(["name", "rank", "kept", "because_of", "pair"], as_index=False)["samples"]
    rows = rows.sum().sort_values(["name", "rank", "kept"], ignore_index=True)
    found = shortest_paths(lasting, list(rows["because_of"].unique()), list(rows["name"]))
    removed = []
    for row, chain in zip(rows.itertuples(), found, strict=True):
        direct = chain if chain and chain[0][0] == row.because_of else []
        reasons = {reason for _, _, reason, _ in direct} or {
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


def _with_val(samples: pd.DataFrame, side: pd.Series, seed: int) -> pd.Series:
    """Where a category's lists name no val, some of its train groups, whole."""
    other = ~samples["category"].isin(FFPP_YOUTUBE)  # FF++'s lists name val
    counts = pd.crosstab(samples["category"][other], side[other])
    without = [
        category
        for category, row in counts.iterrows()
        if row.get("train", 0) and row.get("test", 0) and not row.get("val", 0)
    ]
    open_ = samples[samples["category"].isin(without) & (side == "train")]
    if open_.empty:
        return side
    val = SHARES["val"] / (SHARES["train"] + SHARES["val"])
    given = assign_groups(open_, {"train": 1 - val, "val": val}, seed)
    moved = samples["group"].isin({group for group, part in given.items() if part == "val"})
    return side.mask(moved & (side == "train"), "val")


def _filled(samples: pd.DataFrame, side: pd.Series, left_out: pd.Series, seed: int) -> pd.Series:
    """Samples without a side go to their group's, else by whole groups to all three."""
    ranks = {name: i for i, name in enumerate(SPLIT_PRIORITY)}
    rank = side.map(ranks).dropna().groupby(samples["group"]).min()
    own = samples["group"].map(rank).map(dict(enumerate(SPLIT_PRIORITY)))
    side = side.mask((side == "") & ~left_out & own.notna(), own)
    free = samples[(side == "") & ~left_out]
    if len(free):
        listed = set(samples["category"][side != ""])
        spread = [c for c in free["category"].unique() if c not in listed]
        given = free["group"].map(assign_groups(free, SHARES, seed, spread))
        side = side.mask(side.index.isin(free.index), given.reindex(side.index))
    return side
