"""Extract crops and ledger rows from one family of clips.

Unreadable data is recorded in the ledger, never raised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ffpp_tools.errors import DecodeError
from ffpp_tools.extraction.clip_faces import (
    FrameFaces,
    OriginalFrames,
    RelatedData,
    faces_by_frame,
)
from ffpp_tools.extraction.results import (
    CropResult,
    crop_face,
    decoded_row,
    finish_frame,
    initial_row,
)
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
    """Write the face crops of every planned frame to `dataset`.

    Bad data raises no errors: an unreadable frame or clip gets a row with a failure status. The
    length of a clip that cannot be opened is unknown, so that it gets a single row, for frame 0.

    Args:
        family: clips that show the same frames.
        settings: extraction settings.
        dataset: the dataset folder.
        done: whether a clip is already extracted. It is called again before each clip, because
            another worker may have extracted the clip. An original that is done is still decoded
            if fakes that are not done are compared with it.
        limits: time and size limits for decoding.

    Yields:
        Each clip that was not done, and its rows.

    Raises:
        FfppError: a crop cannot be written.
    """
    todo = [clip for clip in family.clips if not done(clip)]
    originals = family.originals if settings.twins else ()
    mask = next(iter(family.masks), None)
    originals_by_compression: dict[str, OriginalFrames] = {}
    errors: list[str] = []  # of reading the originals
    for original in originals:
        original_frames = next(iter(originals_by_compression.values()), {})
        saved: dict[int, paired.OriginalFrame] | None = (
            {} if _is_needed(original, todo, originals) else None
        )
        related = RelatedData(mask, original_frames, next(iter(errors), ""), saved)
        if original in todo and not done(original):
            part = _extract(original, settings, dataset, limits, related)
            yield original, part
            error = next((row.error for row in part.frames if row.status in FAILURES), "")
        else:
            error = "" if saved is None else _save_frames(original, settings, limits, related)
        if error:
            errors.append(error)
        if saved:
            originals_by_compression[original.compression] = saved
    for clip in todo:
        if clip not in originals and not done(clip):
            mask = clip.mask_path if exists(clip.mask_path) else None
            original_frames = originals_by_compression.get(clip.compression) or next(
                iter(originals_by_compression.values()), {}
            )
            related = RelatedData(mask, original_frames, next(iter(errors), ""), None)
            yield clip, _extract(clip, settings, dataset, limits, related)


def _is_needed(original: Clip, todo: Sequence[Clip], originals: Sequence[Clip]) -> bool:
    """Return whether a clip in `todo` is compared with this original.

    All clips are compared with the first original, or with the one of the same compression.
    """
    return any(
        clip != original and (original == originals[0] or clip.compression == original.compression)
        for clip in todo
    )


def _extract(
    clip: Clip, settings: ClipSettings, dataset: Path, limits: Limits, related: RelatedData
) -> Part:
    """Extract one clip, and return its rows."""
    try:
        video, frames = open_clip(clip, settings.plan.wanted, limits)
    except DecodeError as error:
        return unreadable(clip, [0], str(error))
    wanted = settings.plan.wanted(video.n_frames)
    rows = planned_rows(clip, video, wanted, content_sha256(clip, video, settings.plan))
    crops: dict[int, list[CropResult]] = {}
    votes: Counter[int] = Counter()
    mask = select.MaskVideo(related.mask, wanted, limits) if related.mask else None
    changes = ChangeDetector(clip) if clip.label == "fake" else None
    try:
        for frame_faces in faces_by_frame(clip, frames, settings, related, mask, changes):
            index, picture = frame_faces.frame.index, frame_faces.frame.picture
            row = decoded_row(rows[index], picture, frame_faces.faces)
            rows[index] = replace(row, frame_hash=frame_hash(picture.grey))
            chosen = frame_faces.chosen_track
            votes.update([] if chosen is None else [chosen])
            crops[index] = _crops(frame_faces, settings, dataset, rows[index].frame_id)
    except DecodeError as error:
        add_decode_error(rows, rows.keys() - crops.keys(), error)
    majority = min(votes, key=lambda track: (-votes[track], track)) if votes else None
    bystanders = changes.bystanders() if changes else frozenset[int]()
    faces: list[FaceRow] = []
    for index, results in crops.items():
        results = [
            _as_unchanged(c, settings, dataset) if c.beside and c.track in bystanders else c
            for c in results
        ]
        tracks = {majority} if settings.faces == "tracked" else {c.track for c in results}
        rows[index], frame_rows = finish_frame(rows[index], results, dataset, tracks)
        faces += frame_rows
    if related.original_error:
        without_original = rows.keys() - related.original_frames.keys()
        _add_errors(
            rows, without_original, "extracted without its original", related.original_error
        )
    if mask and mask.error and clip.label == "fake":
        _add_errors(rows, mask.missing, "extracted without its mask", mask.error)
    delete_stale_crops(dataset / "faces" / clip.category / clip.compression / clip.name, faces)
    return Part(tuple(rows.values()), tuple(faces))


def _add_errors(
    rows: dict[int, FrameRow], indices: Collection[int], problem: str, cause: str
) -> None:
    """Record, in rows without an error of their own, what was missing for their extraction."""
    for index in indices:
        rows[index] = replace(rows[index], error=rows[index].error or f"{problem}: {cause}")


def _as_unchanged(crop: CropResult, settings: ClipSettings, dataset: Path) -> CropResult:
    """Return the result with status `unchanged_fake`, for a bystander's face in a fake."""
    if crop.status != "ok" or not crop.row:
        return crop
    if settings.keep_unchanged:
        return replace(crop, status="unchanged_fake", unchanged_by="pixels")
    (dataset / crop.row.path).unlink(missing_ok=True)
    return CropResult("unchanged_fake", crop.track, None, "pixels")


def delete_stale_crops(folder: Path, faces: Sequence[FaceRow]) -> None:
    """Delete the files in `folder` that are not crops of `faces`: a killed run may leave some."""
    expected = {Path(face.path).name for face in faces}
    for path in folder.glob("*"):
        if path.name not in expected:
            path.unlink(missing_ok=True)


def _save_frames(clip: Clip, settings: ClipSettings, limits: Limits, related: RelatedData) -> str:
    """Save the reduced frames of a clip without extracting it.

    Returns:
        Why the clip could not be read completely; empty if it could.
    """
    decoded = set()
    try:
        video, frames = open_clip(clip, settings.plan.wanted, limits)
        wanted = settings.plan.wanted(video.n_frames)
        mask = select.MaskVideo(related.mask, wanted, limits) if related.mask else None
        for frame_faces in faces_by_frame(clip, frames, settings, related, mask):
            decoded.add(frame_faces.frame.index)
    except DecodeError as error:
        return str(error)
    missing = len(set(wanted) - decoded)
    return f"{clip.path}: {missing} planned frames could not be decoded" if missing else ""


def open_clip(
    clip: Clip, wanted_of: Callable[[int], Sequence[int]], limits: Limits
) -> tuple[demux.Video, Iterator[decode.Frame]]:
    """Open a clip, and return its video and an iterator over its wanted frames.

    Args:
        clip: the clip.
        wanted_of: number of frames → indices of the wanted ones, as `FramePlan.wanted`.
        limits: time and size limits for decoding.

    Raises:
        DecodeError: the file is no readable video, or exceeds the limits.
    """

    def read() -> Iterator[demux.Video | decode.Frame | None]:
        if is_sequence := clip.path.is_dir():
            video = image_sequence.read_sequence(clip.path)
        else:
            video = yield from demux.read_video_steps(clip.path, limits.pixels)
        wanted = wanted_of(video.n_frames)
        yield video
        reader = image_sequence if is_sequence else decode
        yield from reader.frames(video, wanted)

    items: Iterator[Any] = with_timeout(read, limits.time_s, clip.path)
    return next(item for item in items if item is not None), items


def _crops(
    frame_faces: FrameFaces, settings: ClipSettings, dataset: Path, frame_id: str
) -> list[CropResult]:
    """Write the crops that the settings ask for.

    With `faces="tracked"`, all faces are cropped: the majority track is known after the last frame.
    """
    crops = []
    for face in frame_faces.faces:
        if settings.faces == "largest" and face.track != frame_faces.chosen_track:
            continue
        change = frame_faces.changes.get(face.track)
        if change and change.unchanged_by and not settings.keep_unchanged:
            crops.append(CropResult("unchanged_fake", face.track, None, change.unchanged_by))
            continue
        face_id, path = crop_names(frame_id, face.track, settings)
        picture = frame_faces.frame.picture
        result = crop_face(picture, face, settings, dataset, frame_id, face_id, path)
        if change and result.row:
            status = "unchanged_fake" if change.unchanged_by else result.status
            row = replace(result.row, difference=change.difference)
            result = CropResult(status, face.track, row, change.unchanged_by, change.beside)
        crops.append(result)
    return crops


def crop_names(frame_id: str, track: int, settings: ClipSettings) -> tuple[str, str]:
    """Return the face_id of a crop, and its path in the dataset folder."""
    if settings.faces == "largest":
        return frame_id, f"faces/{frame_id}.{settings.crop.format}"
    return f"{frame_id}/{track}", f"faces/{frame_id}_{track}.{settings.crop.format}"


def content_sha256(clip: Clip, video: demux.Video, plan: FramePlan) -> str:
    """Return the SHA-256 of a video's coded frames, or of the files of the planned frames."""
    return video.sha256 or image_sequence.sha256(clip.path, plan.wanted(video.n_frames))


def unreadable(clip: Clip, indices: Iterable[int], error: str) -> Part:
    """Return the part of a clip that cannot be read."""
    rows = (initial_row(clip, i, "unreadable", error) for i in indices)
    return Part(tuple(rows), ())


def planned_rows(
    clip: Clip, video: demux.Video, wanted: Iterable[int], content: str
) -> dict[int, FrameRow]:
    """Return the rows of the wanted frames for the case that none of them can be decoded.

    Args:
        clip: the clip.
        video: its video.
        wanted: indices of frames.
        content: as `content_sha256` returns it.
    """
    return {i: replace(_missing_row(clip, video, i), source_sha256=content) for i in wanted}


def add_decode_error(
    rows: dict[int, FrameRow], indices: Collection[int], error: DecodeError
) -> None:
    """Record, in rows of frames that could not be decoded, why decoding ended."""
    for index in indices:
        if rows[index].status == "decode_error":
            rows[index] = replace(rows[index], error=str(error))


def _missing_row(clip: Clip, video: demux.Video, index: int) -> FrameRow:
    """Return the row of frame `index` for the case that the decoder does not return the frame."""
    present = len(video.packet_of_frame)
    row = replace(initial_row(clip, index, "decode_error"), time_s=video.time_s(index))
    if index >= present:
        error = f"{clip.path}: ends after {present} of {video.n_frames} frames"
        return replace(row, status="truncated", error=error)
    return replace(row, error=f"{clip.path}: frame {index} could not be decoded")
