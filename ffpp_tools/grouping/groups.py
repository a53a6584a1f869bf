"""What must not be separated: what shows the same person, directly or by way of a fake; and why.

Knots are clips and stills ("Youtube/183", "CelebA/000055") and what several of them share ("actor
01", "identity 2929"); every tie between two knots has a reason:

    Youtube/183 ──pair── Deepfakes/183_253 ──pair── Youtube/253        one group
    CelebA/000055 ──identity── identity 2929 ──identity── CelebA/000731
         └── photograph ── photograph 000055 ── photograph ── CelebA-HQ/17
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import TableError
from ffpp_tools.store.schema import STILL
from ffpp_tools.store.tables import as_text

REASONS = {
    "pair": "a fake shows both its target and its source",
    "video": "clips cut from the same YouTube video",
    "actor": "clips of the same actor",
    "identity": "photographs of the same person, by the set's identity file",
    "photograph": "made from the same photograph of CelebA",
    "identical": "the same file, or the same crops",
    "near": "the same photograph or video, scaled or compressed",
    "embedding": "faces that look like the same person's",
}
# What a number in a clip's name counts; FF++'s fakes are made of Youtube's clips.
HUBS = {
    "Actors": "actor",
    "DeepFakeDetection": "actor",
    "Celeb-real": "person",
    "Celeb-synthesis": "person",
    "DFDC-real": "DFDC-real/",
    "DFDC-fake": "DFDC-real/",
    "YouTube-real": "YouTube-real/",
}
IDENTITIES = {"CelebA-HQ": "CelebA"}  # whose identity file counts a category's people
EDGE_COLUMNS = ("a", "b", "reason", "detail")
SAME_CONTENT = ("identical", "near")  # reasons that say that two clips show the same frames
NO_NODE = -9999  # what scipy's searches call the predecessor of what they did not reach

Edge = tuple[str, str, str, str]  # two knots, the reason, and its detail


def nodes(frames: pd.DataFrame) -> pd.Series:
    """The knot of every row: "category/clip", whatever its compression."""
    if not all(isinstance(frames[c].dtype, pd.CategoricalDtype) for c in ("category", "clip")):
        text = as_text(frames[["category", "clip"]])
        return text["category"] + "/" + text["clip"]
    category, clip = frames["category"].cat, frames["clip"].cat
    pairs = category.codes.to_numpy(np.int64) * len(clip.categories) + clip.codes.to_numpy()
    codes, found = pd.factorize(pairs)
    first, second = np.divmod(found, len(clip.categories))
    names = category.categories[first].astype("str") + "/" + clip.categories[second].astype("str")
    return pd.Series(names.array.take(codes), frames.index, dtype="str")


def node_categories(names: pd.Series) -> pd.Series:
    """The category of every knot that is a clip or still."""
    return names.str.split("/", n=1).str[0]


def identity_edges(
    frames: pd.DataFrame,
    videos: Mapping[str, str] | None = None,
    duplicates: pd.DataFrame | None = None,
    identities: pd.DataFrame | None = None,
    people: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Everything that is known to tie clips and stills together.

    Args:
        frames: columns of `FrameRow`.
        videos: clip of Youtube → the YouTube video it comes from, as `lists.youtube_videos` says.
        duplicates: columns as in `DuplicateRow`.
        identities: columns as in `IdentityRow`.
        people: number of a CelebA photograph → who is on it, as `lists.celeba_people` says.

    Returns:
        Columns a, b (knots), reason (one of `REASONS`) and detail (str, may be empty).
    """
    units = as_text(frames.drop_duplicates(["category", "clip"]))
    units = units.assign(knot=nodes(units))
    clips, stills = units[units["compression"] != STILL], units[units["compression"] == STILL]
    found = [*_of_clips(clips), *_of_stills(stills, people or {})]
    if videos:
        everybody = pd.Index(pd.concat([clips["knot"], *(t["b"] for t in found)]).unique())
        youtube = everybody[everybody.str.startswith("Youtube/")]
        source = youtube.str.removeprefix("Youtube/").map(dict(videos))
        known = source.notna()
        found.append(_ties(youtube[known], "video " + source[known].astype("str"), "video"))
    for table, reason in ((duplicates, None), (identities, "embedding")):
        if table is not None:
            pairs = table[table["partner"] != ""]
            distance = pairs["distance"].round(3).astype("str")
            reasons = pairs["kind"] if reason is None else reason
            found.append(_ties(pairs["item"], pairs["partner"], reasons, "distance " + distance))
    table = pd.concat([_NONE, *found], ignore_index=True)
    return table[table["a"] != table["b"]].drop_duplicates(ignore_index=True)


def identity_groups(frames: pd.DataFrame, tied: pd.DataFrame) -> pd.Series:
    """The group of every row of a ledger.

    Args:
        frames: columns of `FrameRow`.
        tied: what `identity_edges` returned.

    Returns:
        Group names (str) with the index of `frames`. A group is named after the first of its
        knots that is no fake, so that names do not depend on the order of the rows.
    """
    own = nodes(frames)
    graph = Graph.of(tied, own)
    members = pd.DataFrame({"name": graph.names, "group": graph.component}).astype({"name": "str"})
    members["fake"] = members["name"].isin(own[frames["label"] == "fake"].unique())
    first = members.sort_values(["fake", "name"]).drop_duplicates("group").set_index("group")
    names = first["name"].loc[graph.asked]
    return pd.Series(names.to_numpy(), frames.index, dtype="str")


def resolve_node(frames: pd.DataFrame, name: str) -> str:
    """The knot that a person means by "Deepfakes/183_253", "Deepfakes/c40/183_253/000025" or "183".

    Raises:
        TableError: no clip or still is called so, or several are.
    """
    frames = as_text(frames[["frame_id", "category", "compression", "clip"]])
    own = nodes(frames)
    parts = frames["category"] + "/" + frames["compression"] + "/" + frames["clip"]
    exact = (own == name) | (parts == name) | (frames["frame_id"] == name)
    # A face's id may have its track behind the frame's.
    exact |= frames["frame_id"] == name.rsplit("/", 1)[0]
    found = own[exact].unique() if exact.any() else own[frames["clip"] == name].unique()
    if len(found) != 1:
        if len(found):
            told = f"{len(found)} clips or stills; did you mean {', '.join(sorted(found)[:4])}?"
        else:
            told = f"no clip or still here; they are called as {own.iloc[0]} is, category/name"
        raise TableError(f"{name!r} names {told}")
    return str(found[0])


def shortest_path(tied: pd.DataFrame, a: str, b: str) -> list[Edge]:
    """The shortest chain of ties from one knot to another: (from, to, reason, detail) each.

    Empty if nothing ties them, or if they are the same.
    """
    (chain,) = shortest_paths(tied, [a], [b])
    return chain


def shortest_paths(
    tied: pd.DataFrame, roots: Sequence[str], ends: Sequence[str]
) -> list[list[Edge]]:
    """The shortest chain of ties to each knot of `ends` from the nearest of `roots`.

    One search answers for all of them: it starts from a node that is put before every root.

    Returns:
        For each end its chain as `shortest_path` has it; empty where no root is tied to it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    both = pd.concat(
        [tied["a"], tied["b"], pd.Series([*roots, *ends], dtype="str")], ignore_index=True
    )
    codes, names = pd.factorize(both)
    n, start = len(tied), len(names)
    first, second, rest = codes[:n], codes[n : 2 * n], codes[2 * n :]
    heads, tails = np.unique(rest[: len(roots)]), rest[len(roots) :]
    rows = np.concatenate([first, np.full(len(heads), start)])
    columns = np.concatenate([second, heads])
    matrix = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (start + 1, start + 1))
    _, before = breadth_first_order(matrix.tocsr(), start, directed=False)
    steps: list[list[tuple[int, int]]] = []
    for end in tails.tolist():
        path: list[tuple[int, int]] = []
        while before[end] not in (start, NO_NODE):
            path.append((int(before[end]), end))
            end = int(before[end])
        steps.append(path[::-1])
    on_way = {step for path in steps for step in path}
    near = np.isin(first, [node for step in on_way for node in step])
    reasons: dict[tuple[int, int], tuple[str, str]] = {}
    for a, b, reason, detail in zip(
        first[near].tolist(),
        second[near].tolist(),
        tied["reason"][near],
        tied["detail"][near],
        strict=True,
    ):
        reasons[a, b] = reasons[b, a] = (reason, detail)
    return [[(names[a], names[b], *reasons[a, b]) for a, b in path] for path in steps]


@dataclass(frozen=True)
class Graph:
    """Knots and the ties between them, by position."""

    names: npt.NDArray[np.object_]
    component: npt.NDArray[np.int32]  # of each knot
    at: npt.NDArray[np.intp]  # where the knots stand that it was asked about

    @property
    def asked(self) -> npt.NDArray[np.int32]:
        """The component of each knot that it was asked about."""
        return np.asarray(self.component[self.at])

    @classmethod
    def of(cls, tied: pd.DataFrame, asked: pd.Series) -> Graph:
        """The knots of some ties, and those that are asked about, which may be tied to none."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        both = pd.concat([tied["a"], tied["b"], asked], ignore_index=True)
        codes, names = pd.factorize(both)
        n = len(tied)
        ones = np.ones(n, np.int8)
        matrix = coo_array((ones, (codes[:n], codes[n : 2 * n])), (len(names), len(names)))
        component = connected_components(matrix.tocsr(), directed=False)[1]
        return cls(np.asarray(names, object), component, codes[2 * n :])


_NONE = pd.DataFrame({column: pd.Series(dtype="str") for column in EDGE_COLUMNS})


def _ties(
    a: pd.Series | pd.Index, b: pd.Series | pd.Index, reason: str | pd.Series, detail: object = ""
) -> pd.DataFrame:
    columns = {"a": a, "b": b, "reason": reason, "detail": detail}
    values = {k: v.to_numpy() if isinstance(v, pd.Series) else v for k, v in columns.items()}
    return pd.DataFrame(values).astype("str")


def _of_clips(clips: pd.DataFrame) -> list[pd.DataFrame]:
    """Fakes and their target and source; clips of one actor."""
    reason = clips["label"].map({"fake": "pair", "real": "actor"})
    found = []
    for person in ("target_id", "source_id"):
        named = clips[person] != ""
        found.append(_ties(clips["knot"][named], person_nodes(clips[named], person), reason[named]))
    return found


def person_nodes(clips: pd.DataFrame, person: str) -> pd.Series:
    """The knots of the people in a column of clips, such as "Youtube/183" or "actor 01"."""
    hub = clips["category"].map(lambda category: HUBS.get(category, "Youtube/"))
    hub = hub.where(hub.str.endswith("/"), hub + " ")
    return (hub + clips[person]).astype("str")


def still_identities(stills: pd.DataFrame, people: Mapping[str, str]) -> pd.Series:
    """Who is on each still, such as "CelebA/2880"; empty where no identity file tells."""
    whose = stills["category"].map(lambda category: IDENTITIES.get(category, category))
    named = (whose + "/" + stills["target_id"]).where(stills["target_id"] != "", "")
    by_photo = stills["photo"].map(dict(people)).fillna("").astype("str")
    by_photo = ("CelebA/" + by_photo).where(by_photo != "", "")
    return named.where(named != "", by_photo).astype("str")


def _of_stills(stills: pd.DataFrame, people: Mapping[str, str]) -> list[pd.DataFrame]:
    """Photographs of one person, and pictures made from one photograph."""
    person = still_identities(stills, people)
    known, shared = person != "", stills["photo"] != ""
    identity = "identity " + person[known]
    photo = "photograph " + stills["photo"][shared]
    return [
        _ties(stills["knot"][known], identity, "identity"),
        _ties(stills["knot"][shared], photo, "photograph"),
    ]
