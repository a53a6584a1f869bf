"""Identity groups: connected components of the graph of clips and stills that share a person.

Nodes are clips and stills ("Youtube/183", "CelebA/000055") and what several of them share ("actor
01", "identity 2929"). Every edge between two nodes has a reason:

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
    "identity": "photographs of the same person, according to the set's identity file",
    "photograph": "created from the same photograph of CelebA",
    "identical": "the same file, or the same crops",
    "near": "the same photograph or video, scaled or compressed",
    "embedding": "matching face embeddings",
}
# Category → prefix of the person node that a number in a clip's name refers to. The default is
# "Youtube/": FF++'s fakes are created from Youtube clips.
HUBS = {
    "Actors": "actor",
    "DeepFakeDetection": "actor",
    "Celeb-real": "person",
    "Celeb-synthesis": "person",
    "DFDC-real": "DFDC-real/",
    "DFDC-fake": "DFDC-real/",
    "YouTube-real": "YouTube-real/",
}
IDENTITIES = {"CelebA-HQ": "CelebA"}  # category → the set whose identity file labels its people
EDGE_COLUMNS = ("a", "b", "reason", "detail")
SAME_CONTENT = ("identical", "near")  # reasons for which two clips show the same frames
NO_NODE = -9999  # predecessor of unreached nodes in scipy's graph searches

Edge = tuple[str, str, str, str]  # two nodes, the reason, and its detail


def nodes(frames: pd.DataFrame) -> pd.Series:
    """Return the node of every row: "category/clip", the same for all compressions."""
    if not all(isinstance(frames[c].dtype, pd.CategoricalDtype) for c in ("category", "clip")):
        text = as_text(frames[["category", "clip"]])
        return text["category"] + "/" + text["clip"]
    category, clip = frames["category"].cat, frames["clip"].cat
    pairs = category.codes.to_numpy(np.int64) * len(clip.categories) + clip.codes.to_numpy()
    codes, unique = pd.factorize(pairs)
    of_category, of_clip = np.divmod(unique, len(clip.categories))
    names = (
        category.categories[of_category].astype("str")
        + "/"
        + clip.categories[of_clip].astype("str")
    )
    return pd.Series(names.array.take(codes), frames.index, dtype="str")


def node_categories(names: pd.Series) -> pd.Series:
    """Return the category of every node; the nodes must be clips or stills."""
    return names.str.split("/", n=1).str[0]


def identity_edges(
    frames: pd.DataFrame,
    videos: Mapping[str, str] | None = None,
    duplicates: pd.DataFrame | None = None,
    identities: pd.DataFrame | None = None,
    people: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return all known edges between clips and stills.

    Args:
        frames: columns of `FrameRow`.
        videos: Youtube clip → its YouTube video, as `official_lists.youtube_videos` returns it.
        duplicates: columns as in `DuplicateRow`.
        identities: columns as in `IdentityRow`.
        people: CelebA photograph number → identity, as `official_lists.celeba_identities` returns
            it.

    Returns:
        Columns a, b (nodes), reason (one of `REASONS`) and detail (str, may be empty).
    """
    units = as_text(frames.drop_duplicates(["category", "clip"]))
    units = units.assign(node=nodes(units))
    clips, stills = units[units["compression"] != STILL], units[units["compression"] == STILL]
    edges = [*_clip_edges(clips), *_still_edges(stills, people or {})]
    if videos:
        all_nodes = pd.Index(pd.concat([clips["node"], *(e["b"] for e in edges)]).unique())
        youtube = all_nodes[all_nodes.str.startswith("Youtube/")]
        video = youtube.str.removeprefix("Youtube/").map(dict(videos))
        known = video.notna()
        edges.append(_edges(youtube[known], "video " + video[known].astype("str"), "video"))
    for table, reason in ((duplicates, None), (identities, "embedding")):
        if table is not None:
            pairs = table[table["partner"] != ""]
            distance = pairs["distance"].round(3).astype("str")
            reasons = pairs["kind"] if reason is None else reason
            edges.append(_edges(pairs["item"], pairs["partner"], reasons, "distance " + distance))
    table = pd.concat([_NO_EDGES, *edges], ignore_index=True)
    return table[table["a"] != table["b"]].drop_duplicates(ignore_index=True)


def identity_groups(frames: pd.DataFrame, edges: pd.DataFrame) -> pd.Series:
    """Return the identity group of every row of a ledger.

    Args:
        frames: columns of `FrameRow`.
        edges: the edges, as `identity_edges` returns them.

    Returns:
        Group names (str) with the index of `frames`. A group is named after the alphabetically
        first of its nodes that is not a fake, so that names do not depend on the order of rows.
    """
    row_nodes = nodes(frames)
    graph = Graph.of(edges, row_nodes)
    members = pd.DataFrame({"name": graph.names, "group": graph.component}).astype({"name": "str"})
    members["fake"] = members["name"].isin(row_nodes[frames["label"] == "fake"].unique())
    first = members.sort_values(["fake", "name"]).drop_duplicates("group").set_index("group")
    names = first["name"].loc[graph.query_components]
    return pd.Series(names.to_numpy(), frames.index, dtype="str")


def resolve_node(frames: pd.DataFrame, name: str) -> str:
    """Return the node that a user's name for a clip, still, frame or face refers to.

    Examples of names: "Deepfakes/183_253", "Deepfakes/c40/183_253/000025" and "183".

    Raises:
        TableError: no clip or still has this name, or several have it.
    """
    frames = as_text(frames[["frame_id", "category", "compression", "clip"]])
    row_nodes = nodes(frames)
    with_compression = frames["category"] + "/" + frames["compression"] + "/" + frames["clip"]
    exact = (row_nodes == name) | (with_compression == name) | (frames["frame_id"] == name)
    # A face_id may be a frame_id followed by the track.
    exact |= frames["frame_id"] == name.rsplit("/", 1)[0]
    matches = row_nodes[exact if exact.any() else frames["clip"] == name].unique()
    if len(matches) > 1:
        examples = ", ".join(sorted(matches)[:4])
        raise TableError(
            f"{name!r} matches {len(matches)} clips or stills; did you mean {examples}?"
        )
    if not len(matches):
        raise TableError(
            f"{name!r} matches no clip or still of the dataset; expected category/name, such as "
            f"{row_nodes.iloc[0]}"
        )
    return str(matches[0])


def shortest_path(edges: pd.DataFrame, a: str, b: str) -> list[Edge]:
    """Return the shortest path between two nodes, as edges (from, to, reason, detail).

    Empty if the nodes are not connected, or if they are the same.
    """
    (path,) = shortest_paths(edges, [a], [b])
    return path


def shortest_paths(
    edges: pd.DataFrame, roots: Sequence[str], ends: Sequence[str]
) -> list[list[Edge]]:
    """Return the shortest path to each node of `ends` from the nearest of `roots`.

    A single search finds all paths: it starts from an additional node that is connected to every
    root.

    Returns:
        The path to each end, as `shortest_path` returns it; empty if no root is connected to it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    both = pd.concat(
        [edges["a"], edges["b"], pd.Series([*roots, *ends], dtype="str")], ignore_index=True
    )
    codes, names = pd.factorize(both)
    n, start = len(edges), len(names)
    first, second, queries = codes[:n], codes[n : 2 * n], codes[2 * n :]
    root_codes, end_codes = np.unique(queries[: len(roots)]), queries[len(roots) :]
    rows = np.concatenate([first, np.full(len(root_codes), start)])
    columns = np.concatenate([second, root_codes])
    matrix = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (start + 1, start + 1))
    _, predecessor = breadth_first_order(matrix.tocsr(), start, directed=False)
    steps: list[list[tuple[int, int]]] = []
    for end in end_codes.tolist():
        path: list[tuple[int, int]] = []
        while predecessor[end] not in (start, NO_NODE):
            path.append((int(predecessor[end]), end))
            end = int(predecessor[end])
        steps.append(path[::-1])
    on_paths = {node for path in steps for step in path for node in step}
    near = np.isin(first, list(on_paths))
    reasons: dict[tuple[int, int], tuple[str, str]] = {}
    for a, b, reason, detail in zip(
        first[near].tolist(),
        second[near].tolist(),
        edges["reason"][near],
        edges["detail"][near],
        strict=True,
    ):
        reasons[a, b] = reasons[b, a] = (reason, detail)
    return [[(names[a], names[b], *reasons[a, b]) for a, b in path] for path in steps]


@dataclass(frozen=True)
class Graph:
    """The connected components of the graph of nodes and edges."""

    names: npt.NDArray[np.object_]
    component: npt.NDArray[np.int32]  # of each node
    query_positions: npt.NDArray[np.intp]  # of the queried nodes in `names`

    @property
    def query_components(self) -> npt.NDArray[np.int32]:
        """The component of each queried node."""
        return np.asarray(self.component[self.query_positions])

    @classmethod
    def of(cls, edges: pd.DataFrame, queries: pd.Series) -> Graph:
        """Return the graph of some edges and of the queried nodes, which may have no edges."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        both = pd.concat([edges["a"], edges["b"], queries], ignore_index=True)
        codes, names = pd.factorize(both)
        n = len(edges)
        ones = np.ones(n, np.int8)
        matrix = coo_array((ones, (codes[:n], codes[n : 2 * n])), (len(names), len(names)))
        component = connected_components(matrix.tocsr(), directed=False)[1]
        return cls(np.asarray(names, object), component, codes[2 * n :])


_NO_EDGES = pd.DataFrame({column: pd.Series(dtype="str") for column in EDGE_COLUMNS})


def _edges(
    a: pd.Series | pd.Index, b: pd.Series | pd.Index, reason: str | pd.Series, detail: object = ""
) -> pd.DataFrame:
    """Return a table of edges."""
    columns = {"a": a, "b": b, "reason": reason, "detail": detail}
    values = {k: v.to_numpy() if isinstance(v, pd.Series) else v for k, v in columns.items()}
    return pd.DataFrame(values).astype("str")


def _clip_edges(clips: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the edges from fakes to their target and source, and from real clips to actors."""
    reason = clips["label"].map({"fake": "pair", "real": "actor"})
    edges = []
    for column in ("target_id", "source_id"):
        known = clips[column] != ""
        people = person_nodes(clips[known], column)
        edges.append(_edges(clips["node"][known], people, reason[known]))
    return edges


def person_nodes(clips: pd.DataFrame, column: str) -> pd.Series:
    """Return the nodes, such as "Youtube/183" or "actor 01", of the people in a column of clips."""
    hub = clips["category"].map(lambda category: HUBS.get(category, "Youtube/"))
    hub = hub.where(hub.str.endswith("/"), hub + " ")
    return (hub + clips[column]).astype("str")


def still_identities(stills: pd.DataFrame, people: Mapping[str, str]) -> pd.Series:
    """Return the identity of each still, such as "CelebA/2880"; empty if it has no label."""
    labelled_set = stills["category"].map(lambda category: IDENTITIES.get(category, category))
    own_label = (labelled_set + "/" + stills["target_id"]).where(stills["target_id"] != "", "")
    by_photo = stills["photo"].map(dict(people)).fillna("").astype("str")
    by_photo = ("CelebA/" + by_photo).where(by_photo != "", "")
    return own_label.where(own_label != "", by_photo).astype("str")


def _still_edges(stills: pd.DataFrame, people: Mapping[str, str]) -> list[pd.DataFrame]:
    """Return the edges from stills to their identities, and to their CelebA photographs."""
    identities = still_identities(stills, people)
    labelled, has_photo = identities != "", stills["photo"] != ""
    identity = "identity " + identities[labelled]
    photo = "photograph " + stills["photo"][has_photo]
    return [
        _edges(stills["node"][labelled], identity, "identity"),
        _edges(stills["node"][has_photo], photo, "photograph"),
    ]
