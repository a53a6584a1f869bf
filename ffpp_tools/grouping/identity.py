"""Match identities across clips and stills by face embeddings.

Labels from identity files and clip names take precedence: embeddings never connect two items that
are labelled in the same set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import SettingsError, TableError
from ffpp_tools.grouping.embedding import NETWORK, SFACE_CACHE, WIDTH, sface_embedding
from ffpp_tools.grouping.feature_cache import cached_features
from ffpp_tools.grouping.groups import nodes, still_identities
from ffpp_tools.grouping.match_rates import Matching, Rates, miss_interval
from ffpp_tools.grouping.similarity import NormalisedEmbeddings, Vectors, normalised, unit_vectors
from ffpp_tools.sources import official_lists
from ffpp_tools.store.schema import STILL
from ffpp_tools.store.tables import IdentityRow, read_faces, read_frames, table_of, write_table

# Maximum distance of a same-person match. It is the largest distance at which at most 1 of 22,366
# pairs of different CelebA people is matched, each represented by the mean of up to three
# photographs; the former limit on dlib's embeddings matched as many. It misses 126 of 568 pairs of
# photographs of one person (22 %); the former limit missed 510. On data that was not used to select
# it, none of 47,000 pairs of these people, or of FF++ clips, with FFHQ photographs is matched. See
# docs/manifests.md for other distances.
MAX_DISTANCE = 0.52
CLIP_FACES = 5  # number of crops averaged for a clip's embedding
STILLS_OF_PERSON = 3  # number of photographs averaged for a labelled person's embedding
MEASURED = 4000  # maximum number of labelled photographs on which the rates are measured
NAMED = ("Actors", "Celeb-real")  # categories whose clip names contain the person's number
UNLABELLED = -1  # namespace of an item without an identity label


@dataclass(frozen=True)
class Identities:
    """The result of matching identities."""

    table: pd.DataFrame  # columns as in `IdentityRow`
    matching: Matching  # maximum distance, and its error rates on the dataset's labelled people


def identify(dataset: Path, workers: int = 1, max_distance: float = MAX_DISTANCE) -> Identities:
    """Match people across real clips and stills, and write `identities.parquet`.

    A clip is represented by the mean embedding of a few of its faces, and a labelled person by that
    of a few photographs. Fakes are excluded, because their names identify their people.

    Raises:
        SettingsError: `max_distance` is not in (0, 1].
        TableError: there are no faces to compare.
    """
    if not 0 < max_distance <= 1:
        raise SettingsError(f"distance ({max_distance}) must be above 0 and at most 1")
    crops = read_faces(dataset)
    faces = _faces_to_compare(
        read_frames(dataset), crops, official_lists.celeba_identities(dataset) or {}
    )
    if faces.empty:
        raise TableError(
            f"{dataset}: no real clip or still has a face to compare; extract some first"
        )
    vectors = cached_features(dataset, faces, SFACE_CACHE, sface_embedding, WIDTH, workers)
    readable = ~np.isnan(vectors).any(axis=1)
    faces, vectors = faces[readable].reset_index(drop=True), vectors[readable]
    if faces.empty:
        raise TableError(
            f"{dataset}: none of its crops can be read; `ffpp-extract --verify` lists them"
        )
    codes, names = pd.factorize(faces["item"], sort=True)
    means, counts = _mean_embeddings(codes, vectors)
    labels = faces.drop_duplicates("item").set_index("item")["identity"].loc[names]
    own, first = _first_item_of_person(labels)
    embeddings = normalised(means, means[first], own)
    namespaces = pd.factorize(labels.str.split("/").str[0])[0]
    namespaces[labels == ""] = UNLABELLED
    people, partners, distances = _matches(names.to_list(), embeddings, namespaces, max_distance)
    table = table_of(
        IdentityRow,
        (
            IdentityRow(*values, means[i].tolist())
            for i, values in enumerate(zip(names, people, partners, distances, counts, strict=True))
        ),
    )
    photograph_labels = faces["identity"].where(faces["compression"] == STILL, "")
    photographs = normalised(vectors, means[first], own[codes])
    measured = rates(labels, embeddings, photograph_labels, photographs, max_distance)
    matching = Matching(NETWORK, max_distance, _n_compared(namespaces), measured)
    matching.attach(table)
    write_table(dataset / "identities.parquet", table, crops)
    return Identities(table, matching)


def rates(
    item_labels: pd.Series,
    items: NormalisedEmbeddings,
    photograph_labels: pd.Series,
    photographs: NormalisedEmbeddings,
    max_distance: float,
) -> Rates:
    """Measure the error rates of a maximum distance.

    Args:
        item_labels: identity of each item; empty if unlabelled.
        items: mean embeddings of the items, for the false match rate.
        photograph_labels: identity of each photograph; empty if unlabelled.
        photographs: embeddings of the photographs, for the miss rate.
        max_distance: maximum distance of a same-person match.
    """
    different, merged, _, _ = _count_pairs(item_labels, items, max_distance)
    _, _, same, matched = _count_pairs(photograph_labels, photographs, max_distance)
    pairs, missed = same.to_numpy(), (same - matched).to_numpy()
    return Rates(
        people=int(item_labels[item_labels != ""].nunique()),
        different=different,
        merged=merged,
        several=int((pairs > 0).sum()),
        same=int(pairs.sum()),
        split=int(missed.sum()),
        split_interval=miss_interval(pairs, missed),
    )


def _count_pairs(
    labels: pd.Series, embeddings: NormalisedEmbeddings, max_distance: float
) -> tuple[int, int, pd.Series, pd.Series]:
    """Count pairs of labelled embeddings.

    Returns:
        Pairs of different people; how many of them match; by person, pairs of that person; how many
        of them match.
    """
    labelled = np.flatnonzero((labels != "").to_numpy())[:MEASURED]
    codes, names = pd.factorize(labels.iloc[labelled])
    different = merged = 0
    same, matched = np.zeros(len(names), int), np.zeros(len(names), int)
    for start, distance in embeddings[labelled].distances():
        own = codes[start : start + len(distance)]
        same_person = own[:, None] == codes[None, start:]
        later = np.arange(distance.shape[1])[None] > np.arange(len(distance))[:, None]
        match = distance <= max_distance
        different += int((later & ~same_person).sum())
        merged += int((later & ~same_person & match).sum())
        np.add.at(same, own, (later & same_person).sum(axis=1))
        np.add.at(matched, own, (later & same_person & match).sum(axis=1))
    return different, merged, pd.Series(same, names), pd.Series(matched, names)


def _n_compared(namespaces: npt.NDArray[np.intp]) -> int:
    """Count the pairs of items that may match: all pairs except those within one namespace."""
    n, sizes = len(namespaces), np.bincount(namespaces[namespaces != UNLABELLED])
    return n * (n - 1) // 2 - int((sizes * (sizes - 1) // 2).sum())


def _first_item_of_person(
    labels: pd.Series,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Number the people, and select one item of each.

    An unlabelled item counts as a person of its own.

    Returns:
        The number of each item's person, and the position of each person's first item.
    """
    people = labels.where(labels != "", "?" + labels.index.to_series())
    codes = pd.factorize(people)[0]
    return codes, np.unique(codes, return_index=True)[1]


def _faces_to_compare(
    frames: pd.DataFrame, faces: pd.DataFrame, people: Mapping[str, str]
) -> pd.DataFrame:
    """Return the faces to compare, with two more columns.

    `item` is the clip or still of the face or, for a labelled person, the first of their stills.
    `identity` is the identity; empty if unlabelled.
    """
    frames = frames[(frames["status"] == "ok") & (frames["label"] == "real")]
    faces = faces.merge(frames.drop(columns="status"), on="frame_id")
    faces = faces[faces["detector"] != "none"].sort_values("face_id", ignore_index=True)
    faces["item"], faces["identity"] = nodes(faces), ""
    is_still = faces["compression"] == STILL
    return pd.concat(
        [_faces_of_clips(faces[~is_still]), _faces_of_stills(faces[is_still], people)],
        ignore_index=True,
    )


def _faces_of_clips(faces: pd.DataFrame) -> pd.DataFrame:
    """Select a few evenly spaced faces of each clip, from its most frequent track."""
    first = faces.groupby("item")["compression"].transform("min")
    faces = faces[faces["compression"] == first]
    track = faces.groupby("item")["track"].transform(lambda tracks: tracks.mode().iloc[0])
    faces = faces[faces["track"] == track].sort_values(["item", "frame"])
    labels = (faces["category"] + "/" + faces["target_id"]).where(faces["category"].isin(NAMED), "")
    faces = faces.assign(identity=labels)
    rank = faces.groupby("item").cumcount()
    count = faces.groupby("item")["item"].transform("size")
    n_selected = count.clip(upper=CLIP_FACES)
    return faces[rank * n_selected // count != (rank - 1) * n_selected // count]


def _faces_of_stills(faces: pd.DataFrame, people: Mapping[str, str]) -> pd.DataFrame:
    """Select a few photographs of each labelled person, and all unlabelled photographs."""
    faces = faces.assign(identity=still_identities(faces, people))
    is_labelled = faces["identity"] != ""
    labelled, unlabelled = faces[is_labelled], faces[~is_labelled]
    few = labelled[labelled.groupby("identity").cumcount() < STILLS_OF_PERSON]
    first = few.groupby("identity")["item"].transform("min")
    return pd.concat([few.assign(item=first), unlabelled])


def _mean_embeddings(codes: npt.NDArray[np.intp], vectors: Vectors) -> tuple[Vectors, list[int]]:
    """Return the mean direction and the number of every item's embeddings."""
    counts = np.bincount(codes)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    return unit_vectors(sums), counts.tolist()


def _matches(
    items: list[str],
    embeddings: NormalisedEmbeddings,
    namespaces: npt.NDArray[np.intp],
    max_distance: float,
) -> tuple[list[str], list[str], list[float]]:
    """Match items by distance.

    A namespace is a set with identity labels. Items of one namespace are never matched directly:
    their labels determine whether they show the same person.

    Returns:
        For every item: the first item of the same person; the preceding item on the minimum
        spanning tree from that first item, as the partner; and the distance from this partner.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    first, second, distances_of_pairs = [], [], []
    for start, distance in embeddings.distances():
        i, j = np.nonzero(distance <= max_distance)
        own, other = namespaces[i + start], namespaces[j + start]
        allowed = (j > i) & ((own != other) | (own == UNLABELLED))
        i, j = i[allowed], j[allowed]
        first.append(i + start)
        second.append(j + start)
        distances_of_pairs.append(np.maximum(distance[i, j], 1e-6))  # 0 would mean no edge
    n = len(items)
    edges = coo_array(
        (np.concatenate(distances_of_pairs), (np.concatenate(first), np.concatenate(second))),
        (n, n),
    )
    tree = minimum_spanning_tree(edges.tocsr())
    tree = tree + tree.T
    people, partners, distances = items.copy(), [""] * n, [float("nan")] * n
    visited = np.zeros(n, bool)
    for root in np.flatnonzero(np.diff(tree.indptr)):
        if visited[root]:
            continue
        order, predecessor = breadth_first_order(tree, root, directed=False)
        visited[order] = True
        for i in order[1:]:
            people[i], partners[i] = items[root], items[predecessor[i]]
            distances[i] = round(float(tree[i, predecessor[i]]), 4)
    return people, partners, distances
