"""Inventory of a copy of FF++: its clips, and missing, damaged and unexpected files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ffpp_tools.errors import DecodeError, FfppError, SizeError
from ffpp_tools.files import exists, special_file_kind
from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS
from ffpp_tools.sources import official_lists
from ffpp_tools.sources.clip import FFPP_YOUTUBE, Clip
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import demux
from ffpp_tools.video.sampling import FramePlan

# Numbers and naming patterns of FF++'s clips, from its repository's dataset/README.md.
CLIPS = {"Youtube": 1000, "Actors": 363, "DeepFakeDetection": 3068}
CLIPS_OF_METHOD = 1000
NAMES = {
    "Youtube": r"\d{3}",
    "Actors": r"\d{2}__\w+",
    "DeepFakeDetection": r"\d{2}_\d{2}__\w+__[A-Z0-9]{8}",
}
NAME_OF_METHOD = r"\d{3}_\d{3}"
# Mean size of a PNG crop with the default margin, over 1,021 crops of 44 clips at c40. Less
# compressed clips have more detail, so twice that size is assumed for them.
CROP_BYTES = {"c40": 90_000}
CROP_BYTES_AT_MOST = 180_000

ClipProgress = Callable[[Iterable["ClipCheck"], int], Iterable["ClipCheck"]]


@dataclass(frozen=True)
class ClipCheck:
    """The result of checking the file of one clip."""

    clip: Clip
    size: int  # bytes
    planned: int  # frames that would be extracted
    error: str = ""  # why it cannot be read completely
    too_large: bool = False  # whether the error is that it declares more pixels than the limit


@dataclass(frozen=True)
class ClipSet:
    """All clips of one category at one compression."""

    category: str
    compression: str
    clips: tuple[ClipCheck, ...]
    expected: int | None  # number of clips in the complete FF++; None for other sets
    missing: tuple[str, ...]  # names, as far as they are known
    unknown: tuple[Path, ...]  # files that are not named as any clip of the set

    @property
    def empty(self) -> list[ClipCheck]:
        """Clips whose file is empty."""
        return [
            c for c in self.clips if c.error and not c.size and not special_file_kind(c.clip.path)
        ]

    @property
    def damaged(self) -> list[ClipCheck]:
        """Other clips that cannot be read completely, except those that are too large."""
        unreadable = [c for c in self.clips if c.error and not c.too_large]
        return [c for c in unreadable if c.size or special_file_kind(c.clip.path)]

    @property
    def too_large(self) -> list[ClipCheck]:
        """Clips that declare more pixels per frame than the limit."""
        return [c for c in self.clips if c.too_large]

    @property
    def size(self) -> int:
        """Total size of the files in bytes."""
        return sum(c.size for c in self.clips)

    @property
    def planned(self) -> int:
        """Total number of frames that would be extracted."""
        return sum(c.planned for c in self.clips)

    @property
    def crops_size(self) -> int:
        """Estimated size of the crops of these frames in bytes."""
        return self.planned * CROP_BYTES.get(self.compression, CROP_BYTES_AT_MOST)


def check_clips(
    root: Path,
    plan: FramePlan,
    workers: int = 1,
    progress: ClipProgress | None = None,
    max_pixels: int = MAX_FRAME_PIXELS,
) -> list[ClipSet]:
    """Read the packets of every clip, and compare the clips with the complete FF++.

    Clips whose packets do not determine the displayed frames are decoded.

    Args:
        root: folder of the data, as for `find_clips`.
        plan: the frames that would be extracted.
        workers: number of threads.
        progress: wraps the iterable of checks and displays progress.
        max_pixels: limit of width × height of a frame; larger clips are not decoded.

    Raises:
        DataNotFoundError: there are no videos.
    """
    import joblib

    clips = find_clips(root)
    tasks = (joblib.delayed(_checked)(clip, plan, max_pixels) for clip in clips)
    results = joblib.Parallel(workers, prefer="threads", return_as="generator")(tasks)
    checks = list(progress(results, len(clips)) if progress else results)
    pairs = _pair_names(root, clips)
    sources = []
    for key in dict.fromkeys((c.category, c.compression) for c in clips):
        of_source = tuple(c for c in checks if (c.clip.category, c.clip.compression) == key)
        sources.append(_source(*key, of_source, pairs))
    return sources


def _checked(clip: Clip, plan: FramePlan, max_pixels: int) -> ClipCheck:
    """Check a clip by its packets, or by decoding them if necessary."""
    if clip.path.is_dir():  # frames as image files, which are only read by the extraction
        return ClipCheck(clip, 0, 0)
    try:
        size = clip.path.stat().st_size
        video = demux.read_video(clip.path, max_pixels)
    except OSError as error:
        return ClipCheck(clip, 0, 0, f"{clip.path}: cannot be read ({error.strerror})")
    except DecodeError as error:
        return ClipCheck(clip, size, 0, str(error), isinstance(error, SizeError))
    truncation = ""
    if video.missing_frames:
        truncation = (
            f"{clip.path}: ends after {len(video.packet_of_frame)} of {video.n_frames} frames"
        )
    return ClipCheck(clip, size, len(plan.wanted(video.n_frames)), truncation)


def _pair_names(root: Path, clips: Iterable[Clip]) -> set[str]:
    """Return the clip names of a method: from the official splits, or else from all methods."""
    try:
        listed = official_lists.official_clip_names(root)
    except FfppError:  # damaged lists are reported by `checks.of_lists`
        listed = set()
    fakes = [c.name for c in clips if c.category in FFPP_YOUTUBE and c.label == "fake"]
    return listed or set(fakes)


def _source(
    category: str, compression: str, clips: tuple[ClipCheck, ...], pairs: set[str]
) -> ClipSet:
    """Return the clips of a category at a compression, with missing and unexpected files."""
    names = {c.clip.name for c in clips}
    expected = CLIPS.get(category, CLIPS_OF_METHOD if category in FFPP_YOUTUBE else None)
    if expected is None:
        return ClipSet(category, compression, clips, None, (), ())
    known_names: set[str] = set()
    if category == "Youtube":
        known_names = {f"{n:03d}" for n in range(CLIPS["Youtube"])}
    elif category in FFPP_YOUTUBE:
        known_names = pairs
    pattern = re.compile(NAMES.get(category, NAME_OF_METHOD), re.ASCII)
    unknown = [
        c.clip.path
        for c in clips
        if not pattern.fullmatch(c.clip.name)
        or (len(known_names) == expected and c.clip.name not in known_names)
    ]
    clip_paths = {c.clip.path for c in clips}
    for folder in sorted({path.parent for path in clip_paths}):
        unknown += [p for p in sorted(folder.glob("[!.]*")) if p not in clip_paths]
    missing = tuple(sorted(known_names - names))
    return ClipSet(category, compression, clips, expected, missing, tuple(unknown))


def missing_lists(root: Path, dataset: Path) -> list[str]:
    """Return the names of FF++'s lists that are in neither the data nor the dataset folder."""
    return [
        name
        for name in official_lists.OF_FFPP
        if official_lists.find_list(root, name) is None
        and not exists(dataset / official_lists.FOLDER / name)
    ]
