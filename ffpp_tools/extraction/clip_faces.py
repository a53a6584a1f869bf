"""The faces in each frame of a clip.

    frames ─▶ detect ─▶ smooth ─▶ select ─▶ FrameFaces
                ▲                              │
                └── saved frames, originals ◀──┘

Reduced frames of an original are saved, and reused for its other compressions and its fakes.
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

OriginalFrames = Mapping[int, paired.OriginalFrame]  # frame index → reduced frame of an original


@dataclass(frozen=True)
class RelatedData:
    """Data about a clip from related clips, which show the same frames."""

    mask: Path | None  # the video that masks the manipulated area of the frames
    original_frames: OriginalFrames  # of the original that the clip is compared with
    original_error: str  # why that original could not be read completely; empty if it could
    # Receives the reduced frames of this clip, if other clips are compared with it.
    saved_frames: dict[int, paired.OriginalFrame] | None


@dataclass(frozen=True)
class FrameFaces:
    """A frame and the faces in it."""

    frame: decode.Frame
    faces: Sequence[Face]
    twin: paired.MatchedFrame | None  # the match with the original's frame
    chosen_track: int | None = None  # the track of the selected face
    changes: Mapping[int, Change] = field(default_factory=dict)  # track → change; fakes only


def faces_by_frame(
    clip: Clip,
    frames: Iterator[decode.Frame],
    settings: ClipSettings,
    related: RelatedData,
    mask: MaskReader | None = None,
    changes: ChangeDetector | None = None,
) -> Iterator[FrameFaces]:
    """Yield every frame with its faces and the selected face.

    Reduced frames are added to `related.saved_frames` if other clips need them.

    Args:
        clip: the clip.
        frames: its frames, in order.
        settings: extraction settings.
        related: data from related clips.
        mask: reads the masks in `related.mask`, in frame order.
        changes: compares a fake's faces with its original's; None for reals.
    """
    detected = _detected(frames, settings, related.original_frames)
    for frame_faces in _smoothed(detected, settings.smooth):
        frame_faces = _with_selection(frame_faces, mask, changes)
        frame = frame_faces.frame
        if related.saved_frames is not None:
            related.saved_frames[frame.index] = paired.reduce_original(
                frame.picture, frame_faces.faces, frame_faces.chosen_track, clip.compression
            )
        yield frame_faces


def _detected(
    frames: Iterator[decode.Frame], settings: ClipSettings, originals: OriginalFrames
) -> Iterator[FrameFaces]:
    """Yield every frame with its faces: the original's if the frames match, else detected ones."""
    follower = FaceFinder(settings.find)
    for frame in frames:
        original = originals.get(frame.index)
        twin = paired.match(frame.picture, original) if original and original.faces else None
        if twin and settings.find.search == "fast":
            follower.record(twin.faces, frame.picture, frame.time_s)
            yield FrameFaces(frame, twin.faces, twin)
        else:
            yield FrameFaces(frame, follower.find(frame.picture, frame.time_s), twin)


def _smoothed(frames: Iterator[FrameFaces], span: int) -> Iterator[FrameFaces]:
    """Yield the frames with each box averaged over the same track in a window of `span` frames."""
    half = span // 2
    before: deque[FrameFaces] = deque(maxlen=half)
    after: deque[FrameFaces] = deque()

    def smooth_next() -> FrameFaces:
        frame_faces = after.popleft()
        size = _size(frame_faces)
        window = [f for f in (*before, frame_faces, *after) if _size(f) == size]
        before.append(frame_faces)
        faces = smoothed(frame_faces.faces, [f.faces for f in window])
        return replace(frame_faces, faces=faces)

    failure: DecodeError | None = None
    try:
        for frame_faces in frames:
            after.append(frame_faces)
            if len(after) > half:
                yield smooth_next()
    except DecodeError as error:  # raised after the frames that were decoded before it
        failure = error
    while after:
        yield smooth_next()
    if failure:
        raise failure


def _size(frame_faces: FrameFaces) -> tuple[int, int]:
    picture = frame_faces.frame.picture
    return picture.width, picture.height


def _with_selection(
    frame_faces: FrameFaces, mask: MaskReader | None, changes: ChangeDetector | None
) -> FrameFaces:
    """Return the frame with the track of the selected face and the changes of its faces."""
    faces, twin = frame_faces.faces, frame_faces.twin
    if not faces:
        return frame_faces
    picture, several = frame_faces.frame.picture, len(faces) > 1
    mask_image = mask(frame_faces.frame.index, picture) if mask and (changes or several) else None
    by_track = changes.of_frame(faces, picture, twin, mask_image) if changes else {}
    forged = select.forged_face(faces, mask_image, picture) if several else None
    bystanders = changes.bystanders(together=1) if changes and several else frozenset[int]()
    chosen = forged.track if forged else _track_without_mask(frame_faces, bystanders)
    return replace(frame_faces, chosen_track=chosen, changes=by_track)


def _track_without_mask(frame_faces: FrameFaces, bystanders: frozenset[int]) -> int:
    """Return the track that was selected in the original, unless it is a bystander's.

    Else return the track of the largest face.
    """
    faces, twin = frame_faces.faces, frame_faces.twin
    candidates = [face for face in faces if face.track not in bystanders] or faces
    if twin and faces[0].box_from == "twin":
        chosen = twin.original.chosen
        if chosen is not None and any(face.track == chosen for face in candidates):
            return chosen
    return select.largest_face(candidates).track
