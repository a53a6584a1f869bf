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
    packed = np.packbits(bits, axis=1)
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    for start in range(0, len(packed), BLOCK):
        block = packed[start : start + BLOCK]
        for matches in matcher.radiusMatch(block, packed[start:], limit + 1):
            for match in matches:
                first, second = start + match.queryIdx, start + match.trainIdx
                if first < second and match.distance <= limit:
                    yield first, second, int(match.distance)
