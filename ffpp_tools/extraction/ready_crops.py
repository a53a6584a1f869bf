"""Crops that others made, taken into a dataset unchanged.

Unreadable data is recorded in the ledger, never raised.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.clips import delete_stale_crops
from ffpp_tools.extraction.results import initial_row
from ffpp_tools.extraction.stills import read_still
from ffpp_tools.files import link_or_write, sha256, wrap_write_errors
from ffpp_tools.pixel_limits import MAX_PIXELS
from ffpp_tools.sources.deepfakebench import CropClip
from ffpp_tools.store.schema import FaceRow, Part


def take_crops(
    clip: CropClip, dataset: Path, max_pixels: int = MAX_PIXELS, committed: Part | None = None
) -> Part:
    """Link or copy the crops of a clip to `dataset`, byte by byte.

    The face's box in the video is unknown, so that the rows have `box_from` "whole" and detector
    "none", as a still that was not cropped. A clip without frames gets one row, for frame 0.

    Args:
        clip: the clip.
        dataset: the dataset folder.
        max_pixels: images with more are not decoded.
        committed: the clip's part of an earlier run. Its crops are kept where the file that they
            were taken from cannot be read any more.

    Returns:
        One row per listed frame, and one per crop.

    Raises:
        FfppError: a crop cannot be written.
    """
    if not clip.frames:
        error = f"{clip.category}/{clip.name}: the list has no frames of this clip"
        return Part((initial_row(clip, 0, "unreadable", error),), ())
    rows, faces, content = [], list[FaceRow](), hashlib.sha256()
    earlier = {face.frame_id: face for face in committed.faces} if committed else {}
    for index, name in clip.frames:
        row, source = initial_row(clip, index, "unreadable"), clip.root / name
        image, status, error = read_still(source, max_pixels)
        face = earlier.get(row.frame_id)
        if image is None and face and _is_intact(dataset / face.path, face.sha256):
            rows.append(replace(row, status="ok", width=face.box_w, height=face.box_h))
            faces.append(face)
            content.update(f"{index} {face.sha256}\n".encode())
            continue
        if image is None:
            rows.append(replace(row, status=status, error=f"{source}: {error}"))
            continue
        data = source.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        content.update(f"{index} {digest}\n".encode())
        height, width = image.shape[:2]
        path = f"faces/{row.frame_id}{source.suffix.lower()}"
        target = dataset / path
        with wrap_write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # of a killed run, or of one that is retried
        link_or_write(source, target, data)
        rows.append(replace(row, status="ok", width=width, height=height))
        faces.append(_face(row.frame_id, width, height, path, digest))
    delete_stale_crops(dataset / "faces" / clip.category / clip.compression / clip.name, faces)
    of_clip = content.hexdigest() if faces else ""
    return Part(tuple(replace(row, source_sha256=of_clip) for row in rows), tuple(faces))


def _is_intact(path: Path, expected: str) -> bool:
    """Return whether a crop's file exists and has its recorded hash."""
    return path.is_file() and sha256(path) == expected


def check_unchanged(clip: CropClip, committed: Part, dataset: Path) -> None:
    """Check that the part of a clip was made from the same entry of a list.

    Raises:
        SettingsError: it has other frames, or another split.
    """
    wanted = {index for index, _ in clip.frames} or {0}
    first = committed.frames[0]
    if {r.frame for r in committed.frames} != wanted or first.partition != clip.partition:
        raise SettingsError(
            f"{dataset} already has {clip.category}/{clip.compression}/{clip.name}, with other "
            f"frames or in another split (there {first.partition or 'none'}, in this list "
            f"{clip.partition or 'none'}): use another folder with --out, or start over with "
            f"--overwrite"
        )


def _face(frame_id: str, width: int, height: int, path: str, digest: str) -> FaceRow:
    """Return the row of a crop, whose frame is the crop itself."""
    return FaceRow(
        face_id=frame_id,
        frame_id=frame_id,
        track=0,
        box_x=0,
        box_y=0,
        box_w=width,
        box_h=height,
        crop_x=0,
        crop_y=0,
        crop_size=max(width, height),
        clamped=False,
        box_from="whole",
        detector="none",
        score=0.0,
        path=path,
        sha256=digest,
    )
