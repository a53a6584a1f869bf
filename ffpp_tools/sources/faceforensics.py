"""What lies where: FF++'s tree of videos, or of frames written as images; other sets of videos."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ffpp_tools.errors import DataNotFoundError, FfppError, SettingsError
from ffpp_tools.files import checked_paths, exists
from ffpp_tools.sources import media_files
from ffpp_tools.sources.celebdf_dfdc import (
    CELEB_DF,
    DFDC,
    DFDC_LIST,
    dfdc_lists,
    find_celebdf_dfdc_clips,
    in_celeb_df,
    list_clips,
)
from ffpp_tools.sources.clip import Clip
from ffpp_tools.sources.media_files import NEITHER, VIDEO, SkippedFile, videos_in

# Where each category's clips lie below the root, without the names of the two roots.
FFPP_ORIGINALS = {"Youtube": "youtube", "Actors": "actors"}
METHODS = (
    "Deepfakes",
    "Face2Face",
    "FaceSwap",
    "NeuralTextures",
    "FaceShifter",
    "DeepFakeDetection",
)
ORIGINAL_ROOTS = ("original_sequences", "original")
MANIPULATED_ROOTS = ("manipulated_sequences", "manipulate")
# Good enough for faces, and far cheaper to decode than raw.
DETECT_ON = ("c23", "c40", "raw")
COMPRESSIONS = {"raw": ("raw", "c0"), "c23": ("c23",), "c40": ("c40",)}

# Where a flat copy, such as Kaggle's FaceForensics++_C23, has them; its name tells the compression.
FLAT = {"Youtube": ("original", "youtube"), "Actors": ("actors",), **{m: (m,) for m in METHODS}}
TELLS = re.compile(r"(?<![a-z0-9])(c0|c23|c40|(?<=[^a-z])raw)(?![a-z0-9])", re.IGNORECASE)
LISTS = (".txt", ".json", ".csv", ".md")  # files that nobody takes for a clip
COPIES = "second copies of clips"
NEARBY = 200  # folders that are looked into for what was meant

VIDEO_CATEGORIES = (*FFPP_ORIGINALS, *METHODS, *CELEB_DF, *DFDC)

HOW_TO_GET_FFPP = (
    "FaceForensics++ is given to researchers on request: fill in the form linked at "
    "https://github.com/ondyari/FaceForensics and run the download script you are sent. "
    "`ffpp-demo` draws a small world of the same shape and needs none of it."
)


@dataclass(frozen=True)
class Family:
    """The clips that show the same frames: an original, its compressions, and their fakes."""

    clips: tuple[Clip, ...]  # those that were asked for
    originals: tuple[Clip, ...]  # those on disk, the one that faces are looked for in first
    masks: tuple[Path, ...]  # of the original's fakes, on disk

    @property
    def size(self) -> int:
        """How many bytes of video were asked for; about how long they will take."""
        return sum(clip.path.stat().st_size for clip in self.clips if exists(clip.path))


def find_clips(
    root: Path,
    categories: Iterable[str] = (),
    compressions: Iterable[str] = (),
    limit: int | None = None,
) -> list[Clip]:
    """The clips of a tree of FF++, Celeb-DF v2 or DFDC, sorted by category, compression and name.

    Where an FF++ folder holds no video of a clip, but frames that its own script has written as
    images (`<compression>/images/<clip>/0000.png`), the clip is the folder of its frames.

    Args:
        root: the folder that holds FF++'s `original_sequences` and `manipulated_sequences`, or, in
            a flat copy, `original` and `Deepfakes` with their videos; Celeb-DF's `Celeb-real`, or
            DFDC's parts with their `metadata.json`.
        categories: only these; all that are there when empty.
        compressions: only these; all that are there when empty. Of a flat copy whose folder's name
            does not tell it, the one that it has.
        limit: at most so many clips of each category and compression.

    Raises:
        DataNotFoundError: no such tree, or nothing in it was asked for.
        SettingsError: an unknown category or compression.
    """
    other = [] if _is_ffpp(root) else find_celebdf_dfdc_clips(root)
    known = sorted({c.category for c in other}) if other else (*FFPP_ORIGINALS, *METHODS)
    known_compressions = sorted({c.compression for c in other}) if other else tuple(COMPRESSIONS)
    asked, asked_compressions = tuple(categories), tuple(compressions)
    _check_known("category", asked, known)
    _check_known("compression", asked_compressions, known_compressions)
    flat = _flat_compression(root, asked_compressions)
    every = other or _ffpp_clips(root, flat)
    if not every and not flat and _is_flat(root):
        raise DataNotFoundError(
            f"{root} is a flat copy of FaceForensics++ whose name does not tell the compression: "
            f"say it with --compression, or call the folder by it, such as {root.name}_c23"
        )
    clips, counts = list[Clip](), Counter[tuple[str, str]]()
    for clip in every:
        key = (clip.category, clip.compression)
        wanted = clip.compression in (asked_compressions or known_compressions)
        if wanted and clip.category in (asked or known):
            counts[key] += 1
            clips += [clip] if limit is None or counts[key] <= limit else []
    checked_paths(clip.path for clip in clips)
    if not clips and every:
        wishes = (("category", asked), ("compression", asked_compressions))
        wished = " and ".join(f"{what} {', '.join(names)}" for what, names in wishes if names)
        there_are = sorted({f"{c.category} ({c.compression})" for c in every})
        raise DataNotFoundError(
            f"no clips of {wished} under {root}, which holds {', '.join(there_are)}. Name one of "
            f"these with --category or --compression, or leave both out."
        )
    if not clips:
        raise DataNotFoundError(_nothing_in(root))
    _check_there("category", asked, {c.category for c in clips}, root)
    _check_there("compression", asked_compressions, {c.compression for c in clips}, root)
    return clips


def remarks(root: Path, clips: Sequence[Clip]) -> list[str]:
    """What lies under a tree and is none of its clips, and what its lists name and it lacks.

    Args:
        root: of the tree.
        clips: some of it, which tell what it is.
    """
    if _is_ffpp(root):
        every, said = _ffpp_clips(root, clips[0].compression), list[str]()
    else:
        other = list_clips(root)
        every, said = other.clips, other.remarks
    taken = {os.path.realpath(clip.path) for clip in every}
    names = {(clip.path.parent, clip.name) for clip in every}
    found = media_files.find_files(root, (VIDEO,))
    left = [path for path in found.paths if os.path.realpath(path) not in taken]
    passed = [
        SkippedFile(path, COPIES if (path.parent, path.stem) in names else _why_no_clip(root, path))
        for path in left
        if "masks" not in path.relative_to(root).parts
    ]
    passed += [
        one
        for one in found.passed_over
        if os.path.realpath(one.path) not in taken  # a clip, of which a row will tell
        and one.why != "pictures"
        and not (one.why == NEITHER and one.path.suffix in LISTS)
    ]
    return [*said, *media_files.summary(passed, root)]


def _why_no_clip(root: Path, path: Path) -> str:
    if media_files.by_suffix(path) != VIDEO:
        return "videos that are not called like one"
    if _is_ffpp(root):
        if path.parent.name == "videos" or path.parent.parent == root:
            return COPIES
        return "videos where FaceForensics++ has none"
    if in_celeb_df(root):
        return f"videos outside {', '.join(CELEB_DF)}"
    if any(path.is_relative_to(listed.parent) for listed in dfdc_lists(root)):
        return f"videos that {DFDC_LIST} does not list, whose label nobody knows"
    return f"videos of a part without its {DFDC_LIST}, whose label nobody knows"


def _nothing_in(root: Path) -> str:
    """Why there are no clips, and what to do."""
    if not exists(root):
        return (
            f"there is no folder {root}; name the one that holds FF++'s original_sequences and "
            f"manipulated_sequences. {HOW_TO_GET_FFPP}"
        )
    if not root.is_dir():
        return f"{root} is no folder; name the one that holds the videos. {HOW_TO_GET_FFPP}"
    for near in _nearby(root):
        if _holds_clips(near):
            how = (
                ""
                if _flat_compression(near, ()) or not _is_flat(near)
                else " Say its --compression."
            )
            return f"{root} holds no set of videos itself; is it {near}?{how}"
    patterns = ("*.mp4", "*/*.mp4", "*/*/*.mp4")
    video = next((path for pattern in patterns for path in root.glob(pattern)), None)
    what = f" {video} is a video of none of these." if video else ""
    if any("dfdc" in part.lower() for part in (root.name, *(p.name for p in root.iterdir()))):
        what += f" DFDC's parts need the {DFDC_LIST} that comes with each."
    return (
        f"no FaceForensics++ videos under {root}: looked for "
        f"{'|'.join(ORIGINAL_ROOTS)}/{{{','.join(FFPP_ORIGINALS.values())}}} and "
        f"{'|'.join(MANIPULATED_ROOTS)}/{{{','.join(METHODS)}}}, each with "
        f"<compression>/videos/*.mp4 or <compression>/images/<clip>/0000.png, "
        f"for original/*.mp4 and Deepfakes/*.mp4 of a flat copy, "
        f"for Celeb-DF's {', '.join(CELEB_DF)} and for DFDC's {DFDC_LIST}.{what} {HOW_TO_GET_FFPP}"
    )


def _holds_clips(folder: Path) -> bool:
    if _is_flat(folder):
        return True
    with suppress(FfppError):
        return bool(
            _ffpp_clips(folder, "") if _is_ffpp(folder) else find_celebdf_dfdc_clips(folder)
        )
    return False


def _nearby(root: Path) -> Iterator[Path]:
    """Folders that look like what was meant: in it, in those, and above it."""
    within = (path for pattern in ("*", "*/*") for path in sorted(root.glob(pattern)))
    for path in islice(within, NEARBY):
        if path.is_dir() and (_is_ffpp(path) or in_celeb_df(path) or dfdc_lists(path)):
            yield path
    yield from (path for path in root.absolute().parents[:2] if _is_ffpp(path) or in_celeb_df(path))


def _check_there(what: str, asked: Sequence[str], found: Collection[str], root: Path) -> None:
    """Refuse to leave out in silence what was asked for by name."""
    if absent := [a for a in asked if a not in found]:
        raise DataNotFoundError(
            f"no clips of {what} {', '.join(absent)} under {root}, which holds "
            f"{', '.join(sorted(found))}. Leave out what you do not have."
        )


def families(root: Path, clips: Iterable[Clip]) -> list[Family]:
    """Clips with their originals and masks, asked for or not; the largest family first.

    Faces are looked for in the original at the first compression of `DETECT_ON` that is on disk,
    so that a family's boxes do not depend on what was asked for.
    """
    members: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        members[clip.original].append(clip)
    masks: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for method in METHODS:
        for top in MANIPULATED_ROOTS:
            for mask in videos_in(root / top / method / "masks" / "videos"):
                masks[Clip(method, "", mask.stem, mask).original].append(mask)
    ffpp = any(category in FFPP_ORIGINALS for category, _ in members)
    every = _ffpp_originals(root, clips) if ffpp else find_celebdf_dfdc_clips(root)
    beside: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in every:
        if (clip.category, clip.name) in members and exists(clip.path):
            beside[clip.category, clip.name].append(clip)
    found = [
        Family(tuple(asked), tuple(beside[key]), tuple(masks[key]))
        for key, asked in members.items()
    ]
    return sorted(found, key=lambda family: -family.size)


def default_ffpp_root() -> Path:
    """Where FF++ is when nobody says: $FFPP_DATA, else ./data/FaceForensics++."""
    return Path(os.environ.get("FFPP_DATA") or "data/FaceForensics++")


def _is_ffpp(root: Path) -> bool:
    tops = [top for top in (*ORIGINAL_ROOTS, *MANIPULATED_ROOTS) if top not in FLAT["Youtube"]]
    tops += [f"original/{folder}" for folder in FFPP_ORIGINALS.values()]
    return any((root / top).is_dir() for top in tops) or _is_flat(root)


def _is_flat(root: Path) -> bool:
    return any(videos_in(root / folder) for folders in FLAT.values() for folder in folders)


def _flat_compression(root: Path, asked: Sequence[str]) -> str:
    """What a flat copy has, by its folder's name, or that above it; else the only one asked for."""
    for folder in (root.absolute(), root.absolute().parent):
        if told := TELLS.findall(folder.name):  # a folder that is called raw alone tells nothing
            return {"c0": "raw"}.get(told[-1].lower(), told[-1].lower())
    return asked[0] if len(set(asked)) == 1 else ""


def _ffpp_originals(root: Path, clips: Iterable[Clip]) -> list[Clip]:
    """FF++'s originals at every compression, the best to find faces in first."""
    flat = _flat_compression(root, [clip.compression for clip in clips])
    every = _ffpp_clips(root, flat, FFPP_ORIGINALS)
    return sorted(every, key=lambda clip: DETECT_ON.index(clip.compression))


def _ffpp_clips(
    root: Path, flat: str, categories: Iterable[str] = (*FFPP_ORIGINALS, *METHODS)
) -> list[Clip]:
    """Every clip of a copy of FF++, sorted by category, compression and name.

    Args:
        root: of the copy.
        flat: the compression of what lies there as in a flat copy.
        categories: only these.
    """
    return [
        Clip(category, compression, name, path)
        for category in sorted(categories)
        for compression in sorted(COMPRESSIONS)
        for name, path in sorted(_videos(root, category, compression, flat).items())
    ]


def _videos(root: Path, category: str, compression: str, flat: str) -> dict[str, Path]:
    """Name of each clip → its video; where there is none of it, its folder of frames."""
    roots = ORIGINAL_ROOTS if category in FFPP_ORIGINALS else MANIPULATED_ROOTS
    folder = FFPP_ORIGINALS.get(category, category)
    places = [
        root / top / folder / spelling for top in roots for spelling in COMPRESSIONS[compression]
    ]
    videos = [place / "videos" for place in places]
    if flat == compression:
        videos += [root / name for name in FLAT[category]]
    found: dict[str, Path] = {}
    for video in (path for place in videos for path in videos_in(place)):
        found.setdefault(video.stem, video)
    for place in places:
        for frames in sorted((place / "images").glob("[!.]*")):
            if frames.is_dir():
                found.setdefault(frames.name, frames)
    return found


def _check_known(what: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [w for w in wanted if w not in known]:
        raise SettingsError(f"unknown {what} {', '.join(unknown)}; choose from {', '.join(known)}")
