"""All pairs of perceptual hashes that differ in a few bits only."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

BLOCK = 512  # how many hashes are compared with all others at once


def near_pairs(bits: npt.NDArray[np.uint8], limit: int) -> Iterator[tuple[int, int, int]]:
    """All pairs of hashes that differ in `limit` bits or fewer: (first, second, bits).

    Every pair is compared, so that none is missed: at 230,000 hashes some minutes.

    Args:
        bits: (n, 255) of 0 and 1.
        limit: how many bits may differ.
    """
    for first, matches in near_each(bits, bits, limit):
        for second, distance in matches:
            if first < second:
                yield first, second, distance


def near_each(
    asked: npt.NDArray[np.uint8], bits: npt.NDArray[np.uint8], limit: int
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """For each hash that is asked about, those that differ from it in `limit` bits or fewer.

    Args:
        asked: (m, 255) of 0 and 1.
        bits: (n, 255) of 0 and 1.
        limit: how many bits may differ.

    Yields:
        (which was asked about, [(which of `bits`, how many bits differ)]).
    """
    packed, queries = np.packbits(bits, axis=1), np.packbits(asked, axis=1)
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    for start in range(0, len(queries), BLOCK):
        found = matcher.radiusMatch(queries[start : start + BLOCK], packed, limit + 1)
        for at, matches in enumerate(found, start):
            near = [(m.trainIdx, int(m.distance)) for m in matches if m.distance <= limit]
            yield at, near
