"""The frames of a clip and who is in them.

    frames ─▶ find ─▶ smooth ─▶ choose ─▶ sights
               ▲                            │
               └── copies of an original ◀──┘

An original's copies serve its other compressions and its fakes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ffpp_tools import choose, decode, twins
from ffpp_tools.choose import Mask
from ffpp_tools.clip import Clip
from ffpp_tools.detect import Face
from ffpp_tools.errors import DecodeError
from ffpp_tools.follow import Follower, smoothed
from ffpp_tools.settings import ClipSettings

Copies = Mapping[int, twins.Copy]  # of an original's planned frames, by index


@dataclass(frozen=True)
class Relatives:
    """What is known of a clip from others that show the same frames."""

    mask: Mask | None  # of what is forged in them
    like: Copies  # of the original it is compared with
    lost: str  # why that original could not be read in full; empty if it could
    kept: dict[int, twins.Copy] | None  # takes copies of this clip, if others are compared with it


@dataclass(frozen=True)
class Sight:
    """A frame and who is in it."""

    frame: decode.Frame
    faces: Sequence[Face]
    twin: twins.Twin | None
    chosen: int | None = None  # the track of the face the frame is about


def sights(
    clip: Clip, frames: Iterator[decode.Frame], settings: ClipSettings, relatives: Relatives
) -> Iterator[Sight]:
    """Every frame with its faces, the chosen one named; copies are kept if they are needed."""
    for sight in _smoothed(_found(frames, settings, relatives.like), settings.smooth):
        sight = replace(sight, chosen=_chosen(sight, relatives.mask))
        if relatives.kept is not None:
            copy = twins.keep(sight.frame.picture, sight.faces, sight.chosen, clip.compression)
            relatives.kept[sight.frame.index] = copy
        yield sight


def _found(frames: Iterator[decode.Frame], settings: ClipSettings, like: Copies) -> Iterator[Sight]:
    """Every frame with its faces: the original's where they fit, else those found here."""
    follower = Follower(settings.find)
    for frame in frames:
        original = like.get(frame.index)
        twin = twins.match(frame.picture, original) if original and original.faces else None
        if twin and settings.find.search == "fast":
            follower.saw(twin.faces, frame.picture, frame.time_s)
            yield Sight(frame, twin.faces, twin)
        else:
            yield Sight(frame, follower.find(frame.picture, frame.time_s), twin)


def _smoothed(sights: Iterator[Sight], span: int) -> Iterator[Sight]:
    """The same, each box the mean of the same person's in `span` frames around."""
    half = span // 2
    passed: deque[Sight] = deque(maxlen=half)
    coming: deque[Sight] = deque()

    def next_one() -> Sight:
        sight = coming.popleft()
        size = (sight.frame.picture.width, sight.frame.picture.height)
        around = [
            s
            for s in (*passed, sight, *coming)
            if (s.frame.picture.width, s.frame.picture.height) == size
        ]
        passed.append(sight)
        return replace(sight, faces=smoothed(sight.faces, [s.faces for s in around]))

    failure: DecodeError | None = None
    try:
        for sight in sights:
            coming.append(sight)
            if len(coming) > half:
                yield next_one()
    except DecodeError as error:  # what was decoded before counts
        failure = error
    while coming:
        yield next_one()
    if failure:
        raise failure


def _chosen(sight: Sight, mask: Mask | None) -> int | None:
    """The track of the forged face if that can be told, else of the largest."""
    if not sight.faces:
        return None
    if len(sight.faces) > 1 and mask:
        picture = sight.frame.picture
        mask_image = mask(sight.frame.index)
        face = choose.forged(sight.faces, mask_image, picture.width, picture.height)
        if face:
            return face.track
    if sight.twin and sight.faces[0].box_from == "twin":
        return sight.twin.original.chosen
    return choose.largest(sight.faces).track
