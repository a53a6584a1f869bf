"""Who is in a picture or video of anybody's, found and cropped as a dataset's faces were."""

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

ALONE = RelatedData(mask=None, like={}, lost="", kept=None)


@dataclass(frozen=True)
class FaceCrop:
    """The face of one person in one frame."""

    person: int  # from 0, in the order in which they are first seen
    box: Box  # in pixels of the frame
    image: Image  # (h, w, 3) uint8 RGB, as it would be read again from a dataset


@dataclass(frozen=True)
class FrameCrops:
    """A frame of a video, or a picture, and who is in it."""

    frame: int  # display index, 0-based; 0 for a picture
    time_s: float
    faces: tuple[FaceCrop, ...]


def faces_in_video(
    path: Path,
    settings: ClipSettings,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Iterator[FrameCrops]:
    """The planned frames of a video with everybody in them, followed from frame to frame.

    Raises:
        DecodeError: not a readable video, or damaged: what was decoded before comes first.
    """
    clip = Clip("", NATIVE, path.stem, path)
    video, frames = open_clip(clip, settings.plan, limits)
    wanted, seen = len(settings.plan.wanted(video.n_frames)), 0
    for sight in faces_by_frame(clip, frames, settings, ALONE):
        picture = sight.frame.picture
        yield FrameCrops(
            sight.frame.index, sight.frame.time_s, _samples(picture, sight.faces, settings)
        )
        seen += 1
    if seen < wanted:
        raise DecodeError(f"{path}: {wanted - seen} of {wanted} frames could not be decoded")


def faces_in_image(path: Path, settings: StillSettings, max_pixels: int = MAX_PIXELS) -> FrameCrops:
    """Everybody in a picture, from the largest face to the smallest.

    Raises:
        DecodeError: not a readable picture, or cut short.
    """
    image, _, error = read_still(path, max_pixels)
    if image is None:
        raise DecodeError(f"{path}: {error}")
    picture = Picture(image)
    if settings.whole:
        pixels, window = crop.whole(picture, settings.crop)
        box = Box(0, 0, window.width, window.height)
        return FrameCrops(0, 0.0, (FaceCrop(0, box, crop.as_saved(pixels, settings.crop)),))
    found = sorted(detect.find_faces(picture, settings.find), key=lambda face: -face.box.area)
    faces = [replace(face, track=number) for number, face in enumerate(found)]
    return FrameCrops(0, 0.0, _samples(picture, faces, settings))


def _samples(
    picture: Picture, faces: Sequence[Face], settings: ClipSettings | StillSettings
) -> tuple[FaceCrop, ...]:
    return tuple(
        FaceCrop(face.track, face.box, crop.as_saved(pixels, settings.crop))
        for face in faces
        if face.box.side >= settings.crop.min_face
        for pixels, _ in (crop.cut(picture, face.box, settings.crop),)
    )


def read_settings(path: Path) -> tuple[ClipSettings, StillSettings]:
    """How a dataset's faces were found and cropped, for pictures and videos of anybody's.

    Args:
        path: of its settings.json, or a copy. Everybody is looked at, and nothing is compared with
            an original; stills are not made like its clips.

    Raises:
        TableError: missing, or damaged.
        FormatError: a newer release wrote it.
    """
    try:
        recorded = read_sections(path)
        cut, find = CropSettings(**recorded["crop"]), FindSettings(**recorded["find"])
        clips = recorded.get("clips") or {}
        plan = FramePlan(**clips["plan"]) if clips else FramePlan()
        whole = bool((recorded.get("stills") or {}).get("whole"))
        smooth = clips.get("smooth", 1)
        moving = ClipSettings(plan, cut, find, faces="all", twins=False, smooth=smooth)
        return moving, StillSettings(cut, find, whole=whole)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror})") from error
    except (SettingsError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(f"{path}: damaged ({error!r})") from error
