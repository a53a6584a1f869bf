"""Find the clips of FaceForensics++ (videos or folders of frames), Celeb-DF v2 and DFDC."""

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
from ffpp_tools.sources.media_files import NEITHER, PICTURE, PLURAL, VIDEO, SkippedFile, videos_in

# Folders of the original categories, in either of `ORIGINAL_ROOTS`.
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
# Compressions in which faces are detected, in order of preference: c23 is good enough for faces
# and much cheaper to decode than raw.
DETECT_ON = ("c23", "c40", "raw")
COMPRESSIONS = {"raw": ("raw", "c0"), "c23": ("c23",), "c40": ("c40",)}

# Folders of a flat copy such as Kaggle's FaceForensics++_C23, whose name has the compression.
FLAT_FOLDERS = {
    "Youtube": ("original", "youtube"),
    "Actors": ("actors",),
    **{m: (m,) for m in METHODS},
}
COMPRESSION_IN_NAME = re.compile(
    r"(?<![a-z0-9])(c0|c23|c40|(?<=[^a-z])raw)(?![a-z0-9])", re.IGNORECASE
)
LIST_SUFFIXES = (".txt", ".json", ".csv", ".md")  # files that are obviously not clips
COPIES = "duplicates of clips"
MAX_NEARBY = 200  # folders that are searched for the one that the user meant

VIDEO_CATEGORIES = (*FFPP_ORIGINALS, *METHODS, *CELEB_DF, *DFDC)

HOW_TO_GET_FFPP = (
    "FaceForensics++ is available to researchers on request: fill in the form linked at "
    "https://github.com/ondyari/FaceForensics and run the download script you receive. "
    "`ffpp-demo` generates a small synthetic dataset with the same layout."
)


@dataclass(frozen=True)
class Family:
    """Clips that show the same frames: an original at all compressions, and its fakes."""

    clips: tuple[Clip, ...]  # the requested clips
    originals: tuple[Clip, ...]  # existing files of the original; faces are detected in the first
    masks: tuple[Path, ...]  # existing mask videos of the original's fakes

    @property
    def size(self) -> int:
        """Size of the requested videos in bytes, a proxy for the processing time."""
        return sum(clip.path.stat().st_size for clip in self.clips if exists(clip.path))


def find_clips(
    root: Path,
    categories: Iterable[str] = (),
    compressions: Iterable[str] = (),
    limit: int | None = None,
) -> list[Clip]:
    """Find the clips of an FF++, Celeb-DF v2 or DFDC tree, sorted by category, compression, name.

    If an FF++ folder contains no video of a clip but its frames as images, as FF++'s own script
    writes them (`<compression>/images/<clip>/0000.png`), the clip's path is the folder of frames.

    Args:
        root: folder that contains FF++'s `original_sequences` and `manipulated_sequences`; of a
            flat copy, `original` and `Deepfakes` with their videos; Celeb-DF's `Celeb-real`; or
            DFDC's parts with their `metadata.json`.
        categories: only these categories; all if empty.
        compressions: only these compressions; all if empty. For a flat copy whose folder name does
            not contain the compression, the compression of its videos.
        limit: at most this many clips per category and compression.

    Raises:
        DataNotFoundError: there is no such tree, or none of its clips match.
        SettingsError: a category or compression is unknown.
    """
    other = [] if _is_ffpp(root) else find_celebdf_dfdc_clips(root)
    known = sorted({c.category for c in other}) if other else (*FFPP_ORIGINALS, *METHODS)
    known_compressions = sorted({c.compression for c in other}) if other else tuple(COMPRESSIONS)
    asked, asked_compressions = tuple(categories), tuple(compressions)
    _check_known("category", asked, known)
    _check_known("compression", asked_compressions, known_compressions)
    flat = _flat_compression(root, asked_compressions)
    all_clips = other or _ffpp_clips(root, flat)
    if not all_clips and not flat and _is_flat(root):
        raise DataNotFoundError(
            f"{root} is a flat copy of FaceForensics++, but the folder name does not contain the "
            f"compression: pass --compression, or rename the folder, such as to {root.name}_c23"
        )
    clips, counts = list[Clip](), Counter[tuple[str, str]]()
    for clip in all_clips:
        key = (clip.category, clip.compression)
        wanted = clip.compression in (asked_compressions or known_compressions)
        if wanted and clip.category in (asked or known):
            counts[key] += 1
            clips += [clip] if limit is None or counts[key] <= limit else []
    checked_paths(clip.path for clip in clips)
    if not clips and all_clips:
        filters = (("category", asked), ("compression", asked_compressions))
        requested = " and ".join(f"{what} {', '.join(names)}" for what, names in filters if names)
        available = sorted({f"{c.category} ({c.compression})" for c in all_clips})
        raise DataNotFoundError(
            f"no clips of {requested} under {root}, which contains {', '.join(available)}. Choose "
            f"from these with --category and --compression, or omit both options."
        )
    if not clips:
        raise DataNotFoundError(_no_clips_message(root))
    _check_present("category", asked, {c.category for c in clips}, root)
    _check_present("compression", asked_compressions, {c.compression for c in clips}, root)
    return clips


def remarks(root: Path, clips: Sequence[Clip]) -> list[str]:
    """Describe the files under a tree that are not clips, and listed videos that are missing.

    Args:
        root: root folder of the tree.
        clips: some of its clips, which determine the compression of a flat copy.
    """
    if _is_ffpp(root):
        all_clips, lines = _ffpp_clips(root, clips[0].compression), list[str]()
    else:
        listing = list_clips(root)
        all_clips, lines = listing.clips, listing.remarks
    clip_paths = {os.path.realpath(clip.path) for clip in all_clips}
    names = {(clip.path.parent, clip.name) for clip in all_clips}
    videos = media_files.find_files(root, (VIDEO,))
    other_videos = [path for path in videos.paths if os.path.realpath(path) not in clip_paths]
    skipped = [
        SkippedFile(path, COPIES if (path.parent, path.stem) in names else _why_no_clip(root, path))
        for path in other_videos
        if "masks" not in path.relative_to(root).parts
    ]
    skipped += [
        file
        for file in videos.passed_over
        if os.path.realpath(file.path) not in clip_paths  # the ledger reports unreadable clips
        and file.why != PLURAL[PICTURE]
        and not (file.why == NEITHER and file.path.suffix in LIST_SUFFIXES)
    ]
    return [*lines, *media_files.summary(skipped, root)]


def _why_no_clip(root: Path, path: Path) -> str:
    """Return why a video is not a clip of the dataset."""
    if media_files.by_suffix(path) != VIDEO:
        return "videos without a video suffix"
    if _is_ffpp(root):
        if path.parent.name == "videos" or path.parent.parent == root:
            return COPIES
        return "videos outside the folders of FaceForensics++"
    if in_celeb_df(root):
        return f"videos outside {', '.join(CELEB_DF)}"
    if any(path.is_relative_to(listed.parent) for listed in dfdc_lists(root)):
        return f"videos of unknown label, not listed in {DFDC_LIST}"
    return f"videos of unknown label, in a part without {DFDC_LIST}"


def _no_clips_message(root: Path) -> str:
    """Explain why there are no clips, and what to do."""
    if not exists(root):
        return (
            f"{root} does not exist; pass the folder that contains FF++'s original_sequences and "
            f"manipulated_sequences. {HOW_TO_GET_FFPP}"
        )
    if not root.is_dir():
        return f"{root} is not a folder; pass the folder of the videos. {HOW_TO_GET_FFPP}"
    for near in _nearby(root):
        if _has_clips(near):
            hint = (
                ""
                if _flat_compression(near, ()) or not _is_flat(near)
                else " If so, pass --compression too."
            )
            return f"{root} itself contains no video dataset; did you mean {near}?{hint}"
    patterns = ("*.mp4", "*/*.mp4", "*/*/*.mp4")
    video = next((path for pattern in patterns for path in root.glob(pattern)), None)
    hint = f" {video} matches none of these layouts." if video else ""
    if any("dfdc" in part.lower() for part in (root.name, *(p.name for p in root.iterdir()))):
        hint += f" Each part of DFDC needs the {DFDC_LIST} that comes with it."
    return (
        f"no FaceForensics++ videos under {root}: searched for "
        f"{'|'.join(ORIGINAL_ROOTS)}/{{{','.join(FFPP_ORIGINALS.values())}}} and "
        f"{'|'.join(MANIPULATED_ROOTS)}/{{{','.join(METHODS)}}}, each with "
        f"<compression>/videos/*.mp4 or <compression>/images/<clip>/0000.png, "
        f"for original/*.mp4 and Deepfakes/*.mp4 of a flat copy, "
        f"for Celeb-DF's {', '.join(CELEB_DF)} and for DFDC's {DFDC_LIST}.{hint} {HOW_TO_GET_FFPP}"
    )


def _has_clips(folder: Path) -> bool:
    if _is_flat(folder):
        return True
    with suppress(FfppError):
        return bool(
            _ffpp_clips(folder, "") if _is_ffpp(folder) else find_celebdf_dfdc_clips(folder)
        )
    return False


def _nearby(root: Path) -> Iterator[Path]:
    """Yield folders the user may have meant: up to two levels below the root, and above it."""
    within = (path for pattern in ("*", "*/*") for path in sorted(root.glob(pattern)))
    for path in islice(within, MAX_NEARBY):
        if path.is_dir() and (_is_ffpp(path) or in_celeb_df(path) or dfdc_lists(path)):
            yield path
    yield from (path for path in root.absolute().parents[:2] if _is_ffpp(path) or in_celeb_df(path))


def _check_present(what: str, asked: Sequence[str], present: Collection[str], root: Path) -> None:
    """Raise DataNotFoundError if a requested category or compression has no clips."""
    if absent := [a for a in asked if a not in present]:
        raise DataNotFoundError(
            f"no clips of {what} {', '.join(absent)} under {root}, which contains "
            f"{', '.join(sorted(present))}. Omit {', '.join(absent)} from --{what}."
        )


def families(root: Path, clips: Iterable[Clip]) -> list[Family]:
    """Group clips into families with all their originals and masks, largest family first.

    Faces are detected in the original at the first compression of `DETECT_ON` that exists, so that
    a family's boxes do not depend on which clips are requested.
    """
    members: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        members[clip.original_key].append(clip)
    masks: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for method in METHODS:
        for top in MANIPULATED_ROOTS:
            for mask in videos_in(root / top / method / "masks" / "videos"):
                masks[Clip(method, "", mask.stem, mask).original_key].append(mask)
    is_ffpp = any(category in FFPP_ORIGINALS for category, _ in members)
    all_clips = _ffpp_originals(root, clips) if is_ffpp else find_celebdf_dfdc_clips(root)
    originals: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in all_clips:
        if (clip.category, clip.name) in members and exists(clip.path):
            originals[clip.category, clip.name].append(clip)
    unsorted = [
        Family(tuple(requested), tuple(originals[key]), tuple(masks[key]))
        for key, requested in members.items()
    ]
    return sorted(unsorted, key=lambda family: -family.size)


def official_path(category: str, compression: str, name: str) -> Path:
    """Return the path of a video in FF++'s official layout; for other datasets, its file name."""
    if category not in (*FFPP_ORIGINALS, *METHODS):
        return Path(f"{name}.mp4")
    roots = ORIGINAL_ROOTS if category in FFPP_ORIGINALS else MANIPULATED_ROOTS
    folder = FFPP_ORIGINALS.get(category, category)
    return Path(roots[0], folder, compression, "videos", f"{name}.mp4")


def default_ffpp_root() -> Path:
    """Return the default folder of FF++: $FFPP_DATA, else ./data/FaceForensics++."""
    return Path(os.environ.get("FFPP_DATA") or "data/FaceForensics++")


def _is_ffpp(root: Path) -> bool:
    tops = [
        top for top in (*ORIGINAL_ROOTS, *MANIPULATED_ROOTS) if top not in FLAT_FOLDERS["Youtube"]
    ]
    tops += [f"original/{folder}" for folder in FFPP_ORIGINALS.values()]
    return any((root / top).is_dir() for top in tops) or _is_flat(root)


def _is_flat(root: Path) -> bool:
    return any(videos_in(root / folder) for folders in FLAT_FOLDERS.values() for folder in folders)


def _flat_compression(root: Path, asked: Sequence[str]) -> str:
    """Return the compression of a flat copy; empty if unknown.

    It is in the name of the folder or of its parent; otherwise it is the only requested one.
    """
    for folder in (root.absolute(), root.absolute().parent):
        # A folder that is named just "raw" does not count.
        if matches := COMPRESSION_IN_NAME.findall(folder.name):
            return {"c0": "raw"}.get(matches[-1].lower(), matches[-1].lower())
    return asked[0] if len(set(asked)) == 1 else ""


def _ffpp_originals(root: Path, clips: Iterable[Clip]) -> list[Clip]:
    """Return FF++'s originals at every compression, in the order of `DETECT_ON`."""
    flat = _flat_compression(root, [clip.compression for clip in clips])
    originals = _ffpp_clips(root, flat, FFPP_ORIGINALS)
    return sorted(originals, key=lambda clip: DETECT_ON.index(clip.compression))


def _ffpp_clips(
    root: Path, flat: str, categories: Iterable[str] = (*FFPP_ORIGINALS, *METHODS)
) -> list[Clip]:
    """Return all clips of a copy of FF++, sorted by category, compression and name.

    Args:
        root: root folder of the copy.
        flat: compression of the clips in folders of a flat copy.
        categories: only these categories.
    """
    return [
        Clip(category, compression, name, path)
        for category in sorted(categories)
        for compression in sorted(COMPRESSIONS)
        for name, path in sorted(_videos(root, category, compression, flat).items())
    ]


def _videos(root: Path, category: str, compression: str, flat: str) -> dict[str, Path]:
    """Map clip names to videos, or to folders of frames if there is no video."""
    roots = ORIGINAL_ROOTS if category in FFPP_ORIGINALS else MANIPULATED_ROOTS
    folder = FFPP_ORIGINALS.get(category, category)
    places = [
        root / top / folder / spelling for top in roots for spelling in COMPRESSIONS[compression]
    ]
    videos = [place / "videos" for place in places]
    if flat == compression:
        videos += [root / name for name in FLAT_FOLDERS[category]]
    paths: dict[str, Path] = {}
    for video in (path for place in videos for path in videos_in(place)):
        paths.setdefault(video.stem, video)
    for place in places:
        for frames in sorted((place / "images").glob("[!.]*")):
            if frames.is_dir():
                paths.setdefault(frames.name, frames)
    return paths


def _check_known(what: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [w for w in wanted if w not in known]:
        raise SettingsError(f"unknown {what} {', '.join(unknown)}; choose from {', '.join(known)}")
