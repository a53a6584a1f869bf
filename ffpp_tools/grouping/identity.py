"""Who is who: one person in several clips, or in a clip and a photograph, by face embeddings.

Where an identity file or a clip's name tells, that is believed; embeddings tie what is left.
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

# Maximum distance of a same-person match: the largest at which no more than one of the 22,366 pairs
# of CelebA's people is matched, each by the mean of up to three photographs: as many as at the
# former limit of dlib's embeddings. It misses 126 of 568 pairs of photographs of one person, 22 %;
# the former one missed 510. On what it was not chosen on: none of 47,000 pairs of these people, or
# of FF++'s clips, with photographs of FFHQ is matched. docs/manifests.md has more distances.
MAX_DISTANCE = 0.52
CLIP_FACES = 5  # crops that a clip's embedding is the mean of
STILLS_OF_PERSON = 3  # photographs that a known person's embedding is the mean of
MEASURED = 4000  # photographs of known people that the rates are measured on
NAMED = ("Actors", "Celeb-real")  # whose clips bear their people's numbers
UNKNOWN = -1  # the series of a unit whose person no file or name tells


@dataclass(frozen=True)
class Identities:
    """What was found."""

    table: pd.DataFrame  # columns as in `IdentityRow`
    matching: Matching  # the limit, and its error rates on the dataset's own known people


def identify(dataset: Path, workers: int = 1, max_distance: float = MAX_DISTANCE) -> Identities:
    """Find people who are in several real clips or stills, and write `identities.parquet`.

    A clip is known by the mean of a few of its faces, a person of an identity file by that of a
    few photographs. Fakes are left out: their names tie them to their people.

    Raises:
        SettingsError: an impossible distance.
        TableError: there are no faces to compare.
    """
    if not 0 < max_distance <= 1:
        raise SettingsError(f"distance ({max_distance}) must be above 0 and at most 1")
    crops = read_faces(dataset)
    faces = _chosen(read_frames(dataset), crops, official_lists.celeba_identities(dataset) or {})
    if faces.empty:
        raise TableError(f"{dataset}: no real clip or still whose face could be compared")
    vectors = cached_features(dataset, faces, SFACE_CACHE, sface_embedding, WIDTH, workers)
    readable = ~np.isnan(vectors).any(axis=1)
    faces, vectors = faces[readable].reset_index(drop=True), vectors[readable]
    if faces.empty:
        raise TableError(
            f"{dataset}: none of its crops can be read; `ffpp-extract --verify` names them"
        )
    codes, names = pd.factorize(faces["unit"], sort=True)
    means, counts = _means(codes, vectors)
    person = faces.drop_duplicates("unit").set_index("unit")["person"].loc[names]
    own, first = _first_of_person(person)
    units = normalised(means, means[first], own)
    series = pd.factorize(person.str.split("/").str[0])[0]
    series[person == ""] = UNKNOWN
    people, partners, distances = _people(names.to_list(), units, series, max_distance)
    table = table_of(
        IdentityRow,
        (
            IdentityRow(*values, means[i].tolist())
            for i, values in enumerate(zip(names, people, partners, distances, counts, strict=True))
        ),
    )
    photographs = faces["person"].where(faces["compression"] == STILL, "")
    singles = normalised(vectors, means[first], own[codes])
    measured = rates(person, units, photographs, singles, max_distance)
    found = Matching(NETWORK, max_distance, _compared(series), measured)
    found.attach(table)
    write_table(dataset / "identities.parquet", table, crops)
    return Identities(table, found)


def rates(
    units: pd.Series,
    means: NormalisedEmbeddings,
    photographs: pd.Series,
    singles: NormalisedEmbeddings,
    max_distance: float,
) -> Rates:
    """How often a distance is wrong.

    Args:
        units: who each unit is; empty where that is not known.
        means: their embeddings.
        photographs: who is on each photograph; empty where that is not known.
        singles: their embeddings.
        max_distance: maximum distance of a same-person match.
    """
    different, merged, _, _ = _counted(units, means, max_distance)
    _, _, same, near = _counted(photographs, singles, max_distance)
    pairs, missed = same.to_numpy(), (same - near).to_numpy()
    return Rates(
        people=int(units[units != ""].nunique()),
        different=different,
        merged=merged,
        several=int((pairs > 0).sum()),
        same=int(pairs.sum()),
        split=int(missed.sum()),
        split_interval=miss_interval(pairs, missed),
    )


def _counted(
    people: pd.Series, faces: NormalisedEmbeddings, max_distance: float
) -> tuple[int, int, pd.Series, pd.Series]:
    """Pairs of different people, those that match; by person pairs of one, those that match."""
    known = np.flatnonzero((people != "").to_numpy())[:MEASURED]
    codes, names = pd.factorize(people.iloc[known])
    different = merged = 0
    same, near = np.zeros(len(names), int), np.zeros(len(names), int)
    for start, distance in faces[known].distances():
        own = codes[start : start + len(distance)]
        one = own[:, None] == codes[None, start:]
        later = np.arange(distance.shape[1])[None] > np.arange(len(distance))[:, None]
        match = distance <= max_distance
        different += int((later & ~one).sum())
        merged += int((later & ~one & match).sum())
        np.add.at(same, own, (later & one).sum(axis=1))
        np.add.at(near, own, (later & one & match).sum(axis=1))
    return different, merged, pd.Series(same, names), pd.Series(near, names)


def _compared(series: npt.NDArray[np.intp]) -> int:
    """How many pairs of units might be one person: all but those of one series."""
    sizes = np.bincount(series[series != UNKNOWN])
    return len(series) * (len(series) - 1) // 2 - int((sizes * (sizes - 1) // 2).sum())


def _first_of_person(
    person: pd.Series,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """One unit of each person: for every unit which of them is its own, and where they stand.

    A unit whose person is not known counts as a person.
    """
    own = person.where(person != "", "?" + person.index.to_series())
    codes = pd.factorize(own)[0]
    return codes, np.unique(codes, return_index=True)[1]


def _chosen(frames: pd.DataFrame, faces: pd.DataFrame, people: Mapping[str, str]) -> pd.DataFrame:
    """The faces to compare, with `unit`, the clip or still they are from, and `person` if known."""
    frames = frames[(frames["status"] == "ok") & (frames["label"] == "real")]
    faces = faces.merge(frames.drop(columns="status"), on="frame_id")
    faces = faces[faces["detector"] != "none"].sort_values("face_id", ignore_index=True)
    faces["unit"], faces["person"] = nodes(faces), ""
    still = faces["compression"] == STILL
    return pd.concat(
        [_of_clips(faces[~still]), _of_stills(faces[still], people)], ignore_index=True
    )


def _of_clips(faces: pd.DataFrame) -> pd.DataFrame:
    """A few faces of each clip, evenly spread, of whoever is in most of its frames."""
    first = faces.groupby("unit")["compression"].transform("min")
    faces = faces[faces["compression"] == first]
    track = faces.groupby("unit")["track"].transform(lambda tracks: tracks.mode().iloc[0])
    faces = faces[faces["track"] == track].sort_values(["unit", "frame"])
    named = faces["category"].isin(NAMED)
    faces = faces.assign(person=(faces["category"] + "/" + faces["target_id"]).where(named, ""))
    place = faces.groupby("unit").cumcount()
    count = faces.groupby("unit")["unit"].transform("size")
    few = count.clip(upper=CLIP_FACES)
    return faces[place * few // count != (place - 1) * few // count]


def _of_stills(faces: pd.DataFrame, people: Mapping[str, str]) -> pd.DataFrame:
    """A few photographs of everybody who is known, and every one of nobody known."""
    faces = faces.assign(person=still_identities(faces, people))
    known = faces["person"] != ""
    few = faces[known][faces[known].groupby("person").cumcount() < STILLS_OF_PERSON]
    first = few.groupby("person")["unit"].transform("min")
    return pd.concat([few.assign(unit=first), faces[~known]])


def _means(codes: npt.NDArray[np.intp], vectors: Vectors) -> tuple[Vectors, list[int]]:
    """The mean direction of every unit's embeddings, and how many there are."""
    counts = np.bincount(codes)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    return unit_vectors(sums), counts.tolist()


def _people(
    units: list[str], faces: NormalisedEmbeddings, series: npt.NDArray[np.intp], max_distance: float
) -> tuple[list[str], list[str], list[float]]:
    """For every unit, the first that shows the same person, its nearest link to it, how near.

    Two of one series are two people, however alike: that is what an identity file says.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    first, second, apart = [], [], []
    for start, distance in faces.distances():
        i, j = np.nonzero(distance <= max_distance)
        own, other = series[i + start], series[j + start]
        open_ = (j > i) & ((own != other) | (own == UNKNOWN))
        i, j = i[open_], j[open_]
        first.append(i + start)
        second.append(j + start)
        apart.append(np.maximum(distance[i, j], 1e-6))  # 0 would be no link at all
    shape = (len(units), len(units))
    links = coo_array(
        (np.concatenate(apart), (np.concatenate(first), np.concatenate(second))), shape
    )
    tree = minimum_spanning_tree(links.tocsr())
    tree = tree + tree.T
    people, partners, distances = units.copy(), [""] * len(units), [float("nan")] * len(units)
    seen = np.zeros(len(units), bool)
    for root in np.flatnonzero(np.diff(tree.indptr)):
        if seen[root]:
            continue
        order, before = breadth_first_order(tree, root, directed=False)
        seen[order] = True
        for at in order[1:]:
            people[at], partners[at] = units[root], units[before[at]]
            distances[at] = round(float(tree[at, before[at]]), 4)
    return people, partners, distances
