"""Which of several faces a frame is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ffpp_tools import decode, demux
from ffpp_tools.detect import SURE_SCORE, Face
from ffpp_tools.errors import DecodeError
from ffpp_tools.picture import Image
from ffpp_tools.watch import in_time

Mask = Callable[[int], Image | None]  # frame index → (H, W) uint8, above 127 where forged

MIN_COVERED = 0.1  # of a face's box; less is the edge of somebody else's mask


def largest(faces: Sequence[Face]) -> Face:
    """The face with the largest box; among equals the leftmost, then the topmost.

    A face the detector is not sure of counts only where there is no other.
    """
    return min(faces, key=lambda f: (f.score < SURE_SCORE, -f.box.area, f.box.x, f.box.y))


def forged(faces: Sequence[Face], mask: Image | None, width: int, height: int) -> Face | None:
    """The face that a mask covers most of; None where it covers no face.

    Args:
        faces: of a frame of `width` × `height` pixels.
        mask: of the same frame, or of its middle (masks of Face2Face and NeuralTextures are
            cut like their clips); None where there is none.
        width: of the frame.
        height: of the frame.
    """
    if mask is None or not faces:
        return None
    left, top = (width - mask.shape[1]) // 2, (height - mask.shape[0]) // 2
    covered = []
    for face in faces:
        y, x = max(face.box.y - top, 0), max(face.box.x - left, 0)
        y_end, x_end = face.box.y + face.box.height - top, face.box.x + face.box.width - left
        covered.append((mask[y : max(y_end, 0), x : max(x_end, 0)] > 127).sum() / face.box.area)
    best = int(np.argmax(covered))
    return faces[best] if covered[best] >= MIN_COVERED else None


def mask_video(path: Path, limit_s: float) -> Mask:
    """Reads single frames of a mask video; None for those that cannot be read.

    Few frames show several faces, so each is looked up on its own.
    """

    def frame(index: int) -> Iterator[decode.Frame]:
        yield from decode.frames(demux.probe(path), [index])

    def mask(index: int) -> Image | None:
        try:
            for found in in_time(lambda: frame(index), limit_s, path):
                return found.picture.grey
        except DecodeError:
            pass
        return None

    return mask
