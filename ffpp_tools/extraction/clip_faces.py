"""The frames of a clip and who is in them.

    frames ─▶ find ─▶ smooth ─▶ choose ─▶ sights
               ▲                            │
               └── copies of an original ◀──┘

An original's copies serve its other compressions and its fakes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ffpp_tools.errors import DecodeError
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.faces import paired, select
from ffpp_tools.faces.detect import Face
from ffpp_tools.faces.select import MaskReader
from ffpp_tools.faces.tracking import FaceFinder, smoothed
from ffpp_tools.faces.unchanged_fakes import Change, ChangeDetector
from ffpp_tools.sources.clip import Clip
from ffpp_tools.video import decode

Copies = Mapping[int, paired.OriginalFrame]  # of an original's planned frames, by index


@dataclass(frozen=True)
class RelatedData:
    """What is known of a clip from others that show the same frames."""

    mask: Path | None  # the video of what is forged in them
    like: Copies  # of the original it is compared with
    lost: str  # why that original could not be read in full; empty if it could
    kept: (
        dict[int, paired.OriginalFrame] | None
    )  # takes copies of this clip, if others are compared with it


@dataclass(frozen=True)
class FrameFaces:
    """A frame and who is in it."""

    frame: decode.Frame
    faces: Sequence[Face]
    twin: paired.MatchedFrame | None
    chosen: int | None = None  # the track of the face the frame is about
    changes: Mapping[int, Change] = field(default_factory=dict)  # of a fake's faces, by track


def faces_by_frame(
    clip: Clip,
    frames: Iterator[decode.Frame],
    settings: ClipSettings,
    relatives: RelatedData,
    mask: MaskReader | None = None,
    changes: ChangeDetector | None = None,
) -> Iterator[FrameFaces]:
    """Every frame with its faces, the chosen one named; copies are kept if they are needed.

    Args:
        clip: whose frames.
        frames: in order.
        settings: how faces are found.
        relatives: what is known from other clips.
        mask: reads the masks of `relatives.mask`, in order.
        changes: takes the differences of a fake's faces from its original's; None for reals.
    """
    for sight in _smoothed(_found(frames, settings, relatives.like), settings.smooth):
        sight = _judged(sight, mask, changes)
        if relatives.kept is not None:
            copy = paired.reduce_original(
                sight.frame.picture, sight.faces, sight.chosen, clip.compression
            )
            relatives.kept[sight.frame.index] = copy
        yield sight


def _found(
    frames: Iterator[decode.Frame], settings: ClipSettings, like: Copies
) -> Iterator[FrameFaces]:
    """Every frame with its faces: the original's where they fit, else those found here."""
    follower = FaceFinder(settings.find)
    for frame in frames:
        original = like.get(frame.index)
        twin = paired.match(frame.picture, original) if original and original.faces else None
        if twin and settings.find.search == "fast":
            follower.record(twin.faces, frame.picture, frame.time_s)
            yield FrameFaces(frame, twin.faces, twin)
        else:
            yield FrameFaces(frame, follower.find(frame.picture, frame.time_s), twin)


def _smoothed(sights: Iterator[FrameFaces], span: int) -> Iterator[FrameFaces]:
    """The same, each box the mean of the same person's in `span` frames around."""
    half = span // 2
    passed: deque[FrameFaces] = deque(maxlen=half)
    coming: deque[FrameFaces] = deque()

    def next_one() -> FrameFaces:
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


def _judged(
    sight: FrameFaces, mask: MaskReader | None, changes: ChangeDetector | None
) -> FrameFaces:
    """The same with the track of the face that it is about, and what is known of its changes."""
    if not sight.faces:
        return sight
    picture, several = sight.frame.picture, len(sight.faces) > 1
    mask_image = mask(sight.frame.index, picture) if mask and (changes or several) else None
    found = changes.of_frame(sight.faces, picture, sight.twin, mask_image) if changes else {}
    covered = select.forged_face(sight.faces, mask_image, picture) if several else None
    bystanders = changes.bystanders(together=1) if changes and several else frozenset[int]()
    chosen = covered.track if covered else _without_mask(sight, bystanders)
    return replace(sight, chosen=chosen, changes=found)


def _without_mask(sight: FrameFaces, bystanders: frozenset[int]) -> int:
    """The track of the original's choice, unless it is a bystander's; else of the largest face."""
    others = [face for face in sight.faces if face.track not in bystanders] or sight.faces
    if sight.twin and sight.faces[0].box_from == "twin":
        chosen = sight.twin.original.chosen
        if chosen is not None and any(face.track == chosen for face in others):
            return chosen
    return select.largest_face(others).track
