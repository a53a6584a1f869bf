"""What a copy of FF++ holds, and what is missing, damaged or foreign in it."""

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

# How many clips FF++ has of each, and how they are called (its repository's dataset/README.md).
CLIPS = {"Youtube": 1000, "Actors": 363, "DeepFakeDetection": 3068}
CLIPS_OF_METHOD = 1000
NAMES = {
    "Youtube": r"\d{3}",
    "Actors": r"\d{2}__\w+",
    "DeepFakeDetection": r"\d{2}_\d{2}__\w+__[A-Z0-9]{8}",
}
NAME_OF_METHOD = r"\d{3}_\d{3}"
# Mean size of a crop as PNG with the default margin, over 1,021 crops of 44 clips at c40. Clips
# that were compressed less have more detail: twice as much is allowed for them.
CROP_BYTES = {"c40": 90_000}
CROP_BYTES_AT_MOST = 180_000

ClipProgress = Callable[[Iterable["ClipCheck"], int], Iterable["ClipCheck"]]


@dataclass(frozen=True)
class ClipCheck:
    """What one clip's file is like."""

    clip: Clip
    size: int  # bytes
    planned: int  # frames
    error: str = ""  # why it cannot be read, or not to its end
    too_large: bool = False  # that is the reason: it declares more pixels than the limit


@dataclass(frozen=True)
class ClipSet:
    """All clips of one category at one compression."""

    category: str
    compression: str
    clips: tuple[ClipCheck, ...]
    expected: int | None  # how many there are in the whole of FF++; None of other sets
    missing: tuple[str, ...]  # names, as far as they are known
    unknown: tuple[Path, ...]  # files that are called like none of its clips

    @property
    def empty(self) -> list[ClipCheck]:
        """Clips whose file holds not a single byte."""
        return [
            c for c in self.clips if c.error and not c.size and not special_file_kind(c.clip.path)
        ]

    @property
    def damaged(self) -> list[ClipCheck]:
        """Other clips that cannot be read, or not to their end."""
        of = [c for c in self.clips if c.error and not c.too_large]
        return [c for c in of if c.size or special_file_kind(c.clip.path)]

    @property
    def too_large(self) -> list[ClipCheck]:
        """Clips that declare more pixels a frame than the limit."""
        return [c for c in self.clips if c.too_large]

    @property
    def size(self) -> int:
        """Bytes of video."""
        return sum(c.size for c in self.clips)

    @property
    def planned(self) -> int:
        """How many frames the plan wants."""
        return sum(c.planned for c in self.clips)

    @property
    def crops_size(self) -> int:
        """About how many bytes the crops of these frames will take."""
        return self.planned * CROP_BYTES.get(self.compression, CROP_BYTES_AT_MOST)


def check_clips(
    root: Path,
    plan: FramePlan,
    workers: int = 1,
    progress: ClipProgress | None = None,
    max_pixels: int = MAX_FRAME_PIXELS,
) -> list[ClipSet]:
    """Read every clip's packets, and compare what is there with what FF++ has.

    Clips whose packets do not tell which frames are shown are decoded.

    Args:
        root: as of `layout.find_clips`.
        plan: which frames would be wanted.
        workers: threads that read side by side.
        progress: passes what was looked at through and shows how far it is.
        max_pixels: do not decode clips that declare more, width times height of a frame.

    Raises:
        DataNotFoundError: no videos there.
    """
    import joblib

    clips = find_clips(root)
    tasks = (joblib.delayed(_looked)(clip, plan, max_pixels) for clip in clips)
    found = joblib.Parallel(workers, prefer="threads", return_as="generator")(tasks)
    looked = list(progress(found, len(clips)) if progress else found)
    pairs = _pairs(root, clips)
    sources = []
    for key in dict.fromkeys((c.category, c.compression) for c in clips):
        own = tuple(c for c in looked if (c.clip.category, c.clip.compression) == key)
        sources.append(_source(*key, own, pairs))
    return sources


def _looked(clip: Clip, plan: FramePlan, max_pixels: int) -> ClipCheck:
    """What a clip's packets tell, or what comes out when they are decoded."""
    if clip.path.is_dir():  # frames as images: every file is read when it is extracted
        return ClipCheck(clip, 0, 0)
    try:
        size = clip.path.stat().st_size
        video = demux.read_video(clip.path, max_pixels)
    except OSError as error:
        return ClipCheck(clip, 0, 0, f"{clip.path}: cannot be read ({error.strerror})")
    except DecodeError as error:
        return ClipCheck(clip, size, 0, str(error), isinstance(error, SizeError))
    short = ""
    if video.missing_frames:
        short = f"{clip.path}: ends after {len(video.shown)} of {video.n_frames} frames"
    return ClipCheck(clip, size, len(plan.wanted(video.n_frames)), short)


def _pairs(root: Path, clips: Iterable[Clip]) -> set[str]:
    """The names that a method's clips have: by the official splits, else by the other methods'."""
    try:
        listed = official_lists.official_clip_names(root)
    except FfppError:  # damaged: told where the lists are looked at
        listed = set()
    methods = [c.name for c in clips if c.category in FFPP_YOUTUBE and c.label == "fake"]
    return listed or set(methods)


def _source(
    category: str, compression: str, clips: tuple[ClipCheck, ...], pairs: set[str]
) -> ClipSet:
    names = {c.clip.name for c in clips}
    expected = CLIPS.get(category, CLIPS_OF_METHOD if category in FFPP_YOUTUBE else None)
    if expected is None:
        return ClipSet(category, compression, clips, None, (), ())
    wanted = {"Youtube": {f"{n:03d}" for n in range(CLIPS["Youtube"])}}.get(category, set())
    if category in FFPP_YOUTUBE and category != "Youtube":
        wanted = pairs
    pattern = re.compile(NAMES.get(category, NAME_OF_METHOD), re.ASCII)
    foreign = [
        c.clip.path
        for c in clips
        if not pattern.fullmatch(c.clip.name)
        or (len(wanted) == expected and c.clip.name not in wanted)
    ]
    known = {c.clip.path for c in clips}
    for folder in sorted({path.parent for path in known}):
        foreign += [p for p in sorted(folder.glob("[!.]*")) if p not in known]
    return ClipSet(
        category, compression, clips, expected, tuple(sorted(wanted - names)), tuple(foreign)
    )


def missing_lists(root: Path, dataset: Path) -> list[str]:
    """Names of FF++'s lists that lie neither with the data nor with the dataset."""
    return [
        name
        for name in official_lists.OF_FFPP
        if official_lists.find_list(root, name) is None
        and not exists(dataset / official_lists.FOLDER / name)
    ]
