"""One clip, or a batch of stills, to its rows and crops. Bad data becomes rows that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools import crop, decode, detect
from ffpp_tools.crop import CropSettings
from ffpp_tools.errors import DecodeError
from ffpp_tools.layout import STILL, Clip, Still
from ffpp_tools.plan import FramePlan
from ffpp_tools.tables import FaceRow, FrameRow, Part

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ClipSettings:
    """Everything that decides what is extracted from a clip."""

    plan: FramePlan = field(default_factory=FramePlan)
    crop: CropSettings = field(default_factory=CropSettings)


def extract_clip(clip: Clip, settings: ClipSettings, dataset: Path) -> Part:
    """Crop the largest face of every planned frame into `dataset`.

    Never raises for bad data: a frame or clip that cannot be read is a row with a status.
    A clip that cannot be opened has no known length; it leaves one row, for frame 0.

    Raises:
        FfppError: the crops cannot be written.
    """
    try:
        video = decode.probe(clip.path)
    except DecodeError as error:
        return Part((replace(_planned(clip, 0), status="unreadable", error=str(error)),), ())
    wanted = settings.plan.wanted(video.n_frames)
    rows = {i: _missing(clip, video, i) for i in wanted}
    faces = []
    try:
        for frame in decode.frames(video, wanted):
            seen = replace(rows[frame.index], time_s=frame.time_s, status="ok", error="")
            rows[frame.index], face = crop_face(
                frame.image, seen, settings.crop, dataset, f"faces/{seen.frame_id}.png"
            )
            faces += [face] if face else []
    except DecodeError as error:
        rows = {i: replace(r, error=str(error)) if r.status != "ok" else r for i, r in rows.items()}
    return Part(tuple(rows.values()), tuple(faces))


def extract_stills(stills: Sequence[Still], settings: CropSettings, dataset: Path) -> Part:
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
            status="ok",
            faces_found=0,
            error="",
        )
        face = None
        image = _read_image(still.path)
        if image is None:
            row = replace(row, status="unreadable", error=f"{still.path}: not a readable image")
        else:
            row, face = crop_face(
                image, row, settings, dataset, f"faces/{still.category}/{STILL}/{still.name}.png"
            )
        rows.append(row)
        faces += [face] if face else []
    return Part(tuple(rows), tuple(faces))


def crop_face(
    image: Image, row: FrameRow, settings: CropSettings, dataset: Path, path: str
) -> tuple[FrameRow, FaceRow | None]:
    """Find the largest face of one image and write its crop.

    Args:
        image: (H, W, 3) uint8 RGB.
        row: the image's row, its size and status not yet known.
        settings: what to keep round the face.
        dataset: the folder the crop goes into.
        path: the crop's file below `dataset`.

    Returns:
        The completed row, and the crop's row unless there is no face or it is too small.
    """
    detector: detect.Detector = detect.HogDetector()
    height, width = image.shape[:2]
    found = detector.detect(image)
    row = replace(row, width=width, height=height, faces_found=len(found))
    if not found:
        return replace(row, status="no_face"), None
    face = detect.largest(found)
    if max(face.box.width, face.box.height) < settings.min_face:
        return replace(row, status="too_small"), None
    window = crop.window(face.box, settings, width, height)
    digest = crop.save_png(dataset / path, window.cut(image))
    return row, FaceRow(
        face_id=row.frame_id,
        frame_id=row.frame_id,
        track=0,
        box_x=face.box.x,
        box_y=face.box.y,
        box_w=face.box.width,
        box_h=face.box.height,
        crop_x=window.x,
        crop_y=window.y,
        crop_size=max(window.width, window.height),
        clamped=window.clamped,
        box_from="detected",
        detector=detector.name,
        score=face.score,
        path=path,
        sha256=digest,
    )


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
