"""Distances between faces, from embeddings, normalised by how similar each face is to others.

Some faces are similar to many others: a frontal, evenly lit one more than one in a hat. One limit
for all of them then merges the former or misses the latter. So a cosine similarity s of two faces
is normalised by the mean m and the standard deviation d of each face's similarities to the other
people of the dataset (S-norm of speaker verification; Kenny, Odyssey 2010), and brought back to
the scale of a cosine:

    1 - distance = MEAN + DEVIATION · ((s - m₁)/d₁ + (s - m₂)/d₂) / 2

No label is used. In a small dataset m and d are drawn towards `MEAN` and `DEVIATION`; with nobody
to compare with, the distance is 1 - s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Positions = npt.NDArray[np.intp]

# Cosine similarity of the embeddings of two people: mean and standard deviation. On CelebA 0.043
# and 0.099, on FFHQ 0.056 and 0.101.
MEAN, DEVIATION = 0.05, 0.1
PRIOR = 100  # how many people of the dataset weigh as much as these two numbers
# Bounds of a face's own mean and deviation: a dataset that shows one person over and over would
# move them until that person's faces no longer look alike. On CelebA and FFHQ they are -0.01 to
# 0.11 and 0.075 to 0.146.
MEANS, DEVIATIONS = (-0.05, 0.15), (0.075, 0.15)
BLOCK = 256  # rows of the table of distances at once


@dataclass(frozen=True)
class NormalisedEmbeddings:
    """Embeddings, and how each one's similarities are normalised.

    The similarity s of two of them is normalised to s · (gain₁ + gain₂) - (shift₁ + shift₂).
    """

    vectors: Vectors  # (n, width), of unit length
    gain: Vectors  # (n,)
    shift: Vectors  # (n,)

    def __getitem__(self, at: Positions) -> NormalisedEmbeddings:
        """Some of them."""
        return NormalisedEmbeddings(self.vectors[at], self.gain[at], self.shift[at])

    def distances(self) -> Iterator[tuple[int, Vectors]]:
        """Blocks of rows of the table of all distances, from the diagonal on, and their start."""
        for start in range(0, len(self.vectors), BLOCK):
            rows = slice(start, start + BLOCK)
            table = self.vectors[rows] @ self.vectors[start:].T
            table *= self.gain[rows, None] + self.gain[start:]
            table -= self.shift[rows, None] + self.shift[start:]
            np.subtract(1, table, out=table)
            yield start, np.maximum(table, 0, out=table)


def unit_vectors(vectors: npt.NDArray[np.floating]) -> Vectors:
    """The same directions, of length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def normalised(vectors: Vectors, cohort: Vectors, own: Positions) -> NormalisedEmbeddings:
    """Normalise faces by their similarities to a cohort.

    Args:
        vectors: (n, width), of unit length.
        cohort: (m, width), of unit length: one embedding of each person.
        own: (n,), which of the cohort shows the face's own person, and is left out.
    """
    every, faces = cohort.astype(float), vectors.astype(float)
    self_ = np.einsum("ij,ij->i", faces, every[own])
    others = len(every) - 1
    total = faces @ every.sum(axis=0) - self_
    squares = np.einsum("ij,ij->i", faces @ (every.T @ every), faces) - self_**2
    mean = total / max(others, 1)
    variance = np.maximum(squares / max(others, 1) - mean**2, 0)
    weight = others / (others + PRIOR)
    mean = np.clip(weight * mean + (1 - weight) * MEAN, *MEANS)
    deviation = np.sqrt(weight * variance + (1 - weight) * DEVIATION**2)
    gain = DEVIATION / (2 * np.clip(deviation, *DEVIATIONS))
    shift = gain * mean - MEAN / 2
    return NormalisedEmbeddings(vectors, gain.astype(np.float32), shift.astype(np.float32))
