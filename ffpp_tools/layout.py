"""What lies where: FF++'s tree of videos, or of frames written as images; other sets of videos."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ffpp_tools.clip import Clip
from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.files import named, there
from ffpp_tools.othersets import CELEB_DF, DFDC, find_other_clips

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
        return sum(clip.path.stat().st_size for clip in self.clips if there(clip.path))


def find_clips(
    root: Path,
    categories: Iterable[str] = (),
    compressions: Iterable[str] = (),
    limit: int | None = None,
) -> list[Clip]:
    """The clips of a tree of FF++, Celeb-DF v2 or DFDC, sorted by category, compression and name.

    Where an FF++ folder holds no videos, but frames that its own script has written as images
    (`<compression>/images/<clip>/0000.png`), a clip is the folder of its frames.

    Args:
        root: the folder that holds FF++'s `original_sequences` and `manipulated_sequences`,
            Celeb-DF's `Celeb-real`, or DFDC's parts with their `metadata.json`.
        categories: only these; all that are there when empty.
        compressions: only these; all that are there when empty.
        limit: at most so many clips of each category and compression.

    Raises:
        DataNotFoundError: no such tree, or nothing in it was asked for.
        SettingsError: an unknown category or compression.
    """
    others = find_other_clips(root)
    known = sorted({c.category for c in others}) if others else (*FFPP_ORIGINALS, *METHODS)
    known_compressions = sorted({c.compression for c in others}) if others else tuple(COMPRESSIONS)
    asked, asked_compressions = tuple(categories), tuple(compressions)
    wanted, wanted_compressions = asked or known, asked_compressions or known_compressions
    _check_known("category", wanted, known)
    _check_known("compression", wanted_compressions, known_compressions)
    clips: list[Clip] = []
    for category in sorted(wanted):
        for compression in sorted(wanted_compressions):
            if others:
                group = [c for c in others if c.category == category]
            else:
                videos = _videos(root, category, compression)
                group = [Clip(category, compression, name, path) for name, path in videos.items()]
            clips += group[:limit]
    named(clip.path for clip in clips)
    if not clips and (asked or asked_compressions):
        wishes = (("category", asked), ("compression", asked_compressions))
        wished = " and ".join(f"{what} {', '.join(names)}" for what, names in wishes if names)
        there_are = sorted({f"{c.category} ({c.compression})" for c in find_clips(root)})
        raise DataNotFoundError(
            f"no clips of {wished} under {root}; there are some of {', '.join(there_are)}"
        )
    if not clips:
        raise DataNotFoundError(_nothing_in(root))
    _check_there("category", asked, {c.category for c in clips}, root)
    _check_there("compression", asked_compressions, {c.compression for c in clips}, root)
    return clips


def _nothing_in(root: Path) -> str:
    """Why there are no clips, and what to do."""
    if not there(root):
        return (
            f"there is no folder {root}; name the one that holds FF++'s original_sequences and "
            f"manipulated_sequences. {HOW_TO_GET_FFPP}"
        )
    for near in (*sorted(root.iterdir()), *root.absolute().parents[:2]):
        if any(there(near / top) for top in (*ORIGINAL_ROOTS, *MANIPULATED_ROOTS)):
            return f"{root} is not FaceForensics++'s own folder; is it {near}?"
    return (
        f"no FaceForensics++ videos under {root}: looked for "
        f"{'|'.join(ORIGINAL_ROOTS)}/{{{','.join(FFPP_ORIGINALS.values())}}} and "
        f"{'|'.join(MANIPULATED_ROOTS)}/{{{','.join(METHODS)}}}, each with "
        f"<compression>/videos/*.mp4 or <compression>/images/<clip>/0000.png, "
        f"for Celeb-DF's {', '.join(CELEB_DF)} and for DFDC's metadata.json. {HOW_TO_GET_FFPP}"
    )


def _check_there(what: str, asked: Sequence[str], found: Collection[str], root: Path) -> None:
    """Refuse to leave out in silence what was asked for by name."""
    if absent := [a for a in asked if a not in found]:
        raise DataNotFoundError(
            f"no clips of {what} {', '.join(absent)} under {root}; there are some of "
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
            for mask in sorted((root / top / method / "masks" / "videos").glob("[!.]*.mp4")):
                masks[Clip(method, "", mask.stem, mask).original].append(mask)
    others = {(c.category, c.name): c for c in find_other_clips(root) if there(c.path)}
    found = []
    for (category, name), asked in members.items():
        if category in FFPP_ORIGINALS:
            originals = [
                Clip(category, compression, name, path)
                for compression in DETECT_ON
                if (path := _video(root, category, compression, name)) is not None
            ]
        else:
            originals = [others[category, name]] if (category, name) in others else []
        found.append(Family(tuple(asked), tuple(originals), tuple(masks[category, name])))
    return sorted(found, key=lambda family: -family.size)


def default_ffpp_root() -> Path:
    """Where FF++ is when nobody says: $FFPP_DATA, else ./data/FaceForensics++."""
    return Path(os.environ.get("FFPP_DATA") or "data/FaceForensics++")


def _compression_folders(root: Path, category: str, compression: str) -> list[Path]:
    """Where the videos of a category, or their frames, may lie."""
    roots = ORIGINAL_ROOTS if category in FFPP_ORIGINALS else MANIPULATED_ROOTS
    folder = FFPP_ORIGINALS.get(category, category)
    return [
        root / top / folder / spelling for top in roots for spelling in COMPRESSIONS[compression]
    ]


def _videos(root: Path, category: str, compression: str) -> dict[str, Path]:
    """Name of each clip → its video; where there is no video at all, its folder of frames."""
    folders = _compression_folders(root, category, compression)
    for folder in folders:
        if videos := sorted((folder / "videos").glob("[!.]*.mp4")):
            return {video.stem: video for video in videos}
    for folder in folders:
        if images := sorted(p for p in (folder / "images").glob("[!.]*") if p.is_dir()):
            return {image.name: image for image in images}
    return {}


def _video(root: Path, category: str, compression: str, name: str) -> Path | None:
    folders = _compression_folders(root, category, compression)
    paths = [
        *(folder / "videos" / f"{name}.mp4" for folder in folders),
        *(folder / "images" / name for folder in folders),
    ]
    return next((path for path in paths if there(path)), None)


def _check_known(what: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [w for w in wanted if w not in known]:
        raise SettingsError(f"unknown {what} {', '.join(unknown)}; choose from {', '.join(known)}")
