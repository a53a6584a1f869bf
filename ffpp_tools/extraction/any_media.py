"""Face crops from any image or video, extracted with the settings of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ffpp_tools.errors import DecodeError, SettingsError, TableError
from ffpp_tools.extraction.clip_faces import RelatedData, faces_by_frame
from ffpp_tools.extraction.clips import open_clip
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.settings_file import read_sections
from ffpp_tools.extraction.stills import read_still
from ffpp_tools.faces import crop, detect
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import Box, Face, FindSettings
from ffpp_tools.pixel_limits import MAX_PIXELS
from ffpp_tools.sources.clip import NATIVE, Clip
from ffpp_tools.video.decode_limits import Limits
from ffpp_tools.video.image import Image, Picture
from ffpp_tools.video.sampling import FramePlan

NO_RELATED_DATA = RelatedData(mask=None, original_frames={}, original_error="", saved_frames=None)


@dataclass(frozen=True)
class FaceCrop:
    """The face crop of one person in one frame."""

    person: int  # from 0, in order of first appearance
    box: Box  # in pixels of the frame
    image: Image  # (h, w, 3) uint8 RGB, as if saved to a dataset and read back


@dataclass(frozen=True)
class FrameCrops:
    """The face crops of a video frame or of an image."""

    frame: int  # display index, 0-based; 0 for an image
    time_s: float
    faces: tuple[FaceCrop, ...]


def faces_in_video(
    path: Path,
    settings: ClipSettings,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Iterator[FrameCrops]:
    """Yield the planned frames of a video with the crops of all faces, tracked across frames.

    Raises:
        DecodeError: the file is no readable video, or is damaged. Frames that were decoded before
            the damage are yielded first.
    """
    clip = Clip("", NATIVE, path.stem, path)
    video, frames = open_clip(clip, settings.plan.wanted, limits)
    n_wanted, n_decoded = len(settings.plan.wanted(video.n_frames)), 0
    for frame_faces in faces_by_frame(clip, frames, settings, NO_RELATED_DATA):
        frame = frame_faces.frame
        crops = _crops(frame.picture, frame_faces.faces, settings)
        yield FrameCrops(frame.index, frame.time_s, crops)
        n_decoded += 1
    if n_decoded < n_wanted:
        missing = n_wanted - n_decoded
        raise DecodeError(f"{path}: {missing} of {n_wanted} frames could not be decoded")


def faces_in_image(path: Path, settings: StillSettings, max_pixels: int = MAX_PIXELS) -> FrameCrops:
    """Return the crops of all faces in an image, from the largest face to the smallest.

    Raises:
        DecodeError: the file is no readable image, or is truncated.
    """
    image, _, error = read_still(path, max_pixels)
    if image is None:
        raise DecodeError(f"{path}: {error}")
    picture = Picture(image)
    if settings.whole:
        pixels, window = crop.whole(picture, settings.crop)
        box = Box(0, 0, window.width, window.height)
        return FrameCrops(0, 0.0, (FaceCrop(0, box, crop.as_saved(pixels, settings.crop)),))
    detected = sorted(detect.find_faces(picture, settings.find), key=lambda face: -face.box.area)
    faces = [replace(face, track=number) for number, face in enumerate(detected)]
    return FrameCrops(0, 0.0, _crops(picture, faces, settings))


def _crops(
    picture: Picture, faces: Sequence[Face], settings: ClipSettings | StillSettings
) -> tuple[FaceCrop, ...]:
    """Return the crops of the faces that are large enough."""
    return tuple(
        FaceCrop(face.track, face.box, crop.as_saved(pixels, settings.crop))
        for face in faces
        if face.box.side >= settings.crop.min_face
        for pixels, _ in (crop.cut(picture, face.box, settings.crop),)
    )


def read_settings(path: Path) -> tuple[ClipSettings, StillSettings]:
    """Read a dataset's settings for detection and cropping, for use on any image or video.

    The returned settings extract all faces, compare nothing with an original, and do not match
    images to the quality of clips.

    Args:
        path: the dataset's settings.json, or a copy of it.

    Raises:
        TableError: the file is missing or damaged.
        FormatError: a newer release wrote the file.
    """
    try:
        recorded = read_sections(path)
        crops, find = CropSettings(**recorded["crop"]), FindSettings(**recorded["find"])
        clips = recorded.get("clips") or {}
        plan = FramePlan(**clips["plan"]) if clips else FramePlan()
        whole = bool((recorded.get("stills") or {}).get("whole"))
        smooth = clips.get("smooth", 1)
        for_clips = ClipSettings(plan, crops, find, faces="all", twins=False, smooth=smooth)
        return for_clips, StillSettings(crops, find, whole=whole)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror})") from error
    except (SettingsError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(f"{path}: damaged ({error!r})") from error
