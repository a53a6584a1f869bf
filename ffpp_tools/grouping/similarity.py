"""Distances between face embeddings, normalised by each face's similarity to other people.

Some faces are similar to many others: a frontal, evenly lit face more so than a face under a hat.
A fixed limit on the similarity would produce false matches for the former or misses for the latter.
Therefore the cosine similarity s of two faces is normalised by the mean m and the standard
deviation d of each face's similarities to the other people of the dataset (S-norm of speaker
verification; Kenny, Odyssey 2010), and mapped back to the scale of a cosine:

    1 - distance = MEAN + DEVIATION · ((s - m₁)/d₁ + (s - m₂)/d₂) / 2

No labels are used. In a small dataset, m and d are shrunk towards `MEAN` and `DEVIATION`; without
other people, the distance is 1 - s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Positions = npt.NDArray[np.intp]

# Mean and standard deviation of the cosine similarity of the embeddings of different people: 0.043
# and 0.099 on CelebA, 0.056 and 0.101 on FFHQ.
MEAN, DEVIATION = 0.05, 0.1
PRIOR = 100  # number of people of the dataset that have the same weight as these two numbers
# Bounds of each face's mean and standard deviation. In a dataset with many unlabelled clips of one
# person, the estimates would otherwise shift until that person's faces no longer match. On CelebA
# and FFHQ, the values are -0.01 to 0.11 and 0.075 to 0.146.
MEANS, DEVIATIONS = (-0.05, 0.15), (0.075, 0.15)
BLOCK = 256  # rows of the distance matrix per block


@dataclass(frozen=True)
class NormalisedEmbeddings:
    """Embeddings with the parameters that normalise their similarities.

    The similarity s of two embeddings is normalised to s · (gain₁ + gain₂) - (shift₁ + shift₂).
    """

    vectors: Vectors  # (n, width), of unit length
    gain: Vectors  # (n,)
    shift: Vectors  # (n,)

    def __getitem__(self, indices: Positions) -> NormalisedEmbeddings:
        """Return the embeddings at some indices."""
        return NormalisedEmbeddings(self.vectors[indices], self.gain[indices], self.shift[indices])

    def distances(self) -> Iterator[tuple[int, Vectors]]:
        """Yield the upper triangle of the distance matrix in blocks of rows.

        Yields:
            (start, distances): the index of the first row, and the block from column `start` on.
        """
        for start in range(0, len(self.vectors), BLOCK):
            rows = slice(start, start + BLOCK)
            table = self.vectors[rows] @ self.vectors[start:].T
            table *= self.gain[rows, None] + self.gain[start:]
            table -= self.shift[rows, None] + self.shift[start:]
            np.subtract(1, table, out=table)
            yield start, np.maximum(table, 0, out=table)


def unit_vectors(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Scale vectors to unit length."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def normalised(vectors: Vectors, cohort: Vectors, own: Positions) -> NormalisedEmbeddings:
    """Normalise face embeddings by their similarities to a cohort.

    Args:
        vectors: (n, width), of unit length.
        cohort: (m, width), of unit length: one embedding of each person.
        own: (n,) index in the cohort of each face's own person, which is excluded.
    """
    people, faces = cohort.astype(float), vectors.astype(float)
    own_similarity = np.einsum("ij,ij->i", faces, people[own])
    n_others = len(people) - 1
    total = faces @ people.sum(axis=0) - own_similarity
    squares = np.einsum("ij,ij->i", faces @ (people.T @ people), faces) - own_similarity**2
    mean = total / max(n_others, 1)
    variance = np.maximum(squares / max(n_others, 1) - mean**2, 0)
    weight = n_others / (n_others + PRIOR)
    mean = np.clip(weight * mean + (1 - weight) * MEAN, *MEANS)
    deviation = np.sqrt(weight * variance + (1 - weight) * DEVIATION**2)
    gain = DEVIATION / (2 * np.clip(deviation, *DEVIATIONS))
    shift = gain * mean - MEAN / 2
    return NormalisedEmbeddings(vectors, gain.astype(np.float32), shift.astype(np.float32))
