"""Pairs of hashes that differ in only a few bits."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ffpp_tools.grouping import hamming_pairs
from ffpp_tools.grouping.hamming_pairs import near_pairs
from ffpp_tools.grouping.phash import BITS


def test_sparse_pairs_are_the_nearest_and_keep_components_connected(monkeypatch):
    monkeypatch.setattr(hamming_pairs, "BLOCK", 500)  # several blocks, and several reductions
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (90, BITS), np.uint8)
    for start, count in ((0, 30), (30, 25)):  # two clusters connected by a chain
        bits[start : start + count] = bits[start]
        for row in bits[start : start + count]:
            row[rng.choice(BITS, 8, replace=False)] ^= 1
    for i in range(55, 63):
        bits[i] = np.where(np.arange(BITS) < (i - 54) * 32, bits[30], bits[0])
    distances = (bits[:, None] != bits[None]).sum(axis=2)
    all_pairs = [(i, j) for i, j in np.argwhere(distances <= 40).tolist() if i < j]
    (first, second, distance), total = hamming_pairs.sparsify_pairs(
        hamming_pairs.near_pairs(bits, 40), 90, 3
    )
    assert total == len(all_pairs) > 700
    assert len(set(zip(first, second, strict=True))) == len(first) < 3 * 90 + 90
    assert (distance == distances[first, second]).all()

    def components(pairs):
        edges = coo_array((np.ones(len(pairs)), np.transpose(pairs)), (90, 90))
        return connected_components(edges, directed=False)[1]

    assert (components(list(zip(first, second, strict=True))) == components(all_pairs)).all()
    for j in range(90):
        nearest = sorted((distances[i, other], i) for i, other in all_pairs if other == j)[:3]
        assert {(j, i) for _, i in nearest} <= set(zip(second, first, strict=True))
    unreduced, total = hamming_pairs.sparsify_pairs(hamming_pairs.near_pairs(bits, 40), 90, 90)
    assert sorted(zip(*unreduced[:2], strict=True)) == all_pairs


@pytest.mark.parametrize("n", [1, 2, 700, 1300])
def test_exactly_the_near_pairs_are_found(n):
    rng = np.random.default_rng(n)
    bits = rng.integers(0, 2, (n, BITS), dtype=np.uint8)
    for i in range(0, n - 1, 7):
        flipped = rng.choice(BITS, rng.integers(0, 80), replace=False)
        bits[i + 1] = bits[i]
        bits[i + 1, flipped] ^= 1
    distances = (bits[:, None] != bits[None]).sum(axis=2)
    expected = {(i, j, distances[i, j]) for i, j in np.argwhere(distances <= 40).tolist() if i < j}
    found = [zip(*map(np.ndarray.tolist, block), strict=True) for block in near_pairs(bits, 40)]
    assert {pair for block in found for pair in block} == expected
    assert n < 7 or expected
