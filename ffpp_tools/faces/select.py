"""Which of several faces a frame is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ffpp_tools.errors import DecodeError
from ffpp_tools.faces.detect import SURE_SCORE, Face
from ffpp_tools.video import decode, demux
from ffpp_tools.video.decode_limits import Limits, with_timeout
from ffpp_tools.video.image import Image, Picture

# Frame index and frame → its mask, (H, W) uint8, above 127 where forged.
MaskReader = Callable[[int, Picture], Image | None]

MIN_COVERED = 0.1  # of a face's box; less is the edge of somebody else's mask
# Face2Face and NeuralTextures, and their masks, are cut to multiples of 32 or so.
MAX_CUT = 64  # pixels of a side
SAME_SHAPE = 0.01  # by which the ratios of the sides of a frame and its mask may differ
EMPTY = 0.005  # of a face's box; less is nothing: a mask video has compression noise too


def largest_face(faces: Sequence[Face]) -> Face:
    """The face with the largest box; among equals the leftmost, then the topmost.

    A face the detector is not sure of counts only where there is no other.
    """
    return min(faces, key=lambda f: (f.score < SURE_SCORE, -f.box.area, f.box.x, f.box.y))


def forged_face(faces: Sequence[Face], mask: Image | None, picture: Picture) -> Face | None:
    """The face that a mask covers most of; None where it covers no face.

    Args:
        faces: of a frame.
        mask: of the same frame, or of its middle (masks of Face2Face and NeuralTextures are
            cut like their clips); None where there is none.
        picture: the frame.
    """
    if mask is None or not faces:
        return None
    covered = [_covered(face, mask, picture) for face in faces]
    best = int(np.argmax(covered))
    return faces[best] if covered[best] >= MIN_COVERED else None


def outside(faces: Sequence[Face], mask: Image, picture: Picture) -> frozenset[int]:
    """The tracks of faces that a mask leaves out.

    A face is left out where the mask holds nothing of it, or next to nothing while it covers
    another one.

    Args:
        faces: of a frame.
        mask: as in `forged_face`.
        picture: the frame.
    """
    covered = {face.track: _covered(face, mask, picture) for face in faces}
    other = max(covered.values(), default=0.0) >= MIN_COVERED
    limit = MIN_COVERED if other else EMPTY
    return frozenset(track for track, share in covered.items() if share < limit)


def _covered(face: Face, mask: Image, picture: Picture) -> float:
    """The share of a face's box that lies in a mask."""
    left, top = (picture.width - mask.shape[1]) // 2, (picture.height - mask.shape[0]) // 2
    y, x = max(face.box.y - top, 0), max(face.box.x - left, 0)
    y_end, x_end = face.box.y + face.box.height - top, face.box.x + face.box.width - left
    return float((mask[y : max(y_end, 0), x : max(x_end, 0)] > 127).sum() / face.box.area)


def fitted(mask: Image, picture: Picture) -> Image | None:
    """A mask at the frame's size, or of its middle if it is cut; None if it is of something else.

    A mask of another size and the same shape is scaled.
    """
    height, width = mask.shape
    cut = (picture.width - width, picture.height - height)
    if all(0 <= pixels < MAX_CUT for pixels in cut):
        return mask
    ratio = (width / height) / (picture.width / picture.height)
    if abs(ratio - 1) > SAME_SHAPE:
        return None
    size = (picture.width, picture.height)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)


class MaskVideo:
    """The planned frames of a mask video, read in order, and no further than is asked for."""

    def __init__(self, path: Path, wanted: Sequence[int], limits: Limits) -> None:
        """Read nothing yet.

        Args:
            path: of the video.
            wanted: the indices that may be asked for, strictly increasing.
            limits: what the decoder may take.
        """
        self.error = ""  # why it could not be read, or does not fit
        self.missing: set[int] = set()  # the frames whose masks that cost
        self._path = path
        self._frames = _mask_frames(path, wanted, limits)
        self._last: decode.Frame | None = None

    def __call__(self, index: int, picture: Picture) -> Image | None:
        """The mask of a frame, (H, W) uint8, above 127 where forged; None where there is none.

        It is of the frame's size or of its middle. Frames are asked for in order.
        """
        found = self._read(index)
        mask = fitted(found.picture.grey, picture) if found else None
        if found and mask is None:
            height, width = found.picture.grey.shape
            self.error = (
                f"{self._path}: its frames of {width} × {height} pixels do not fit the clip's of "
                f"{picture.width} × {picture.height}"
            )
        if mask is None and self.error:
            self.missing.add(index)
        return mask

    def _read(self, index: int) -> decode.Frame | None:
        """The frame of the mask video; None where it ends before, or cannot be read."""
        try:
            while self._last is None or self._last.index < index:
                self._last = next(self._frames)
        except StopIteration:
            return None
        except DecodeError as error:
            self.error = str(error)
            return None
        return self._last if self._last.index == index else None


def _mask_frames(path: Path, wanted: Sequence[int], limits: Limits) -> Iterator[decode.Frame]:
    def read() -> Iterator[decode.Frame | None]:
        video = yield from demux.read_video_steps(path, limits.pixels)
        yield from decode.frames(video, [i for i in wanted if i < video.n_frames])

    yield from (frame for frame in with_timeout(read, limits.time_s, path) if frame is not None)
