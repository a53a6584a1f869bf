"""Find pairs of perceptual hashes that differ in only a few bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Distances = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Pairs = tuple[Ints, Ints, Distances]  # first, second, and the number of differing bits

BLOCK = 2**19  # number of pairs compared per block, and of matches buffered before sorting


def near_pairs(bits: Bits, limit: int) -> Iterator[Pairs]:
    """Yield all pairs of hashes that differ in at most `limit` bits, in blocks; first < second.

    The search is exhaustive and takes a few minutes for 230,000 hashes.

    Args:
        bits: (n, 255) of 0 and 1.
        limit: maximum number of differing bits.
    """
    for first, second, distance in near_blocks(bits, bits, limit, later=True):
        ordered = first < second
        yield first[ordered], second[ordered], distance[ordered]


def near_blocks(queries: Bits, bits: Bits, limit: int, later: bool = False) -> Iterator[Pairs]:
    """Yield, for each query in order, the hashes that differ in at most `limit` bits.

    Args:
        queries: (m, 255) of 0 and 1.
        bits: (n, 255) of 0 and 1.
        limit: maximum number of differing bits.
        later: skip the hashes of `bits` before the index of a block's first query, for the case
            that `bits` and `queries` are the same.

    Yields:
        (indices of queries, indices in `bits`, numbers of differing bits), for a block of queries.
    """
    query_words, words = _words(queries), _words(bits).T.copy()
    rows = max(1, BLOCK // max(len(bits), 1))
    for start in range(0, len(query_words), rows):
        skipped = start if later else 0
        block = query_words[start : start + rows]
        distance = np.zeros((len(block), len(bits) - skipped), np.uint8)  # at most 255
        for word, column in zip(words, block.T, strict=True):
            distance += np.bitwise_count(column[:, None] ^ word[None, skipped:])
        query, match = np.nonzero(distance <= limit)
        yield query + start, match + skipped, distance[query, match].astype(np.int64)


def _words(bits: Bits) -> npt.NDArray[np.uint64]:
    """Pack bits into words of 64: (n, 255) → (n, 4)."""
    return np.packbits(np.pad(bits, ((0, 0), (0, -bits.shape[1] % 64))), axis=1).view(np.uint64)


def sparsify_pairs(pairs: Iterable[Pairs], count: int, most: int) -> tuple[Pairs, int]:
    """Reduce pairs to the `most` nearest of every second, plus pairs that preserve connectivity.

    The returned pairs have the same connected components as all pairs. Memory is proportional to
    `count`, not to the number of pairs, which is quadratic if many hashes are similar.

    Args:
        pairs: blocks of pairs, first < second. If a pair appears twice, the smaller distance is
            used.
        count: number of hashes.
        most: number of nearest pairs to keep for each second.

    Returns:
        The pairs, sorted by second, then first; and the number of pairs before the reduction.
    """
    n_pairs, n_buffered = 0, 0
    buffer: list[Pairs] = []
    nearest, bridges, component = _no_pairs(), _no_pairs(), np.arange(count)

    def reduce_buffer() -> None:
        nonlocal nearest, bridges, component
        new = _joined(buffer)
        forest, component = _spanning_forest(new, component)
        nearest, bridges = _nearest(_joined([nearest, new]), most), _joined([bridges, forest])
        buffer.clear()

    for block in pairs:
        buffer.append(block)
        n_pairs += len(block[0])
        n_buffered += len(block[0])
        if n_buffered > BLOCK:
            reduce_buffer()
            n_buffered = 0
    reduce_buffer()
    first, second, distance = _joined([nearest, bridges])
    order = np.lexsort((distance, first, second))
    pair = second[order] * count + first[order]
    unique = order[np.diff(pair, prepend=-1) != 0]
    return (first[unique], second[unique], distance[unique]), n_pairs


def _no_pairs() -> Pairs:
    return (np.empty(0, np.int64),) * 3


def _joined(parts: list[Pairs]) -> Pairs:
    first, second, distance = (np.concatenate(column) for column in zip(_no_pairs(), *parts))  # noqa: B905
    return first, second, distance


def _nearest(pairs: Pairs, most: int) -> Pairs:
    """Return the `most` nearest pairs of every second; ties are broken by the smaller first."""
    first, second, distance = pairs
    order = np.lexsort((first, distance, second))
    ordered = second[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.arange(len(ordered)) - np.repeat(starts, np.diff(starts, append=len(ordered)))
    nearest = order[rank < most]
    return first[nearest], second[nearest], distance[nearest]


def _spanning_forest(pairs: Pairs, component: Ints) -> tuple[Pairs, Ints]:
    """Return a subset of the pairs that connects the same components, and the new components.

    Args:
        pairs: as in `sparsify_pairs`.
        component: (count,) the connected component of each hash before the pairs are added.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

    first, second, distance = pairs
    one, other = component[first], component[second]
    between = np.flatnonzero(one != other)
    if not len(between):
        return _no_pairs(), component
    low, high = np.minimum(one, other)[between], np.maximum(one, other)[between]
    order = between[np.lexsort((distance[between], high, low))]
    low, high = np.minimum(one, other)[order], np.maximum(one, other)[order]
    is_first = np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0))
    shortest, low, high = order[is_first], low[is_first], high[is_first]
    size = len(component)
    # The weight of an edge is its position, from 1, so that the weights in the tree identify edges.
    edges = coo_array((np.arange(1.0, len(shortest) + 1), (low, high)), (size, size)).tocsr()
    tree = shortest[minimum_spanning_tree(edges).data.astype(np.int64) - 1]
    _, labels = connected_components(edges, directed=False)
    return (first[tree], second[tree], distance[tree]), labels[component].astype(np.int64)
