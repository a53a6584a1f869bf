"""A perceptual hash of a whole frame, nearly invariant to size, compression and frame rate.

The frame's brightness is scaled to 32 × 32 pixels. For each of the 255 lowest frequencies of its
cosine transform, the hash stores whether the coefficient is above the median of all 255.

Measured on 44 clips of FF++ at c40 (8 of Youtube with 32 fakes, 4 of Actors), every 25th frame:

    bits that differ, of 255                      one frame     median of a clip
    a fake and its original                       up to 32      up to 23
    a copy at half the size, CRF 48, or 30 fps                  up to 18 (mean)
    clips of other people                         from 96       from 114
    two people before one still background (*)    from 18       from 28; 1 % below 37

(*) Composed from these clips: the person in front covers 15 % of the frame.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools.video.image import Image

SMALL = 32
FREQUENCIES = 16  # side of the square of lowest frequencies; the constant term is dropped
LINES = 120  # minimum shorter side to which a frame is subsampled before averaging
MIN_CONTRAST = 6.0  # standard deviation in grey levels; plain frames have no usable hash


def frame_hash(grey: Image) -> str:
    """Return the hash as 64 hexadecimal digits; empty for a frame without contrast.

    Args:
        grey: (H, W) uint8.
    """
    step = max(min(grey.shape) // LINES, 1)  # averaging all pixels of a large frame is slower
    small = cv2.resize(grey[::step, ::step], (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    if small.std() < MIN_CONTRAST:
        return ""
    return np.packbits(low_frequencies(small)).tobytes().hex()


def hash_bits(hashes: list[str]) -> npt.NDArray[np.uint8]:
    """Unpack non-empty hashes to bits: (n, 256) uint8 of 0 and 1; the last column is always 0."""
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    return np.unpackbits(packed.reshape(len(hashes), -1), axis=1)


def low_frequencies(small: Image) -> npt.NDArray[np.uint8]:
    """Return which of an image's 255 lowest frequencies are above their median: (255,) 0 or 1."""
    low = cv2.dct(small.astype(np.float32))[:FREQUENCIES, :FREQUENCIES].ravel()[1:]
    return np.asarray(low > np.median(low), np.uint8)
