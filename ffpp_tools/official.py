"""The sides that the sets' own lists give: FF++'s official splits, CelebA's partition, and others'.

FF++'s lists keep both people of a fake on one side, but 7 of the YouTube videos that gave several
clips are on two; `clean` leaves out whoever is on a second side.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ffpp_tools import lists
from ffpp_tools.assign import assign_groups
from ffpp_tools.clip import FFPP_YOUTUBE
from ffpp_tools.dataset import Dataset
from ffpp_tools.errors import SplitError
from ffpp_tools.groups import Graph, knots
from ffpp_tools.rows import SPLITS

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


def sides(
    samples: pd.DataFrame, tables: Dataset, seed: int, clean: bool
) -> tuple[pd.Series, list[Removed]]:
    """The side of every sample: train, val, test, or nothing where it was removed.

    Categories that come without lists are given to sides by whole groups.

    Raises:
        SplitError: no list covers any sample.
    """
    side = _listed(samples, tables)
    if not (side != "").any():
        raise SplitError(
            f"{tables.folder} holds no lists that cover these crops: FF++'s train.json, val.json "
            f"and test.json ({lists.WHERE_FROM}), CelebA's Eval/list_eval_partition.txt, or the "
            f"lists of another set, beside its data when it is extracted"
        )
    removed: list[Removed] = []
    if clean:
        side, removed = _cleaned(samples, side, tables)
    return _filled(samples, side, {r.who for r in removed}, seed), removed


def _listed(samples: pd.DataFrame, tables: Dataset) -> pd.Series:
    official = lists.official_splits(tables.folder) or {}
    listed = samples["target_id"].map(official).fillna("")
    return samples["partition"].where(~samples["category"].isin(FFPP_YOUTUBE), listed).astype("str")


def _cleaned(
    samples: pd.DataFrame, side: pd.Series, tables: Dataset
) -> tuple[pd.Series, list[Removed]]:
    """Whoever is on several sides stays on one only."""
    tied = tables.ties[tables.ties["reason"] != "pair"]
    people = _people(samples, side)
    graph = Graph.of(tied, people["who"])
    people = people.assign(group=graph.component[graph.at])
    people["rank"] = people["side"].map({name: i for i, name in enumerate(KEPT)})
    removed = []
    for _, members in people.groupby("group"):
        if members["side"].nunique() < 2:
            continue
        members = members.sort_values(["rank", "who"])
        kept = members.iloc[0]
        for row in members[members["side"] != kept["side"]].itertuples():
            ours = _shows(samples, row.who) & (side == row.side)
            reasons = tied[(tied["a"] == row.who) | (tied["b"] == row.who)]["reason"]
            removed.append(
                Removed(
                    row.who, row.side, kept["side"], kept["who"], reasons.iloc[0], int(ours.sum())
                )
            )
            side = side.mask(ours, "")
    return side, sorted(removed, key=lambda r: r.who)


def _people(samples: pd.DataFrame, side: pd.Series) -> pd.DataFrame:
    """Who is on which side: columns who (a knot) and side, each pair once."""
    youtube = samples["category"].isin(FFPP_YOUTUBE)
    found = [pd.DataFrame({"who": knots(samples)[~youtube], "side": side[~youtube]})]
    for person in ("target_id", "source_id"):
        named = youtube & (samples[person] != "")
        found.append(
            pd.DataFrame({"who": "Youtube/" + samples[person][named], "side": side[named]})
        )
    every = pd.concat(found, ignore_index=True).drop_duplicates()
    return every[every["side"] != ""]


def _shows(samples: pd.DataFrame, who: str) -> pd.Series:
    """Which samples show a person."""
    category, name = who.split("/", 1)
    if category != "Youtube":
        return knots(samples) == who
    youtube = samples["category"].isin(FFPP_YOUTUBE)
    return youtube & ((samples["target_id"] == name) | (samples["source_id"] == name))


def _filled(samples: pd.DataFrame, side: pd.Series, removed: set[str], seed: int) -> pd.Series:
    """Samples without a side go to their group's, else by whole groups to all three."""
    ranks = {name: i for i, name in enumerate(KEPT)}
    rank = side.map(ranks).dropna().groupby(samples["group"]).min()
    own = samples["group"].map(rank).map(dict(enumerate(KEPT)))
    gone = (
        (side == "") & pd.concat([_shows(samples, w) for w in removed], axis=1).any(axis=1)
        if removed
        else pd.Series(False, samples.index)
    )
    # FF++'s own clips are on their lists or on none.
    open_ = (side == "") & ~gone & ~samples["category"].isin(FFPP_YOUTUBE)
    side = side.mask(open_ & own.notna(), own)
    free = samples[open_ & own.isna()]
    if len(free):
        given = free["group"].map(assign_groups(free, SHARES, seed))
        side = side.where(~side.index.isin(free.index), given.reindex(side.index))
    assert set(side) <= {*SPLITS, ""}
    return side
