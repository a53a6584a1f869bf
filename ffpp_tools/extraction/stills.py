"""Extract crops and ledger rows from a batch of stills.

Unreadable data is recorded in the ledger, never raised.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ffpp_tools.extraction.results import (
    CropResult,
    crop_face,
    decoded_row,
    finish_frame,
    write_crop,
)
from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.faces import crop, detect, select
from ffpp_tools.faces.detect import Box, Face
from ffpp_tools.faces.match_quality import harmonised
from ffpp_tools.files import regular_file, sha256
from ffpp_tools.pixel_limits import MAX_PIXELS
from ffpp_tools.sources.stills import Still
from ffpp_tools.store.schema import STILL, FrameRow, Part
from ffpp_tools.video.container import too_large
from ffpp_tools.video.image import Image, Picture, decoded, strip_png_metadata

# The formats that Pillow may open. It also supports formats that are programs, such as PostScript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "I;16", "I;16B")  # of TIFF files


def extract_stills(
    stills: Sequence[Still],
    settings: StillSettings,
    dataset: Path,
    max_pixels: int = MAX_PIXELS,
) -> Part:
    """Write the crop of the largest face of every still, or the whole still, to `dataset`.

    Raises:
        FfppError: a crop cannot be written.
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
            error="",
            photo=still.photo,
            partition=still.partition,
        )
        image, status, error = read_still(still.path, max_pixels)
        if image is None:
            rows.append(replace(row, status=status, error=f"{still.path}: {error}"))
            continue
        row = replace(row, source_sha256=sha256(still.path))
        path = f"faces/{still.category}/{STILL}/{still.name}.{settings.crop.format}"
        if settings.whole:
            picture = Picture(image)
            detected: list[Face] = []
            crops = [_write_whole(picture, settings, dataset, row.frame_id, path)]
        else:
            picture, detected = _detected(image, still, settings)
            crops = [
                crop_face(picture, face, settings, dataset, row.frame_id, row.frame_id, path)
                for face in ([select.largest_face(detected)] if detected else [])
            ]
        row, face_rows = finish_frame(decoded_row(row, picture, detected), crops, dataset, {0})
        rows.append(row)
        faces += face_rows
    return Part(tuple(rows), tuple(faces))


def read_still(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[Image | None, str, str]:
    """Read an image file.

    Args:
        path: the file.
        max_pixels: maximum declared width times height; larger images are not decoded.

    Returns:
        (H, W, 3) uint8 RGB or None, a status of the ledger, and the problem, if any. An incomplete
        file has the status `truncated` and no image.
    """
    from PIL import Image as Pillow
    from PIL import ImageFile, ImageOps

    pillow_limit, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None  # max_pixels applies
    try:
        data = regular_file(path).read_bytes()
        if not data:
            return None, "unreadable", "the file has 0 bytes"
        data = strip_png_metadata(data)
        opened = Pillow.open(io.BytesIO(data), formats=FORMATS)
    except (OSError, SyntaxError, ValueError) as error:
        reason = getattr(error, "strerror", None)
        return None, "unreadable", f"cannot be read ({reason})" if reason else "no readable image"
    finally:
        Pillow.MAX_IMAGE_PIXELS = pillow_limit
    if opened.width * opened.height > max_pixels:
        return None, "unreadable", too_large(opened.width, opened.height, max_pixels)
    if opened.format == "TIFF" and opened.mode not in MODES:
        return None, "unreadable", f"unsupported TIFF mode {opened.mode}; save it as RGB or PNG"
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES  # importing face_recognition sets it
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        pages = getattr(opened, "n_frames", 1)
        opened.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        return None, "truncated", str(error)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    if pages > 1 and opened.format not in ("JPEG", "MPO"):  # phones add a preview
        return None, "unreadable", f"{pages} images in one file; expected a single photograph"
    # OpenCV ignores the orientation of AVIF files, and rejects images above the default limit.
    if opened.format == "AVIF" or opened.width * opened.height > MAX_PIXELS:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
        return np.asarray(upright, np.uint8), "ok", ""
    image = decoded(data)
    if image is None:
        return None, "unreadable", "no readable image"
    return image, "ok", ""


def _detected(image: Image, still: Still, settings: StillSettings) -> tuple[Picture, list[Face]]:
    """Return the image, matched to the clips if the settings ask for it, and the faces in it."""
    picture = Picture(image)
    faces = detect.find_faces(picture, settings.find)
    if faces and settings.harmonise:
        compression, side = settings.harmonise.face(still.category, still.name)
        picture = Picture(harmonised(image, select.largest_face(faces).box, side, compression))
        faces = detect.find_faces(picture, settings.find)
    return picture, faces


def _write_whole(
    picture: Picture, settings: StillSettings, dataset: Path, frame_id: str, path: str
) -> CropResult:
    """Write the whole still as the crop."""
    pixels, window = crop.whole(picture, settings.crop)
    face = Face(Box(0, 0, picture.width, picture.height), 0.0, "whole")
    return write_crop(pixels, window, face, "none", dataset, (frame_id, frame_id), path)
