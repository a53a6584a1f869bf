"""Pairs of perceptual hashes that differ in a few bits only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Distances = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Pairs = tuple[Ints, Ints, Distances]  # first, second, and how many bits differ

BLOCK = 2**19  # how many pairs are compared at once, and how many matches are held unsorted


def near_pairs(bits: Bits, limit: int) -> Iterator[Pairs]:
    """All pairs of hashes that differ in `limit` bits or fewer, block by block; first < second.

    Every pair is compared, so that none is missed: at 230,000 hashes some minutes.

    Args:
        bits: (n, 255) of 0 and 1.
        limit: how many bits may differ.
    """
    for first, second, distance in near_blocks(bits, bits, limit, later=True):
        after = first < second
        yield first[after], second[after], distance[after]


def near_blocks(asked: Bits, bits: Bits, limit: int, later: bool = False) -> Iterator[Pairs]:
    """For hashes that are asked about, in order, those that differ in `limit` bits or fewer.

    Args:
        asked: (m, 255) of 0 and 1.
        bits: (n, 255) of 0 and 1.
        limit: how many bits may differ.
        later: whether only those of `bits` matter that come behind a block's first.

    Yields:
        (which was asked about, which of `bits`, how many bits differ), for some of those asked.
    """
    queries, words = _words(asked), _words(bits).T.copy()
    rows = max(1, BLOCK // max(len(bits), 1))
    for start in range(0, len(queries), rows):
        behind = start if later else 0
        some = queries[start : start + rows]
        distance = np.zeros((len(some), len(bits) - behind), np.uint8)  # at most 255
        for word, column in zip(words, some.T, strict=True):
            distance += np.bitwise_count(column[:, None] ^ word[None, behind:])
        at, which = np.nonzero(distance <= limit)
        yield at + start, which + behind, distance[at, which].astype(np.int64)


def _words(bits: Bits) -> npt.NDArray[np.uint64]:
    """(n, 4): 64 bits in each."""
    return np.packbits(np.pad(bits, ((0, 0), (0, -bits.shape[1] % 64))), axis=1).view(np.uint64)


def sparsify_pairs(pairs: Iterable[Pairs], count: int, most: int) -> tuple[Pairs, int]:
    """Of many pairs, the `most` nearest of every second, and what else ties it to others.

    Whatever all pairs tie together, directly or by way of others, those that are returned do. As
    many hashes that are all alike have pairs, so much memory is not taken: it grows with `count`.

    Args:
        pairs: blocks of them, first < second; of one that comes twice, the smaller distance counts.
        count: how many hashes there are.
        most: how many pairs are kept of one second.

    Returns:
        The pairs by second, then first; and how many there were.
    """
    total, waiting = 0, 0
    held: list[Pairs] = []
    kept, bridges, tied = _none(), _none(), np.arange(count)

    def sort_out() -> None:
        nonlocal kept, bridges, tied
        new = _joined(held)
        forest, tied = _bridges(new, tied)
        kept, bridges = _nearest(_joined([kept, new]), most), _joined([bridges, forest])
        held.clear()

    for block in pairs:
        held.append(block)
        total += len(block[0])
        waiting += len(block[0])
        if waiting > BLOCK:
            sort_out()
            waiting = 0
    sort_out()
    first, second, distance = _joined([kept, bridges])
    order = np.lexsort((distance, first, second))
    pair = second[order] * count + first[order]
    once = order[np.diff(pair, prepend=-1) != 0]
    return (first[once], second[once], distance[once]), total


def _none() -> Pairs:
    return (np.empty(0, np.int64),) * 3


def _joined(parts: list[Pairs]) -> Pairs:
    first, second, distance = (np.concatenate(column) for column in zip(_none(), *parts))  # noqa: B905
    return first, second, distance


def _nearest(pairs: Pairs, most: int) -> Pairs:
    """The nearest of every second; of equals the first."""
    first, second, distance = pairs
    order = np.lexsort((first, distance, second))
    ordered = second[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.arange(len(ordered)) - np.repeat(starts, np.diff(starts, append=len(ordered)))
    of = order[rank < most]
    return first[of], second[of], distance[of]


def _bridges(pairs: Pairs, tied: Ints) -> tuple[Pairs, Ints]:
    """Some of the pairs, which tie what all of them tie, and what is tied then.

    Args:
        pairs: as in `sparsify_pairs`.
        tied: (count,) what is tied already: the same number for what belongs together.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

    first, second, distance = pairs
    one, other = tied[first], tied[second]
    apart = np.flatnonzero(one != other)
    if not len(apart):
        return _none(), tied
    low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
    order = apart[np.lexsort((distance[apart], high, low))]
    low, high = np.minimum(one, other)[order], np.maximum(one, other)[order]
    new = np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0))
    of, low, high = order[new], low[new], high[new]
    size = len(tied)
    # The weight of an edge is its place, counted from 1, so that the tree names its edges.
    edges = coo_array((np.arange(1.0, len(of) + 1), (low, high)), (size, size)).tocsr()
    tree = of[minimum_spanning_tree(edges).data.astype(np.int64) - 1]
    _, labels = connected_components(edges, directed=False)
    return (first[tree], second[tree], distance[tree]), labels[tied].astype(np.int64)
