"""Miss rates of `ffpp-identify` and of dlib's distance at equal false match rates.

    python benchmarks/identify.py data/CelebA --dataset celeba --workers 2

The folder is CelebA with `Anno/identity_CelebA.txt`; the default is `$FFPP_TEST_DATA/data/CelebA`.
Its faces are cropped into --dataset, where crops and embeddings are kept for the next run.

The threshold of each method is the largest one with the given false match rate on a random half of
the people, and is evaluated on the other half; the results are means over --halves divisions.
`photographs` compares single photographs. `means` divides a person's photographs into two halves
and compares their mean embeddings. A table of the distances of `ffpp-identify` on all people
follows.
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
    """Crop and embed the faces, compare the methods and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder of CelebA")
    parser.add_argument(
        "--dataset", type=Path, help="folder for the crops; default: a temporary folder"
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
    print("miss rate ± standard deviation (false matches per million on the evaluated half)")
    print(f"{'':32}" + "".join(f"{rate:>20g}" for rate in FALSE_MATCHES))
    for what in ("photographs", "means"):
        for name, (vectors, scores) in methods.items():
            cells = curve(vectors, people, scores, what == "means", options.halves)
            print(f"{what + ', ' + name:32}" + "".join(f"{cell:>20}" for cell in cells))
    table(faces["person"], people, sface)


def euclidean(vectors: np.ndarray) -> np.ndarray:
    """Compute all Euclidean distances, as dlib does."""
    squares = (vectors**2).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))


def cosine(vectors: np.ndarray) -> np.ndarray:
    """Compute all cosine distances."""
    return 1 - unit_vectors(vectors) @ unit_vectors(vectors).T


def normal(vectors: np.ndarray) -> np.ndarray:
    """Compute all distances of `ffpp-identify` without identity labels."""
    vectors, indices = unit_vectors(vectors), np.arange(len(vectors))
    table = np.zeros((len(vectors), len(vectors)), np.float32)
    for start, block in normalised(vectors, vectors, indices).distances():
        table[start : start + len(block), start:] = block
    return np.maximum(table, table.T)


def means(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Compute the mean of each code's vectors."""
    sums = np.zeros((codes.max() + 1, vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    return sums / np.bincount(codes)[:, None]


def curve(
    vectors: np.ndarray, people: np.ndarray, scores: Scores, halved: bool, times: int
) -> list[str]:
    """Compute the miss rate at each false match rate, on people not used for the threshold."""
    missed = np.zeros((times, len(FALSE_MATCHES)))
    false = np.zeros_like(missed)
    for seed in range(times):
        rng = np.random.default_rng(seed)
        first_half = rng.permutation(people.max() + 1) < (people.max() + 1) // 2
        in_first = first_half[people]
        (_, calibration), (same, different) = (
            pairs(vectors[in_first == half], people[in_first == half], scores, halved)
            for half in (True, False)
        )
        calibration = np.sort(calibration)
        for column, rate in enumerate(FALSE_MATCHES):
            threshold = calibration[int(rate * len(calibration))]
            missed[seed, column] = (same >= threshold).mean()
            false[seed, column] = (different < threshold).mean()
    cells = zip(missed.mean(axis=0), missed.std(axis=0), 1e6 * false.mean(axis=0), strict=True)
    return [f"{m:.3f} ±{s:.3f} ({f:.0f})" for m, s, f in cells]


def pairs(
    vectors: np.ndarray, people: np.ndarray, scores: Scores, halved: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of pairs of the same person, and of different people."""
    people = pd.factorize(people)[0]
    if halved:
        place = pd.Series(people).groupby(people).cumcount().to_numpy()
        codes, halves = np.unique(2 * people + place % 2, return_inverse=True)
        vectors, people = means(vectors, halves), codes // 2
    table = scores(vectors)
    i, j = np.triu_indices(len(people), 1)
    same = people[i] == people[j]
    return table[i, j][same], table[i, j][~same]


def table(names: pd.Series, people: np.ndarray, vectors: np.ndarray) -> None:
    """Print the error rates by distance, on all people."""
    selected = names.groupby(names).cumcount().to_numpy() < STILLS_OF_PERSON
    vectors, people = vectors[selected], people[selected]
    cohort = unit_vectors(means(vectors, people))
    units = normalised(cohort, cohort, np.arange(len(cohort)))
    singles = normalised(vectors, cohort, people)
    known = names.drop_duplicates().reset_index(drop=True)
    print("\ndistance   different people matched   missed pairs of one person's photographs")
    for distance in DISTANCES:
        r = rates(known, units, names[selected], singles, distance)
        low, high = r.split_interval or (0, 1)
        print(
            f"{distance:8.2f}   {r.merged:6} of {r.different}   {r.split:14} of {r.same} "
            f"({r.split / r.same:.1%}, {low:.1%} to {high:.1%})"
        )


if __name__ == "__main__":
    main()
