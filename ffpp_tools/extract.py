"""One family of clips, or a batch of stills, to rows and crops. Bad data becomes rows that say so.

read ─▶ find faces ─▶ smooth ─▶ choose ─▶ crop
         ▲    │
         └────┘ an original's faces, for its other compressions and its fakes
"""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools import choose, crop, decode, detect, twins
from ffpp_tools.choose import Mask
from ffpp_tools.crop import CropSettings
from ffpp_tools.detect import Face, FindSettings
from ffpp_tools.errors import DecodeError, SettingsError
from ffpp_tools.follow import Follower, smoothed
from ffpp_tools.layout import Clip, Family, Still
from ffpp_tools.picture import Picture
from ffpp_tools.plan import FramePlan
from ffpp_tools.rows import STILL, FaceRow, FrameRow, Part
from ffpp_tools.watch import in_time

Image = npt.NDArray[np.uint8]
Copies = Mapping[int, twins.Copy]  # of an original's planned frames, by index

FACES = ("largest", "tracked", "all")
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class StillSettings:
    """Everything that decides what is extracted from a still."""

    crop: CropSettings = field(default_factory=CropSettings)
    find: FindSettings = field(default_factory=FindSettings)


@dataclass(frozen=True)
class ClipSettings:
    """Everything that decides what is extracted from a clip.

    faces: `largest`, the largest face of each frame or, where a mask tells, the forged one;
    `tracked`, the person who is that in most of the clip's frames; `all`, everybody.
    """

    plan: FramePlan = field(default_factory=FramePlan)
    crop: CropSettings = field(default_factory=CropSettings)
    find: FindSettings = field(default_factory=FindSettings)
    faces: str = "largest"
    twins: bool = True  # compare with the original, and take its boxes where they fit
    keep_unchanged: bool = False  # keep crops of fakes that show the original's face
    smooth: int = 1  # how many planned frames a box is the mean of

    def __post_init__(self) -> None:
        """Refuse what is not there."""
        if self.faces not in FACES:
            raise SettingsError(f"faces ({self.faces!r}) must be one of {', '.join(FACES)}")
        if self.smooth < 1 or self.smooth % 2 == 0:
            raise SettingsError(f"smooth ({self.smooth}) must be an odd number of frames")


def extract_family(
    family: Family,
    settings: ClipSettings,
    dataset: Path,
    done: Collection[Clip] = (),
    timeout_s: float = TIMEOUT_S,
) -> Iterator[tuple[Clip, Part]]:
    """Crop the faces of every planned frame into `dataset`.

    Never raises for bad data: a frame or clip that cannot be read is a row with a status.
    A clip that cannot be opened has no known length; it leaves one row, for frame 0.

    Args:
        family: clips that show the same frames.
        settings: what to extract.
        dataset: the folder the crops go into.
        done: clips of the family that need not be extracted again; an original among them is
            read all the same if a fake's boxes come from it.
        timeout_s: how long the decoder may take to the next wanted frame.

    Yields:
        Each clip that is not done, and what it came to.

    Raises:
        FfppError: the crops cannot be written.
    """
    todo = [clip for clip in family.clips if clip not in done]
    originals = family.originals if settings.twins else ()
    mask = choose.mask_video(family.masks[0], timeout_s) if family.masks else None
    copies: dict[str, Copies] = {}  # of the originals, by compression
    for original in originals:
        first = copies.get(originals[0].compression, {})
        relatives = _Relatives(mask, first, {} if _compared(original, todo, originals) else None)
        if original in todo:
            yield original, _extract(original, settings, dataset, timeout_s, relatives)
        elif relatives.kept is not None:
            _look_through(original, settings, timeout_s, relatives)
        copies[original.compression] = relatives.kept or {}
    for clip in todo:
        if clip not in originals:
            mask = choose.mask_video(clip.mask, timeout_s) if clip.mask.exists() else None
            like = copies.get(clip.compression) or next(iter(copies.values()), {})
            yield clip, _extract(clip, settings, dataset, timeout_s, _Relatives(mask, like, None))


def extract_stills(stills: Sequence[Still], settings: StillSettings, dataset: Path) -> Part:
    """Crop the largest face of every still into `dataset`, by the clips' own rules.

    Raises:
        FfppError: the crops cannot be written.
    """
    rows, faces = [], []
    for still in stills:
        row = FrameRow(
            frame_id=f"{still.category}/{STILL}/{still.name}/{0:06d}",
            category=still.category,
            label=still.label,
            compression=STILL,
            clip=still.name,
            target_id=still.identity,
            source_id="",
            frame=0,
            time_s=0.0,
            width=0,
            height=0,
            status="unreadable",
            faces_found=0,
            error=f"{still.path}: not a readable image",
        )
        image = _read_image(still.path)
        if image is not None:
            picture = Picture(image)
            found = detect.search(picture, settings.find)
            path = f"faces/{still.category}/{STILL}/{still.name}.png"
            crops = [
                _crop(picture, face, settings, dataset, row.frame_id, row.frame_id, path)
                for face in ([choose.largest(found)] if found else [])
            ]
            row, kept = _settled(_seen(row, picture, found), crops, dataset, {0})
            faces += kept
        rows.append(row)
    return Part(tuple(rows), tuple(faces))


@dataclass(frozen=True)
class _Relatives:
    """What is known of a clip from others that show the same frames."""

    mask: Mask | None  # of what is forged in them
    like: Copies  # of the original it is compared with
    kept: dict[int, twins.Copy] | None  # takes copies of this clip, if others are compared with it


@dataclass(frozen=True)
class _Sight:
    """A frame and who is in it."""

    frame: decode.Frame
    faces: Sequence[Face]
    twin: twins.Twin | None
    chosen: int | None = None  # the track of the face the frame is about


@dataclass(frozen=True)
class _Crop:
    """What became of a face: a status of the ledger, and the crop's row if there is a crop."""

    status: str
    track: int
    row: FaceRow | None


def _compared(original: Clip, todo: Sequence[Clip], originals: Sequence[Clip]) -> bool:
    """Whether one of the clips to do is compared with this original: all are with the first."""
    return any(
        clip != original and (original == originals[0] or clip.compression == original.compression)
        for clip in todo
    )


def _extract(
    clip: Clip, settings: ClipSettings, dataset: Path, timeout_s: float, relatives: _Relatives
) -> Part:
    folder = dataset / "faces" / clip.category / clip.compression / clip.name
    shutil.rmtree(folder, ignore_errors=True)  # what a run that was killed has left
    try:
        video, frames = _open(clip, settings.plan, timeout_s)
    except DecodeError as error:
        return Part((replace(_planned(clip, 0), status="unreadable", error=str(error)),), ())
    rows = {i: _missing(clip, video, i) for i in settings.plan.wanted(video.n_frames)}
    crops: dict[int, list[_Crop]] = {}
    votes: Counter[int] = Counter()
    try:
        for sight in _sights(clip, frames, settings, relatives):
            index = sight.frame.index
            rows[index] = _seen(rows[index], sight.frame.picture, sight.faces)
            votes.update([] if sight.chosen is None else [sight.chosen])
            crops[index] = _crops(clip, sight, settings, dataset, rows[index].frame_id)
    except DecodeError as error:
        for index in rows.keys() - crops.keys():
            rows[index] = replace(rows[index], error=str(error))
    main = min(votes, key=lambda track: (-votes[track], track)) if votes else None
    faces: list[FaceRow] = []
    for index, found in crops.items():
        keep = {main} if settings.faces == "tracked" else {c.track for c in found}
        rows[index], kept = _settled(rows[index], found, dataset, keep)
        faces += kept
    return Part(tuple(rows.values()), tuple(faces))


def _look_through(
    clip: Clip, settings: ClipSettings, timeout_s: float, relatives: _Relatives
) -> None:
    """Keep copies of a clip without extracting it."""
    try:
        _, frames = _open(clip, settings.plan, timeout_s)
        for _ in _sights(clip, frames, settings, relatives):
            pass
    except DecodeError:
        pass  # its fakes are looked through on their own


def _open(
    clip: Clip, plan: FramePlan, timeout_s: float
) -> tuple[decode.Video, Iterator[decode.Frame]]:
    def read() -> Iterator[decode.Video | decode.Frame]:
        video = decode.probe(clip.path)
        yield video
        yield from decode.frames(video, plan.wanted(video.n_frames))

    items: Iterator[Any] = in_time(read, timeout_s, clip.path)
    return next(items), items


def _sights(
    clip: Clip, frames: Iterator[decode.Frame], settings: ClipSettings, relatives: _Relatives
) -> Iterator[_Sight]:
    """Every frame with its faces, the chosen one named; copies are kept if they are needed."""
    for sight in _smoothed(_found(frames, settings, relatives.like), settings.smooth):
        sight = replace(sight, chosen=_chosen(sight, relatives.mask))
        if relatives.kept is not None:
            copy = twins.keep(sight.frame.picture, sight.faces, sight.chosen, clip.compression)
            relatives.kept[sight.frame.index] = copy
        yield sight


def _found(
    frames: Iterator[decode.Frame], settings: ClipSettings, like: Copies
) -> Iterator[_Sight]:
    """Every frame with its faces: the original's where they fit, else those found here."""
    follower = Follower(settings.find)
    for frame in frames:
        original = like.get(frame.index)
        twin = twins.match(frame.picture, original) if original and original.faces else None
        if twin and settings.find.search == "fast":
            follower.saw(twin.faces, frame.picture, frame.time_s)
            yield _Sight(frame, twin.faces, twin)
        else:
            yield _Sight(frame, follower.find(frame.picture, frame.time_s), twin)


def _smoothed(sights: Iterator[_Sight], span: int) -> Iterator[_Sight]:
    """The same, each box the mean of the same person's in `span` frames around."""
    half = span // 2
    passed: deque[_Sight] = deque(maxlen=half)
    coming: deque[_Sight] = deque()

    def next_one() -> _Sight:
        sight = coming.popleft()
        around = [*passed, sight, *coming]
        passed.append(sight)
        return replace(sight, faces=smoothed(sight.faces, [s.faces for s in around]))

    for sight in sights:
        coming.append(sight)
        if len(coming) > half:
            yield next_one()
    while coming:
        yield next_one()


def _chosen(sight: _Sight, mask: Mask | None) -> int | None:
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


def _crops(
    clip: Clip, sight: _Sight, settings: ClipSettings, dataset: Path, frame_id: str
) -> list[_Crop]:
    """Cut out the faces that the settings ask for; of `tracked`, everybody for the time being."""
    crops = []
    for face in sight.faces:
        unchanged = (
            clip.label == "fake"
            and sight.twin is not None
            and sight.twin.unchanged(face.box, clip.category, clip.compression)
        )
        if settings.faces == "largest":
            if face.track != sight.chosen:
                continue
            face_id, name = frame_id, frame_id
        else:
            face_id, name = f"{frame_id}/{face.track}", f"{frame_id}_{face.track}"
        if unchanged and not settings.keep_unchanged:
            crops.append(_Crop("unchanged_fake", face.track, None))
            continue
        made = _crop(
            sight.frame.picture, face, settings, dataset, frame_id, face_id, f"faces/{name}.png"
        )
        crops.append(replace(made, status="unchanged_fake") if unchanged and made.row else made)
    return crops


def _crop(
    picture: Picture,
    face: Face,
    settings: ClipSettings | StillSettings,
    dataset: Path,
    frame_id: str,
    face_id: str,
    path: str,
) -> _Crop:
    """Write the crop of one face to `path` below the dataset folder."""
    if face.box.side < settings.crop.min_face:
        return _Crop("too_small", face.track, None)
    pixels, window = crop.cut(picture, face.box, settings.crop)
    row = FaceRow(
        face_id=face_id,
        frame_id=frame_id,
        track=face.track,
        box_x=face.box.x,
        box_y=face.box.y,
        box_w=face.box.width,
        box_h=face.box.height,
        crop_x=window.x,
        crop_y=window.y,
        crop_size=max(window.width, window.height),
        clamped=window.clamped,
        box_from=face.box_from,
        detector=settings.find.detector,
        score=face.score,
        path=path,
        sha256=crop.save_png(dataset / path, pixels),
    )
    return _Crop("ok", face.track, row)


def _settled(
    row: FrameRow, crops: Sequence[_Crop], dataset: Path, tracks: Collection[int | None]
) -> tuple[FrameRow, list[FaceRow]]:
    """A frame's status, which is that of its best face, and the crops that stay.

    Crops of other people than `tracks`, and of unchanged faces beside a changed one, are deleted.
    """
    found = {c.status for c in crops if c.track in tracks}
    status = next((s for s in ("ok", "unchanged_fake", "too_small") if s in found), "no_face")
    kept = []
    for made in crops:
        if made.row and made.track in tracks and made.status == status:
            kept.append(made.row)
        elif made.row:
            (dataset / made.row.path).unlink(missing_ok=True)
    return replace(row, status=status), kept


def _seen(row: FrameRow, picture: Picture, faces: Sequence[Face]) -> FrameRow:
    found = len(faces)
    return replace(row, width=picture.width, height=picture.height, faces_found=found, error="")


def _planned(clip: Clip, index: int) -> FrameRow:
    return FrameRow(
        frame_id=f"{clip.category}/{clip.compression}/{clip.name}/{index:06d}",
        category=clip.category,
        label=clip.label,
        compression=clip.compression,
        clip=clip.name,
        target_id=clip.target_id,
        source_id=clip.source_id,
        frame=index,
        time_s=float("nan"),
        width=0,
        height=0,
        status="decode_error",
        faces_found=0,
        error="",
    )


def _missing(clip: Clip, video: decode.Video, index: int) -> FrameRow:
    """The row that stays if frame `index` never comes out of the decoder."""
    present = len(video.pts)
    row = replace(_planned(clip, index), time_s=video.time_s(index))
    if index >= present:
        error = f"{clip.path}: ends after {present} of {video.n_frames} frames"
        return replace(row, status="truncated", error=error)
    return replace(row, error=f"{clip.path}: frame {index} could not be decoded")


def _read_image(path: Path) -> Image | None:
    """(H, W, 3) uint8 RGB, or None where the file is not an image."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return None if image is None else np.ascontiguousarray(image[..., ::-1])
