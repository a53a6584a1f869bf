"""What becomes of a frame and its faces: the crops on disk, their rows, and the frame's status."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.faces import crop
from ffpp_tools.faces.detect import Face
from ffpp_tools.store.schema import FaceRow, FrameRow
from ffpp_tools.video.image import Image, Picture


@dataclass(frozen=True)
class CropResult:
    """What became of a face: a status of the ledger, and the crop's row if there is a crop."""

    status: str
    track: int
    row: FaceRow | None
    unchanged_by: str = ""  # as in `FrameRow`
    beside: bool = False  # as in `unchanged.Change`


def crop_face(
    picture: Picture,
    face: Face,
    settings: ClipSettings | StillSettings,
    dataset: Path,
    frame_id: str,
    face_id: str,
    path: str,
) -> CropResult:
    """Write the crop of one face to `path` below the dataset folder."""
    if face.box.side < settings.crop.min_face:
        return CropResult("too_small", face.track, None)
    pixels, window = crop.cut(picture, face.box, settings.crop)
    ids = (frame_id, face_id)
    return write_crop(pixels, window, face, settings.find.detector, dataset, ids, path)


def write_crop(
    pixels: Image,
    window: crop.Window,
    face: Face,
    detector: str,
    dataset: Path,
    ids: tuple[str, str],
    path: str,
) -> CropResult:
    """Write pixels that were cut out of a frame, and say where they come from.

    Args:
        pixels: (h, w, 3) uint8 RGB.
        window: where they were cut out.
        face: what is in them.
        detector: that found it.
        dataset: the folder they go into.
        ids: of the frame, and of the face.
        path: below the dataset folder.
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
    """A frame's status, which is that of its best face, and the crops that stay.

    Crops of other people than `tracks`, and of unchanged faces beside a changed one, are deleted.
    """
    own = [c for c in crops if c.track in tracks]
    found = {c.status for c in own}
    status = next((s for s in ("ok", "unchanged_fake", "too_small") if s in found), "no_face")
    by = min((c.unchanged_by for c in own if c.status == status), default="")
    kept = []
    for made in crops:
        if made.row and made.track in tracks and made.status == status:
            kept.append(made.row)
        elif made.row:
            (dataset / made.row.path).unlink(missing_ok=True)
    return replace(row, status=status, unchanged_by=by), kept


def decoded_row(row: FrameRow, picture: Picture, faces: Sequence[Face]) -> FrameRow:
    """The row of a frame that was decoded and searched."""
    found = len(faces)
    return replace(row, width=picture.width, height=picture.height, faces_found=found, error="")
