"""The sides that the sets' own lists give: FF++'s official splits, CelebA's partition, and others'.

FF++'s lists keep both people of a fake on one side, but 7 of the YouTube videos that gave several
clips are on two; `clean` leaves out whoever is on a second side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ffpp_tools import lists
from ffpp_tools.assign import assign_groups
from ffpp_tools.audit import SEVERAL, ties_within
from ffpp_tools.clip import FFPP_YOUTUBE
from ffpp_tools.dataset import Dataset
from ffpp_tools.errors import SplitError
from ffpp_tools.groups import Graph, categories, groups, knots, why

# The first of these that has a person keeps it: test splits stay what others report on.
KEPT = ("test", "val", "train")
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
class Sides:
    """What the lists come to."""

    side: pd.Series  # of every sample: train, val, test, or nothing where it was left out
    removed: tuple[Removed, ...]
    unlisted: int  # samples of FF++ on none of its lists, left out


def sides(samples: pd.DataFrame, tables: Dataset, seed: int, clean: bool) -> Sides:
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
            f"and test.json ({lists.WHERE_FROM}), CelebA's Eval/list_eval_partition.txt, or the "
            f"lists of another set, beside its data when it is extracted"
        )
    removed: list[Removed] = []
    gone = pd.Series(False, samples.index)
    if clean:
        gone, removed = _cleaned(samples, side, tables)
        # Fakes that are gone tie nobody any more.
        left = samples[~gone]
        group = groups(left, ties_within(left, tables.ties))
        samples = samples.assign(group=group.reindex(samples.index).fillna(samples["group"]))
    side = _with_val(samples, side.mask(gone, ""), seed)
    # FF++'s own clips are on its lists or on none.
    unlisted = (side == "") & ~gone & of_ffpp
    return Sides(
        _filled(samples, side, gone | unlisted, seed),
        tuple(removed),
        int(unlisted.sum()),
    )


def _listed(samples: pd.DataFrame, tables: Dataset) -> pd.Series:
    official = lists.official_splits(tables.folder) or {}
    listed = samples["target_id"].map(official).fillna("")
    return samples["partition"].where(~samples["category"].isin(FFPP_YOUTUBE), listed).astype("str")


def _cleaned(
    samples: pd.DataFrame, side: pd.Series, tables: Dataset
) -> tuple[pd.Series, list[Removed]]:
    """Which samples go, so that whoever is on several sides stays on one only; and who that is."""
    shown = _shown(samples, side)
    # FF++'s fakes are looked at as the two people that they show, and tie nobody else.
    fakes = categories(tables.ties["a"]).isin(FFPP_YOUTUBE)
    tied = tables.ties[(tables.ties["reason"] != "pair") | ~fakes]
    graph = Graph.of(tied, pd.concat([shown["who"], tied["a"]]))
    group_of_shown, group_of_tie = np.split(graph.component[graph.at], [len(shown)])
    shown = shown.assign(group=group_of_shown)
    shown["rank"] = shown["side"].map({name: i for i, name in enumerate(KEPT)})
    people = shown.groupby(["group", "rank", "who", "side"]).size().rename("n").reset_index()
    first = people.groupby("group")[["who", "side", "rank"]].transform("first")
    leaving = people[people["rank"] > first["rank"]]
    near = tied[np.isin(group_of_tie, leaving["group"])]
    removed = [
        Removed(
            row.who,
            row.side,
            first.loc[row.Index, "side"],
            first.loc[row.Index, "who"],
            _reason(near, row.who, first.loc[row.Index, "who"]),
            int(row.n),
        )
        for row in leaving.sort_values("who").itertuples()
    ]
    keys = shown["who"] + " " + shown["side"]
    goes = keys.isin(set(leaving["who"] + " " + leaving["side"]))
    return pd.Series(samples.index.isin(shown["sample"][goes]), samples.index), removed


def _reason(tied: pd.DataFrame, who: str, other: str) -> str:
    """Why two knots are one person: one reason, or that there are several in a row."""
    reasons = {reason for _, _, reason, _ in why(tied, who, other)}
    if not reasons:
        return "pair"  # the same person, by a fake across the lists
    return reasons.pop() if len(reasons) == 1 else SEVERAL


def _shown(samples: pd.DataFrame, side: pd.Series) -> pd.DataFrame:
    """Who is seen in which sample: columns sample, who (a knot) and side."""
    youtube = samples["category"].isin(FFPP_YOUTUBE)
    who = [knots(samples)[~youtube]]
    for person in ("target_id", "source_id"):
        named = youtube & (samples[person] != "")
        who.append("Youtube/" + samples[person][named])
    every = pd.concat(who)
    table = pd.DataFrame({"sample": every.index, "who": every.to_numpy()})
    table["side"] = side.loc[every.index].to_numpy()
    return table[table["side"] != ""]


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
    ranks = {name: i for i, name in enumerate(KEPT)}
    rank = side.map(ranks).dropna().groupby(samples["group"]).min()
    own = samples["group"].map(rank).map(dict(enumerate(KEPT)))
    side = side.mask((side == "") & ~left_out & own.notna(), own)
    free = samples[(side == "") & ~left_out]
    if len(free):
        listed = set(samples["category"][side != ""])
        spread = [c for c in free["category"].unique() if c not in listed]
        given = free["group"].map(assign_groups(free, SHARES, seed, spread))
        side = side.mask(side.index.isin(free.index), given.reindex(side.index))
    return side
