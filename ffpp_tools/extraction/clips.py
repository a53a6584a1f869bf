"""One family of clips to rows and crops. Bad data becomes rows that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ffpp_tools.errors import DecodeError
from ffpp_tools.extraction.clip_faces import Copies, FrameFaces, RelatedData, faces_by_frame
from ffpp_tools.extraction.results import CropResult, crop_face, decoded_row, finish_frame
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.faces import paired, select
from ffpp_tools.faces.unchanged_fakes import ChangeDetector
from ffpp_tools.files import exists
from ffpp_tools.sources.clip import Clip
from ffpp_tools.sources.faceforensics import Family
from ffpp_tools.store.schema import FAILURES, FaceRow, FrameRow, Part
from ffpp_tools.video import decode, demux, image_sequence
from ffpp_tools.video.decode_limits import Limits, with_timeout
from ffpp_tools.video.frame_hash import frame_hash
from ffpp_tools.video.sampling import FramePlan


def extract_family(
    family: Family,
    settings: ClipSettings,
    dataset: Path,
    done: Callable[[Clip], bool] = lambda _: False,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Iterator[tuple[Clip, Part]]:
    """Crop the faces of every planned frame into `dataset`.

    Never raises for bad data: a frame or clip that cannot be read is a row with a status.
    A clip that cannot be opened has no known length; it leaves one row, for frame 0.

    Args:
        family: clips that show the same frames.
        settings: what to extract.
        dataset: the folder the crops go into.
        done: whether a clip need not be extracted again; an original is read all the same if a
            fake's boxes come from it. Asked again before each clip, for others may do it too.
        limits: what a decoder may take.

    Yields:
        Each clip that is not done, and what it came to.

    Raises:
        FfppError: the crops cannot be written.
    """
    todo = [clip for clip in family.clips if not done(clip)]
    originals = family.originals if settings.twins else ()
    mask = next(iter(family.masks), None)
    copies: dict[str, Copies] = {}  # of the originals, by compression
    lost: list[str] = []  # what could not be read of them
    for original in originals:
        like = next(iter(copies.values()), {})
        kept: dict[int, paired.OriginalFrame] | None = (
            {} if _compared(original, todo, originals) else None
        )
        relatives = RelatedData(mask, like, next(iter(lost), ""), kept)
        if original in todo and not done(original):
            part = _extract(original, settings, dataset, limits, relatives)
            yield original, part
            failure = next((row.error for row in part.frames if row.status in FAILURES), "")
        else:
            failure = "" if kept is None else _look_through(original, settings, limits, relatives)
        if failure:
            lost.append(failure)
        if kept:
            copies[original.compression] = kept
    for clip in todo:
        if clip not in originals and not done(clip):
            mask = clip.mask_path if exists(clip.mask_path) else None
            like = copies.get(clip.compression) or next(iter(copies.values()), {})
            relatives = RelatedData(mask, like, next(iter(lost), ""), None)
            yield clip, _extract(clip, settings, dataset, limits, relatives)


def _compared(original: Clip, todo: Sequence[Clip], originals: Sequence[Clip]) -> bool:
    """Whether one of the clips to do is compared with this original: all are with the first."""
    return any(
        clip != original and (original == originals[0] or clip.compression == original.compression)
        for clip in todo
    )


def _extract(
    clip: Clip, settings: ClipSettings, dataset: Path, limits: Limits, relatives: RelatedData
) -> Part:
    try:
        video, frames = open_clip(clip, settings.plan, limits)
    except DecodeError as error:
        return Part((replace(_planned(clip, 0), status="unreadable", error=str(error)),), ())
    wanted = settings.plan.wanted(video.n_frames)
    content = video.sha256 or image_sequence.sha256(clip.path, wanted)
    rows = {i: replace(_missing(clip, video, i), source_sha256=content) for i in wanted}
    crops: dict[int, list[CropResult]] = {}
    votes: Counter[int] = Counter()
    mask = select.MaskVideo(relatives.mask, wanted, limits) if relatives.mask else None
    changes = ChangeDetector(clip) if clip.label == "fake" else None
    try:
        for sight in faces_by_frame(clip, frames, settings, relatives, mask, changes):
            index = sight.frame.index
            row = decoded_row(rows[index], sight.frame.picture, sight.faces)
            rows[index] = replace(row, frame_hash=frame_hash(sight.frame.picture.grey))
            votes.update([] if sight.chosen is None else [sight.chosen])
            crops[index] = _crops(sight, settings, dataset, rows[index].frame_id)
    except DecodeError as error:
        for index in rows.keys() - crops.keys():
            if rows[index].status == "decode_error":
                rows[index] = replace(rows[index], error=str(error))
    main = min(votes, key=lambda track: (-votes[track], track)) if votes else None
    bystanders = changes.bystanders() if changes else frozenset[int]()
    faces: list[FaceRow] = []
    for index, found in crops.items():
        found = [
            _of_bystander(c, settings, dataset) if c.beside and c.track in bystanders else c
            for c in found
        ]
        keep = {main} if settings.faces == "tracked" else {c.track for c in found}
        rows[index], kept = finish_frame(rows[index], found, dataset, keep)
        faces += kept
    if relatives.lost:
        _explain(
            rows,
            rows.keys() - relatives.like.keys(),
            "searched without its original",
            relatives.lost,
        )
    if mask and mask.error and clip.label == "fake":
        _explain(rows, mask.missing, "judged without its mask", mask.error)
    delete_stale_crops(dataset / "faces" / clip.category / clip.compression / clip.name, faces)
    return Part(tuple(rows.values()), tuple(faces))


def _explain(rows: dict[int, FrameRow], indices: Collection[int], what: str, why: str) -> None:
    """Say in rows that have no error of their own what they were extracted without."""
    for index in indices:
        rows[index] = replace(rows[index], error=rows[index].error or f"{what}: {why}")


def _of_bystander(crop: CropResult, settings: ClipSettings, dataset: Path) -> CropResult:
    """The same of a face that the whole clip has shown to be a bystander's."""
    if crop.status != "ok" or not crop.row:
        return crop
    if settings.keep_unchanged:
        return replace(crop, status="unchanged_fake", unchanged_by="pixels")
    (dataset / crop.row.path).unlink(missing_ok=True)
    return CropResult("unchanged_fake", crop.track, None, "pixels")


def delete_stale_crops(folder: Path, faces: Sequence[FaceRow]) -> None:
    """Delete the crops that a run which was killed has left, and no others."""
    named = {Path(face.path).name for face in faces}
    for path in folder.glob("*"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def _look_through(
    clip: Clip, settings: ClipSettings, limits: Limits, relatives: RelatedData
) -> str:
    """Keep copies of a clip without extracting it; return what could not be read of it."""
    seen = set()
    try:
        video, frames = open_clip(clip, settings.plan, limits)
        wanted = settings.plan.wanted(video.n_frames)
        mask = select.MaskVideo(relatives.mask, wanted, limits) if relatives.mask else None
        for sight in faces_by_frame(clip, frames, settings, relatives, mask):
            seen.add(sight.frame.index)
    except DecodeError as error:
        return str(error)
    missing = len(set(wanted) - seen)
    return f"{clip.path}: {missing} planned frames could not be decoded" if missing else ""


def open_clip(
    clip: Clip, plan: FramePlan, limits: Limits
) -> tuple[demux.Video, Iterator[decode.Frame]]:
    """A clip's video and its planned frames, within limits.

    Raises:
        DecodeError: not a readable video.
    """

    def read() -> Iterator[demux.Video | decode.Frame | None]:
        if images := clip.path.is_dir():
            video = image_sequence.read_sequence(clip.path)
        else:
            video = yield from demux.read_video_steps(clip.path, limits.pixels)
        wanted = plan.wanted(video.n_frames)
        yield video
        yield from image_sequence.frames(video, wanted) if images else decode.frames(video, wanted)

    items: Iterator[Any] = with_timeout(read, limits.time_s, clip.path)
    return next(item for item in items if item is not None), items


def _crops(
    sight: FrameFaces, settings: ClipSettings, dataset: Path, frame_id: str
) -> list[CropResult]:
    """Cut out the faces that the settings ask for; of `tracked`, everybody for the time being."""
    crops = []
    for face in sight.faces:
        if settings.faces == "largest":
            if face.track != sight.chosen:
                continue
            face_id, name = frame_id, frame_id
        else:
            face_id, name = f"{frame_id}/{face.track}", f"{frame_id}_{face.track}"
        change = sight.changes.get(face.track)
        if change and change.unchanged_by and not settings.keep_unchanged:
            crops.append(CropResult("unchanged_fake", face.track, None, change.unchanged_by))
            continue
        path = f"faces/{name}.{settings.crop.format}"
        made = crop_face(sight.frame.picture, face, settings, dataset, frame_id, face_id, path)
        if change and made.row:
            status = "unchanged_fake" if change.unchanged_by else made.status
            row = replace(made.row, difference=change.difference)
            made = CropResult(status, face.track, row, change.unchanged_by, change.beside)
        crops.append(made)
    return crops


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
        partition=clip.partition,
    )


def _missing(clip: Clip, video: demux.Video, index: int) -> FrameRow:
    """The row that stays if frame `index` never comes out of the decoder."""
    present = len(video.packet_of_frame)
    row = replace(_planned(clip, index), time_s=video.time_s(index))
    if index >= present:
        error = f"{clip.path}: ends after {present} of {video.n_frames} frames"
        return replace(row, status="truncated", error=error)
    return replace(row, error=f"{clip.path}: frame {index} could not be decoded")
