"""Results of extraction: crops on disk, their rows and landmarks, and the status of each frame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.faces import crop
from ffpp_tools.faces.detect import Face
from ffpp_tools.faces.landmarks import landmark_row
from ffpp_tools.store.schema import FaceRow, FrameRow, Part
from ffpp_tools.video.image import Image, Picture

if TYPE_CHECKING:
    from ffpp_tools.sources.clip import Clip
    from ffpp_tools.sources.deepfakebench import CropClip


@dataclass(frozen=True)
class CropResult:
    """The result for one face: a status of the ledger, and the crop's row if there is a crop."""

    status: str
    track: int
    row: FaceRow | None
    unchanged_by: str = ""  # as in `FrameRow`
    beside: bool = False  # as in `unchanged_fakes.Change`


def crop_face(
    picture: Picture,
    face: Face,
    settings: ClipSettings | StillSettings,
    dataset: Path,
    frame_id: str,
    face_id: str,
    path: str,
) -> CropResult:
    """Write the crop of one face to `path` in the dataset folder."""
    if face.box.side < settings.crop.min_face:
        return CropResult("too_small", face.track, None)
    pixels, window = crop.cut(picture, face.box, settings.crop)
    ids = (frame_id, face_id)
    return write_crop(pixels, window, face, settings.find.detector_label, dataset, ids, path)


def write_crop(
    pixels: Image,
    window: crop.Window,
    face: Face,
    detector: str,
    dataset: Path,
    ids: tuple[str, str],
    path: str,
) -> CropResult:
    """Write a crop, and return its row.

    Args:
        pixels: the crop, (h, w, 3) uint8 RGB.
        window: its position in the frame.
        face: the face in it.
        detector: name of the detector that found the face.
        dataset: the dataset folder.
        ids: frame_id and face_id.
        path: path of the crop in the dataset folder.
    """
    frame_id, face_id = ids
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
        detector=detector,
        score=face.score,
        path=path,
        sha256=crop.save(dataset / path, pixels),
    )
    return CropResult("ok", face.track, row)


def finish_frame(
    row: FrameRow, crops: Sequence[CropResult], dataset: Path, tracks: Collection[int | None]
) -> tuple[FrameRow, list[FaceRow]]:
    """Return the row of a frame with its status, and the rows of the crops that are kept.

    The status is that of the best face among `tracks`. Crops of other tracks are deleted, and so
    are crops with another status, such as unchanged faces next to a changed one.
    """
    selected = [c for c in crops if c.track in tracks]
    statuses = {c.status for c in selected}
    status = next((s for s in ("ok", "unchanged_fake", "too_small") if s in statuses), "no_face")
    evidence = min((c.unchanged_by for c in selected if c.status == status), default="")
    faces = []
    for crop_result in crops:
        face = crop_result.row
        if face and crop_result.track in tracks and crop_result.status == status:
            faces.append(face)
        elif face:
            (dataset / face.path).unlink(missing_ok=True)
    return replace(row, status=status, unchanged_by=evidence), faces


def decoded_row(row: FrameRow, picture: Picture, faces: Sequence[Face]) -> FrameRow:
    """Return the row of a frame that was decoded and on which detection was run."""
    n_faces = len(faces)
    return replace(row, width=picture.width, height=picture.height, faces_found=n_faces, error="")


def with_landmarks(part: Part, dataset: Path, settings: crop.CropSettings) -> Part:
    """Return a part with the landmarks of all its crops, if the settings ask for them.

    They are measured in the files, after their status is final.

    Raises:
        CropError: a crop that was just written cannot be read.
    """
    if not settings.landmarks:
        return part
    rows = tuple(landmark_row(face, dataset, settings) for face in part.faces)
    return replace(part, landmarks=rows)


def initial_row(clip: Clip | CropClip, index: int, status: str, error: str = "") -> FrameRow:
    """Return the row of a frame of a clip before the frame is read."""
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
        status=status,
        faces_found=0,
        error=error,
        partition=clip.partition,
    )
