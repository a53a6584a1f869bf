"""Normalised distances between faces."""

import numpy as np
import pytest

from ffpp_tools.grouping.identity import MAX_DISTANCE
from ffpp_tools.grouping.similarity import normalised, unit_vectors
from tests.helpers.faces import directions


def table_of_distances(faces):
    table = np.full((len(faces.vectors), len(faces.vectors)), np.nan)
    for start, block in faces.distances():
        table[start : start + len(block), start:] = block
    return table


def test_distances_are_normalised_by_each_faces_similarity_to_other_people():
    """Compared with the formula, for a cohort with one face of each person."""
    cohort = directions(400, 1)
    vectors = unit_vectors(np.concatenate([cohort[:30], cohort[:3] + 0.05 * directions(3, 2)]))
    own = np.r_[np.arange(30), np.arange(3)]
    found = table_of_distances(normalised(vectors, cohort, own))
    means, deviations = [], []
    for vector, person in zip(vectors, own, strict=True):
        others = np.delete(cohort, person, axis=0) @ vector
        weight = len(others) / (len(others) + 100)
        means.append(weight * others.mean() + (1 - weight) * 0.05)
        deviations.append(np.sqrt(weight * others.var() + (1 - weight) * 0.1**2))
    for i, j in ((0, 1), (3, 20), (0, 30), (31, 32)):
        s = vectors[i] @ vectors[j]
        scores = [(s - means[k]) / deviations[k] for k in (i, j)]
        assert found[i, j] == pytest.approx(max(1 - (0.05 + 0.1 * np.mean(scores)), 0), abs=1e-4)
    assert len(set(means)) > 20


def test_a_face_that_is_similar_to_many_needs_a_higher_similarity_to_match():
    rng = np.random.default_rng(0)
    common = np.zeros(128)
    common[0] = 1
    typical = unit_vectors(0.4 * common + rng.normal(size=(300, 128)) / 11)  # similar to each other
    rare = unit_vectors(rng.normal(size=(300, 128)) / 11)
    vectors = np.concatenate([typical, rare])
    faces = normalised(vectors, vectors, np.arange(600))
    table, cosine = table_of_distances(faces), 1 - vectors @ vectors.T
    assert np.median(faces.shift[:300]) > np.median(faces.shift[300:]) + 0.01
    i, j = np.triu_indices(300, 1)
    raised = table - cosine
    assert np.median(raised[:300, :300][i, j]) > np.median(raised[300:, 300:][i, j]) + 0.03


def test_with_few_people_the_distance_is_nearly_the_cosine_distance():
    alone = directions(1, 0)
    assert table_of_distances(normalised(alone, alone, np.array([0])))[0, 0] == 0
    vectors = directions(8, 3)
    table = table_of_distances(normalised(vectors, vectors, np.arange(8)))
    i, j = np.triu_indices(8, 1)
    assert table[i, j] == pytest.approx((1 - vectors @ vectors.T)[i, j], abs=0.02)


def test_a_person_in_every_clip_still_matches():
    """The clips are no cohort of other people, so that the bounds limit the normalisation."""
    person = directions(1, 0)
    vectors = unit_vectors(person + 0.5 * directions(300, 1) - 0.15)
    cosine = (vectors @ vectors.T)[np.triu_indices(300, 1)]
    assert cosine.min() > 0.6
    table = table_of_distances(normalised(vectors, vectors, np.arange(300)))
    assert table[np.triu_indices(300, 1)].max() < MAX_DISTANCE
