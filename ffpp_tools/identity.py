"""Who is who: one person in several clips, or in a clip and a photograph, by face embeddings.

Where an identity file or a clip's name tells, that is believed; embeddings tie what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools import lists
from ffpp_tools.embed import WIDTH, embedding
from ffpp_tools.errors import SettingsError, TableError
from ffpp_tools.groups import knots, persons
from ffpp_tools.kept import kept
from ffpp_tools.rows import STILL
from ffpp_tools.tables import IdentityRow, read_faces, read_frames, table_of, write_table

Embeddings = npt.NDArray[np.float32]

# The distance up to which two faces are taken for one person's. Measured on CelebA by its identity
# file: of 22,366 pairs of people (means of up to three photographs) one is as near; of 568 pairs of
# photographs of one person 510 are not. docs/manifests.md has more distances, and what they cost.
MAX_DISTANCE = 0.36
CLIP_FACES = 5  # crops that a clip's embedding is the mean of
STILLS_OF_PERSON = 3  # photographs that a known person's embedding is the mean of
MEASURED = 4000  # photographs of known people that the rates are measured on
NAMED = ("Actors", "Celeb-real")  # whose clips bear their people's numbers
UNKNOWN = -1  # the series of a unit whose person no file or name tells
BLOCK = 256  # rows of the table of distances at once


@dataclass(frozen=True)
class Rates:
    """How often a threshold is wrong, on photographs whose people are known."""

    different: int  # pairs of people, each known by the mean of a few photographs
    merged: int  # of these, how many are near enough to be taken for one person
    same: int  # pairs of photographs of one person
    split: int  # of these, how many are not near enough


@dataclass(frozen=True)
class Identities:
    """What was found."""

    table: pd.DataFrame  # columns as in `IdentityRow`
    max_distance: float  # up to which two faces were taken for one person's
    rates: Rates  # measured on the dataset's own known people


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
    faces = _chosen(read_frames(dataset), crops, lists.celeba_people(dataset) or {})
    if faces.empty:
        raise TableError(f"{dataset}: no real clip or still whose face could be compared")
    vectors = kept(dataset, faces, "embedding", embedding, WIDTH, workers)
    readable = ~np.isnan(vectors).any(axis=1)
    faces, vectors = faces[readable].reset_index(drop=True), vectors[readable]
    if faces.empty:
        raise TableError(
            f"{dataset}: none of its crops can be read; `ffpp-extract --verify` names them"
        )
    units, means, counts = _means(faces["unit"], vectors)
    person = faces.drop_duplicates("unit").set_index("unit")["person"].loc[units]
    series = pd.factorize(person.str.split("/").str[0])[0]
    series[person == ""] = UNKNOWN
    people, partners, distances = _people(units, means, series, max_distance)
    table = table_of(
        IdentityRow,
        (
            IdentityRow(*values, means[i].tolist())
            for i, values in enumerate(zip(units, people, partners, distances, counts, strict=True))
        ),
    )
    write_table(dataset / "identities.parquet", table, crops)
    photographs = faces["person"].where(faces["compression"] == STILL, "")
    measured = rates(person, means, photographs, vectors, max_distance)
    return Identities(table, max_distance, measured)


def rates(
    units: pd.Series,
    means: Embeddings,
    photographs: pd.Series,
    vectors: Embeddings,
    max_distance: float,
) -> Rates:
    """How often a distance is wrong.

    Args:
        units: who each unit is; empty where that is not known.
        means: (n, 128), their embeddings.
        photographs: who is on each photograph; empty where that is not known.
        vectors: (m, 128), their embeddings.
        max_distance: up to which two faces are taken for one person's.
    """
    different, merged, _, _ = _compared(units, means, max_distance)
    _, _, same, near = _compared(photographs, vectors, max_distance)
    return Rates(different, merged, same, same - near)


def _compared(
    people: pd.Series, vectors: Embeddings, max_distance: float
) -> tuple[int, int, int, int]:
    """Pairs of different people, those of them that are near, pairs of one, those that are near."""
    known = np.flatnonzero((people != "").to_numpy())[:MEASURED]
    names, own = pd.factorize(people.iloc[known])[0], vectors[known]
    counts = np.zeros(4, int)
    for start, distance in _distances(own):
        one = names[start : start + len(distance), None] == names[None, start:]
        later = np.arange(distance.shape[1])[None] > np.arange(len(distance))[:, None]
        near = distance <= max_distance
        kinds = (later & ~one, later & ~one & near, later & one, later & one & near)
        counts += [kind.sum() for kind in kinds]
    different, merged, same, found = counts.tolist()
    return different, merged, same, found


def _chosen(frames: pd.DataFrame, faces: pd.DataFrame, people: Mapping[str, str]) -> pd.DataFrame:
    """The faces to compare, with `unit`, what they stand for, and `person`, where it is known."""
    frames = frames[(frames["status"] == "ok") & (frames["label"] == "real")]
    faces = faces.merge(frames.drop(columns="status"), on="frame_id")
    faces = faces[faces["detector"] != "none"].sort_values("face_id", ignore_index=True)
    faces["unit"], faces["person"] = knots(faces), ""
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
    faces = faces.assign(person=persons(faces, people))
    known = faces["person"] != ""
    few = faces[known][faces[known].groupby("person").cumcount() < STILLS_OF_PERSON]
    first = few.groupby("person")["unit"].transform("min")
    return pd.concat([few.assign(unit=first), faces[~known]])


def _means(units: pd.Series, vectors: Embeddings) -> tuple[list[str], Embeddings, list[int]]:
    codes, names = pd.factorize(units, sort=True)
    counts = np.bincount(codes, minlength=len(names))
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    return names.to_list(), (sums / counts[:, None]).astype(np.float32), counts.tolist()


def _people(
    units: list[str], means: Embeddings, series: npt.NDArray[np.intp], max_distance: float
) -> tuple[list[str], list[str], list[float]]:
    """For every unit, the first that shows the same person, its nearest link to it, how near.

    Two of one series are two people, however alike: that is what an identity file says.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    first, second, apart = [], [], []
    for start, distance in _distances(means):
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


def _distances(vectors: Embeddings) -> Iterator[tuple[int, Embeddings]]:
    """Blocks of rows of the table of all distances, from the diagonal on, and where they start."""
    squares = (vectors**2).sum(axis=1)
    for start in range(0, len(vectors), BLOCK):
        end = start + BLOCK
        table = vectors[start:end] @ vectors[start:].T
        table *= -2
        table += squares[start:end, None]
        table += squares[start:]
        yield start, np.sqrt(np.maximum(table, 0, out=table), out=table)
