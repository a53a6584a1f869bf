"""How many same-person pairs `ffpp-identify` finds, beside dlib's distance, at equal false matches.

    python benchmarks/identify.py data/CelebA --dataset celeba --workers 2

The folder is CelebA with `Anno/identity_CelebA.txt`; without it, the one in `$FFPP_TEST_DATA/data`.
Its faces are cropped into --dataset, where crops and embeddings are kept for the next run.

The limit of every method is chosen on the photographs of one random half of the people, as the
largest with the given share of false matches, and judged on the other half; mean over --halves
divisions. `photographs`: pairs of single ones. `means`: a person's photographs in two halves, and
the mean of each. A table of the distances of `ffpp-identify` follows, on everybody.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ffpp_tools.extraction.pipeline import extract_still_dataset
from ffpp_tools.grouping.embedding import SFACE_CACHE, WIDTH, dlib_embedding, sface_embedding
from ffpp_tools.grouping.feature_cache import cached_features
from ffpp_tools.grouping.groups import still_identities
from ffpp_tools.grouping.identity import STILLS_OF_PERSON, rates
from ffpp_tools.grouping.similarity import normalised, unit_vectors
from ffpp_tools.sources import official_lists
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.store.tables import read_faces, read_frames

FALSE_MATCHES = (1e-5, 1e-4, 1e-3, 1e-2)
DISTANCES = (0.4, 0.45, 0.5, 0.52, 0.55, 0.57, 0.6, 0.65, 0.7)
Scores = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Crop, embed, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder of CelebA")
    parser.add_argument(
        "--dataset", type=Path, help="where crops are kept; else a temporary folder"
    )
    parser.add_argument("--halves", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    data = options.data or Path(os.environ["FFPP_TEST_DATA"]) / "data/CelebA"
    with tempfile.TemporaryDirectory() as temporary:
        dataset = options.dataset or Path(temporary)
        extract_still_dataset(find_stills(data, "CelebA"), dataset)
        faces = read_faces(dataset).merge(read_frames(dataset), on="frame_id")
        faces["person"] = still_identities(faces, official_lists.celeba_identities(dataset) or {})
        faces = faces[faces["person"] != ""].sort_values(["person", "face_id"], ignore_index=True)
        people = pd.factorize(faces["person"])[0]
        dlib = cached_features(dataset, faces, "embedding", dlib_embedding, WIDTH, options.workers)
        sface = cached_features(
            dataset, faces, SFACE_CACHE, sface_embedding, WIDTH, options.workers
        )
    print(f"{len(faces)} photographs of {people.max() + 1} people, {options.halves} halves\n")
    methods: dict[str, tuple[np.ndarray, Scores]] = {
        "dlib": (dlib, euclidean),
        "SFace, cosine": (sface, cosine),
        "SFace, normalised": (sface, normal),
    }
    print("misses (false matches per million on the judged half)")
    print(f"{'':32}" + "".join(f"{rate:>20g}" for rate in FALSE_MATCHES))
    for what in ("photographs", "means"):
        for name, (vectors, scores) in methods.items():
            cells = curve(vectors, people, scores, what == "means", options.halves)
            print(f"{what + ', ' + name:32}" + "".join(f"{cell:>20}" for cell in cells))
    table(faces["person"], people, sface)


def euclidean(vectors: np.ndarray) -> np.ndarray:
    """All distances as they were before."""
    squares = (vectors**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))


def cosine(vectors: np.ndarray) -> np.ndarray:
    """All cosine distances."""
    return 1 - unit_vectors(vectors) @ unit_vectors(vectors).T


def normal(vectors: np.ndarray) -> np.ndarray:
    """All distances of `ffpp-identify`, where nobody is known."""
    vectors, own = unit_vectors(vectors), np.arange(len(vectors))
    table = np.zeros((len(vectors), len(vectors)), np.float32)
    for start, block in normalised(vectors, vectors, own).distances():
        table[start : start + len(block), start:] = block
    return np.maximum(table, table.T)


def means(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The mean of each code's vectors."""
    sums = np.zeros((codes.max() + 1, vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    return sums / np.bincount(codes)[:, None]


def curve(
    vectors: np.ndarray, people: np.ndarray, scores: Scores, halved: bool, times: int
) -> list[str]:
    """The share of missed pairs for each share of false matches, on people not chosen on."""
    missed = np.zeros((times, len(FALSE_MATCHES)))
    false = np.zeros_like(missed)
    for seed in range(times):
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(people.max() + 1) < (people.max() + 1) // 2
        (_, far), (same, different) = (
            pairs(vectors[chosen[people] == half], people[chosen[people] == half], scores, halved)
            for half in (True, False)
        )
        far = np.sort(far)
        for column, rate in enumerate(FALSE_MATCHES):
            limit = far[int(rate * len(far))]
            missed[seed, column] = (same >= limit).mean()
            false[seed, column] = (different < limit).mean()
    cells = zip(missed.mean(axis=0), missed.std(axis=0), 1e6 * false.mean(axis=0), strict=True)
    return [f"{m:.3f} ±{s:.3f} ({f:.0f})" for m, s, f in cells]


def pairs(
    vectors: np.ndarray, people: np.ndarray, scores: Scores, halved: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The distances of pairs of one person, and of two."""
    people = pd.factorize(people)[0]
    if halved:
        place = pd.Series(people).groupby(people).cumcount().to_numpy()
        codes, first = np.unique(2 * people + place % 2, return_inverse=True)
        vectors, people = means(vectors, first), codes // 2
    table = scores(vectors)
    i, j = np.triu_indices(len(people), 1)
    one = people[i] == people[j]
    return table[i, j][one], table[i, j][~one]


def table(names: pd.Series, people: np.ndarray, vectors: np.ndarray) -> None:
    """Errors by distance, on everybody."""
    few = names.groupby(names).cumcount().to_numpy() < STILLS_OF_PERSON
    vectors, people = vectors[few], people[few]
    cohort = unit_vectors(means(vectors, people))
    units = normalised(cohort, cohort, np.arange(len(cohort)))
    singles = normalised(vectors, cohort, people)
    known = names.drop_duplicates().reset_index(drop=True)
    print("\ndistance   pairs of people matched   pairs of one person's photographs missed")
    for distance in DISTANCES:
        r = rates(known, units, names[few], singles, distance)
        low, high = r.split_interval or (0, 1)
        print(
            f"{distance:8.2f}   {r.merged:6} of {r.different}   {r.split:14} of {r.same} "
            f"({r.split / r.same:.1%}, {low:.1%} to {high:.1%})"
        )


if __name__ == "__main__":
    main()
