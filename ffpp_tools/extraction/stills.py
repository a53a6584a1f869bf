"""A batch of stills to rows and crops, as clips. Bad data becomes rows that say so."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ffpp_tools.extraction.match_quality import harmonised
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
from ffpp_tools.files import regular_file, sha256
from ffpp_tools.pixel_limits import MAX_PIXELS
from ffpp_tools.sources.stills import Still
from ffpp_tools.store.schema import STILL, FrameRow, Part
from ffpp_tools.video.container import too_large
from ffpp_tools.video.image import Image, Picture, decoded, strip_png_metadata

# What Pillow is to recognise: it knows formats that are programs, such as PostScript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "I;16", "I;16B")  # of TIFF files


def extract_stills(
    stills: Sequence[Still],
    settings: StillSettings,
    dataset: Path,
    max_pixels: int = MAX_PIXELS,
) -> Part:
    """Crop the largest face of every still into `dataset`, or take it whole if asked to.

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
            made = _whole(Picture(image), settings, dataset, row.frame_id, path)
            row, kept = finish_frame(decoded_row(row, Picture(image), ()), [made], dataset, {0})
        else:
            picture, found = _searched(image, still, settings)
            crops = [
                crop_face(picture, face, settings, dataset, row.frame_id, row.frame_id, path)
                for face in ([select.largest_face(found)] if found else [])
            ]
            row, kept = finish_frame(decoded_row(row, picture, found), crops, dataset, {0})
        rows.append(row)
        faces += kept
    return Part(tuple(rows), tuple(faces))


def read_still(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[Image | None, str, str]:
    """An image file's pixels, or why there are none.

    Args:
        path: of the file.
        max_pixels: refuse an image that declares more, width times height.

    Returns:
        (H, W, 3) uint8 RGB or None, a status of the ledger, and what is wrong. A file that was cut
        short is `truncated`: half a picture is not passed as a whole one.
    """
    from PIL import Image as Pillow
    from PIL import ImageFile, ImageOps

    theirs, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None  # max_pixels decides instead
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
        Pillow.MAX_IMAGE_PIXELS = theirs
    if opened.width * opened.height > max_pixels:
        return None, "unreadable", too_large(opened.width, opened.height, max_pixels)
    if opened.format == "TIFF" and opened.mode not in MODES:
        return None, "unreadable", f"a TIFF of colours in {opened.mode}; save it as RGB or as PNG"
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES  # as whoever imports face_recognition makes it
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        pages = getattr(opened, "n_frames", 1)
        opened.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        return None, "truncated", str(error)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    if pages > 1 and opened.format not in ("JPEG", "MPO"):  # phones add a preview to theirs
        return None, "unreadable", f"{pages} pictures in one file, not a photograph"
    # OpenCV does not turn an AVIF as the file says, and refuses images above the default limit.
    if opened.format == "AVIF" or opened.width * opened.height > MAX_PIXELS:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
        return np.asarray(upright, np.uint8), "ok", ""
    image = decoded(data)
    if image is None:
        return None, "unreadable", "no readable image"
    return image, "ok", ""


def _searched(image: Image, still: Still, settings: StillSettings) -> tuple[Picture, list[Face]]:
    """The picture, made like the clips' if asked to, and the faces in it."""
    picture = Picture(image)
    found = detect.find_faces(picture, settings.find)
    if found and settings.harmonise:
        compression, side = settings.harmonise.face(still.category, still.name)
        picture = Picture(harmonised(image, select.largest_face(found).box, side, compression))
        found = detect.find_faces(picture, settings.find)
    return picture, found


def _whole(
    picture: Picture, settings: StillSettings, dataset: Path, frame_id: str, path: str
) -> CropResult:
    """The whole picture as it is."""
    pixels, window = crop.whole(picture, settings.crop)
    face = Face(Box(0, 0, picture.width, picture.height), 0.0, "whole")
    return write_crop(pixels, window, face, "none", dataset, (frame_id, frame_id), path)
