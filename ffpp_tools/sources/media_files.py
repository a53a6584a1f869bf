"""The pictures and videos below a folder, by what the files hold, and what was passed over."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path

from ffpp_tools.errors import DataNotFoundError
from ffpp_tools.files import checked_paths, regular_file, special_file_kind

PICTURE, VIDEO = "picture", "video"
PLURAL = {PICTURE: "pictures", VIDEO: "videos"}
NEITHER = "neither picture nor video"
HIDDEN, UNREADABLE_FOLDER = "hidden", "a folder that cannot be read"
# Files with one of these suffixes are taken for what it says without being opened.
SUFFIXES = {
    PICTURE: (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp"),
        *(".gif", ".tif", ".tiff", ".avif"),
    ),
    VIDEO: (
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv"),
        *(".3gp", ".3g2", ".mts", ".m2ts", ".ogv"),
    ),
}
# Of cameras: TIFF files by their first bytes, with a small preview in front.
RAW_SUFFIXES = (".nef", ".cr2", ".arw", ".dng", ".orf", ".rw2", ".pef", ".srw")
HEIC = "HEIC pictures, which cannot be read here; convert them to JPEG or PNG"
RAW = "camera raw pictures, which cannot be read here; convert them to PNG"
# Folders that operating systems, notebooks and NAS devices put beside people's own.
LITTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
SHOWN = 3  # names in a sentence

HEAD = 1024  # bytes that are looked at
SIGNATURES = (  # what a file of each kind starts with
    (PICTURE, rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|GIF8[79]a"),
    (VIDEO, rb"RIFF....AVI |\x1aE\xdf\xa3|FLV\x01|0&\xb2u\x8ef\xcf\x11|\0\0\x01[\xba\xb3]"),
    (VIDEO, rb"\0{2,3}\x01[\x67\x27\x09\x40\x46]|DKIF\0\0|\.RMF|OggS.{24,64}theora"),
    (VIDEO, rb"G.{187}G.{187}G|.{4}G.{191}G.{191}G"),  # an MPEG transport stream
    (VIDEO, rb".{4}(?:moov|mdat|wide|pnot)"),  # QuickTime without a declared brand
)
# Of the formats that declare a brand (ISO 14496-12): how they name themselves, and what they are.
BRANDS = (
    (PICTURE, (b"avif",)),
    (HEIC, (b"mif1", b"msf1", b"heic", b"heix")),
    (RAW, (b"crx ",)),
    (NEITHER, (b"M4A ", b"M4B ", b"M4P ")),
)

FolderFilter = Callable[[Path, Sequence[str]], Mapping[str, str]]


@dataclass(frozen=True)
class SkippedFile:
    """A file that was not taken."""

    path: Path
    why: str  # as in "passed over as …"


@dataclass(frozen=True)
class MediaFiles:
    """What a search has come to."""

    paths: list[Path]  # sorted
    passed_over: list[SkippedFile]


def exclude_nothing(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    """No folder is left out."""
    return {}


def find_files(
    root: Path, wanted: Collection[str], spare: FolderFilter = exclude_nothing
) -> MediaFiles:
    """The files of the wanted kinds below a folder.

    Links to folders are followed, real folders first, and none is entered twice. FIFOs, sockets
    and devices are never opened. A link that leads nowhere is taken if it is called like a file of
    a wanted kind, so that somebody misses it.

    Args:
        root: the folder.
        wanted: `PICTURE`, `VIDEO` or both.
        spare: which of a folder's folders are left out, and why: name → reason.
    """
    found: list[Path] = []
    passed: list[SkippedFile] = []
    entered: dict[tuple[int, int], Path] = {}
    # What is left out comes last, and links after folders: whether it is left out, a link, where.
    waiting: list[tuple[bool, bool, Path, str]] = [(False, False, root, "")]
    while waiting:
        _, _, folder, left_out = heappop(waiting)
        try:
            state = folder.stat()
            if (first := entered.setdefault((state.st_dev, state.st_ino), folder)) != folder:
                passed.append(SkippedFile(folder, f"a link to {first}, which is searched anyway"))
                continue
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            passed.append(SkippedFile(folder, UNREADABLE_FOLDER))
            continue
        inner = {entry.name: entry.is_symlink() for entry in entries if _is_folder(entry)}
        spared = spare(folder, list(inner))
        for name, is_link in inner.items():
            why = left_out or _litter(name) or spared.get(name, "")
            heappush(waiting, (bool(why), is_link, folder / name, why))
        for entry in (entry for entry in entries if entry.name not in inner):
            path = folder / entry.name
            if left_out:
                passed += [SkippedFile(path, left_out)] if by_suffix(path) in wanted else []
            elif why := _why_not(path, entry, wanted):
                passed.append(SkippedFile(path, why))
            else:
                found.append(path)
    return MediaFiles(checked_paths(sorted(found)), sorted(passed, key=lambda one: one.path))


def videos_in(folder: Path) -> list[Path]:
    """The files in a folder that are called like videos; none where there is no such folder.

    Sorted, one for each name: of several that differ in their suffix alone, the .mp4 or the first.

    Raises:
        DataNotFoundError: the folder may not be read.
    """
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as listing:
            names = [e.name for e in listing if not e.name.startswith(".") and not _is_folder(e)]
    except OSError as error:
        raise DataNotFoundError(f"{folder}: cannot be read ({error.strerror})") from error
    videos = [path for name in names if _called_video(path := folder / name)]
    videos.sort(key=lambda path: (path.stem, path.suffix.lower() != ".mp4", path.suffix))
    return list({path.stem: path for path in reversed(videos)}.values())[::-1]


def file_kind(path: Path) -> str:
    """`PICTURE`, `VIDEO`, or in words what else a file is.

    Its first bytes tell; where they do not, as in a damaged file, its suffix does. A GIF that moves
    is a video.
    """
    if what := special_file_kind(path):
        return f"{what}, not a file"
    if path.suffix.lower() in RAW_SUFFIXES:
        return RAW
    try:
        with regular_file(path).open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        head = b""
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head.startswith(b"GIF8") and _moves(path):
        return VIDEO
    for what, pattern in SIGNATURES:
        if re.match(pattern, head, re.DOTALL):
            return what
    return by_suffix(path) or NEITHER


def by_suffix(path: Path) -> str:
    """What a file's name says it is; empty where it says neither picture nor video."""
    suffix = path.suffix.lower()
    return next((what for what, suffixes in SUFFIXES.items() if suffix in suffixes), "")


def _called_video(path: Path) -> bool:
    """Whether a file is called like a video; .ts is a suffix of programs as well."""
    return by_suffix(path) == VIDEO or (path.suffix.lower() == ".ts" and file_kind(path) == VIDEO)


def summary(passed_over: Sequence[SkippedFile], root: Path) -> Iterator[str]:
    """What was passed over, a sentence for each reason."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for one in passed_over:
        name = one.path.relative_to(root) if one.path.is_relative_to(root) else one.path
        by_reason[one.why].append(str(name).encode(errors="backslashreplace").decode())
    for why, names in by_reason.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"passed over as {why}: {len(names)} ({', '.join(names[:SHOWN])}{more})"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _litter(name: str) -> str:
    return HIDDEN if name.startswith(".") or name in LITTER else ""


def _why_not(path: Path, entry: os.DirEntry[str], wanted: Collection[str]) -> str:
    """Why a file is not taken; empty where it is."""
    if path.name.startswith("."):
        return HIDDEN
    if (what := special_file_kind(path)) if entry.is_symlink() or not entry.is_file() else "":
        return f"{what}, not a file"
    called = by_suffix(path)
    if called in wanted:
        return ""
    what = called if called == PICTURE else file_kind(path)  # frames beside videos may be a million
    return "" if what in wanted else PLURAL.get(what, what)


def _by_brand(head: bytes) -> str:
    """What a file of the family of MP4 is, by the brands it declares."""
    size = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(size, HEAD), 4))]
    if brands[0] == b"avis":
        return VIDEO
    stills = brands if brands[0] in (b"mif1", b"msf1", b"miaf") else brands[:1]
    return next((what for what, names in BRANDS if set(names) & set(stills)), VIDEO)


def _moves(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path, formats=("GIF",)) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, SyntaxError, ValueError, EOFError):
        return False
