"""Select the target face of a frame, by face size or by the mask of a fake."""

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

# (frame index, frame) → mask of the frame, (H, W) uint8, above 127 where forged.
MaskReader = Callable[[int, Picture], Image | None]

# Fractions of a face's box that a mask covers.
MIN_COVERED = 0.1  # below this, the mask is of another person
EMPTY = 0.005  # below this, the mask is empty: mask videos have compression noise
# Face2Face and NeuralTextures, and their masks, are cropped to multiples of about 32 pixels.
MAX_CUT = 64  # maximum difference of a frame's and its mask's width or height, in pixels
SAME_SHAPE = 0.01  # maximum relative difference between the aspect ratios of a frame and its mask


def largest_face(faces: Sequence[Face]) -> Face:
    """Return the face with the largest box; of equally large faces the leftmost, then topmost.

    Uncertain detections count only if there are no others.
    """
    return min(faces, key=lambda f: (f.score < SURE_SCORE, -f.box.area, f.box.x, f.box.y))


def forged_face(faces: Sequence[Face], mask: Image | None, picture: Picture) -> Face | None:
    """Return the face that a mask covers most; None if it covers no face.

    Args:
        faces: faces of a frame.
        mask: mask of the frame, or of its centre (masks of Face2Face and NeuralTextures are
            cropped like their clips); None if there is no mask.
        picture: the frame.
    """
    if mask is None or not faces:
        return None
    covered = [_covered(face, mask, picture) for face in faces]
    best = int(np.argmax(covered))
    return faces[best] if covered[best] >= MIN_COVERED else None


def outside(faces: Sequence[Face], mask: Image, picture: Picture) -> frozenset[int]:
    """Return the tracks of the faces outside a mask.

    A face is outside if the mask covers nothing of it, or almost nothing while it covers another
    face.

    Args:
        faces: faces of a frame.
        mask: mask of the frame, as for `forged_face`.
        picture: the frame.
    """
    covered = {face.track: _covered(face, mask, picture) for face in faces}
    covers_any = max(covered.values(), default=0.0) >= MIN_COVERED
    limit = MIN_COVERED if covers_any else EMPTY
    return frozenset(track for track, fraction in covered.items() if fraction < limit)


def _covered(face: Face, mask: Image, picture: Picture) -> float:
    """Return the fraction of a face's box that a mask covers."""
    left, top = (picture.width - mask.shape[1]) // 2, (picture.height - mask.shape[0]) // 2
    y, x = max(face.box.y - top, 0), max(face.box.x - left, 0)
    y_end, x_end = face.box.y + face.box.height - top, face.box.x + face.box.width - left
    return float((mask[y : max(y_end, 0), x : max(x_end, 0)] > 127).sum() / face.box.area)


def fitted(mask: Image, picture: Picture) -> Image | None:
    """Fit a mask to the size of its frame, or of the frame's centre if the mask is cropped.

    A mask of another size but the same aspect ratio is scaled. None if the mask does not fit.
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
    """Read the masks of frames from a mask video, in order and on demand."""

    def __init__(self, path: Path, wanted: Sequence[int], limits: Limits) -> None:
        """Prepare without reading the video.

        Args:
            path: mask video.
            wanted: indices of the frames that may be requested, strictly increasing.
            limits: time and size limits of the decoder.
        """
        self.error = ""  # why the video could not be read or does not fit
        self.missing: set[int] = set()  # indices of frames without a mask because of the error
        self._path = path
        self._frames = _mask_frames(path, wanted, limits)
        self._last: decode.Frame | None = None

    def __call__(self, index: int, picture: Picture) -> Image | None:
        """Return the mask of a frame, (H, W) uint8, above 127 where forged; None if missing.

        It has the size of the frame or of its centre. Frames must be requested in order.
        """
        mask_frame = self._read(index)
        mask = fitted(mask_frame.picture.grey, picture) if mask_frame else None
        if mask_frame and mask is None:
            height, width = mask_frame.picture.grey.shape
            self.error = (
                f"{self._path}: masks of {width} × {height} pixels do not fit the clip's frames of "
                f"{picture.width} × {picture.height} pixels"
            )
        if mask is None and self.error:
            self.missing.add(index)
        return mask

    def _read(self, index: int) -> decode.Frame | None:
        """Return a frame of the mask video; None if the video is shorter or cannot be read."""
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
