"""Find images and videos under a folder by file content, and report skipped files."""

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
PLURAL = {PICTURE: "images", VIDEO: "videos"}
NEITHER = "neither image nor video"
HIDDEN, UNREADABLE_FOLDER = "hidden", "unreadable folder"
# Suffixes by which the kind of a file is assumed without opening it.
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
# Camera raw files look like TIFF files with a small preview.
RAW_SUFFIXES = (".nef", ".cr2", ".arw", ".dng", ".orf", ".rw2", ".pef", ".srw")
HEIC = "HEIC images are not supported; convert them to JPEG or PNG"
RAW = "camera raw images are not supported; convert them to PNG"
# Folders that operating systems and NAS devices create.
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
MAX_NAMES = 3  # file names in a summary line

HEAD = 1024  # bytes that are read to determine the kind of a file
SIGNATURES = (  # the first bytes of each kind of file
    (PICTURE, rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|GIF8[79]a"),
    (VIDEO, rb"RIFF....AVI |\x1aE\xdf\xa3|FLV\x01|0&\xb2u\x8ef\xcf\x11|\0\0\x01[\xba\xb3]"),
    (VIDEO, rb"\0{2,3}\x01[\x67\x27\x09\x40\x46]|DKIF\0\0|\.RMF|OggS.{24,64}theora"),
    (VIDEO, rb"G.{187}G.{187}G|.{4}G.{191}G.{191}G"),  # an MPEG transport stream
    (VIDEO, rb".{4}(?:moov|mdat|wide|pnot)"),  # QuickTime without a declared brand
)
# Kinds of files by the brand that they declare (ISO 14496-12).
BRANDS = (
    (PICTURE, (b"avif",)),
    (HEIC, (b"mif1", b"msf1", b"heic", b"heix")),
    (RAW, (b"crx ",)),
    (NEITHER, (b"M4A ", b"M4B ", b"M4P ")),
)

FolderFilter = Callable[[Path, Sequence[str]], Mapping[str, str]]


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that a search skipped."""

    path: Path
    why: str  # the reason, such as "hidden"


@dataclass(frozen=True)
class MediaFiles:
    """The result of a search for images or videos."""

    paths: list[Path]  # sorted
    passed_over: list[SkippedFile]


def exclude_nothing(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Exclude no folder; the default folder filter."""
    return {}


def find_files(
    root: Path, wanted: Collection[str], exclude: FolderFilter = exclude_nothing
) -> MediaFiles:
    """Find the files of the wanted kinds under a folder.

    Symbolic links to folders are followed, real folders first, and no folder is searched twice.
    FIFOs, sockets and devices are never opened. A dangling link with the suffix of a wanted kind
    is included, so that it is reported as missing.

    Args:
        root: the folder.
        wanted: `PICTURE`, `VIDEO` or both.
        exclude: given a folder and the names of its subfolders, returns those to skip: name →
            reason.
    """
    paths: list[Path] = []
    skipped: list[SkippedFile] = []
    visited: dict[tuple[int, int], Path] = {}
    # Heap of (is excluded, is a link, folder, reason): excluded folders last, links after folders.
    queue: list[tuple[bool, bool, Path, str]] = [(False, False, root, "")]
    while queue:
        _, _, folder, excluded = heappop(queue)
        try:
            state = folder.stat()
            if (first := visited.setdefault((state.st_dev, state.st_ino), folder)) != folder:
                skipped.append(SkippedFile(folder, f"a link to {first}, which is searched anyway"))
                continue
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            skipped.append(SkippedFile(folder, UNREADABLE_FOLDER))
            continue
        subfolders = {entry.name: entry.is_symlink() for entry in entries if _is_folder(entry)}
        reasons = exclude(folder, list(subfolders))
        for name, is_link in subfolders.items():
            why = excluded or _hidden(name) or reasons.get(name, "")
            heappush(queue, (bool(why), is_link, folder / name, why))
        for entry in (entry for entry in entries if entry.name not in subfolders):
            path = folder / entry.name
            if excluded:
                skipped += [SkippedFile(path, excluded)] if by_suffix(path) in wanted else []
            elif why := _skip_reason(path, entry, wanted):
                skipped.append(SkippedFile(path, why))
            else:
                paths.append(path)
    return MediaFiles(checked_paths(sorted(paths)), sorted(skipped, key=lambda file: file.path))


def videos_in(folder: Path) -> list[Path]:
    """Return the files in a folder with a video suffix, sorted; empty if it does not exist.

    Of several files that differ only in the suffix, the .mp4 is returned, else the first.

    Raises:
        DataNotFoundError: the folder cannot be read.
    """
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as listing:
            names = [e.name for e in listing if not e.name.startswith(".") and not _is_folder(e)]
    except OSError as error:
        raise DataNotFoundError(f"{folder}: cannot be read ({error.strerror})") from error
    videos = [path for name in names if _has_video_suffix(path := folder / name)]
    videos.sort(key=lambda path: (path.stem, path.suffix.lower() != ".mp4", path.suffix))
    return list({path.stem: path for path in reversed(videos)}.values())[::-1]


def file_kind(path: Path) -> str:
    """Return `PICTURE`, `VIDEO`, or a description of any other kind of file.

    The kind is determined by the first bytes, or by the suffix if they are not recognised, as in a
    damaged file. An animated GIF is a video.
    """
    if special := special_file_kind(path):
        return f"{special}, not a file"
    if path.suffix.lower() in RAW_SUFFIXES:
        return RAW
    try:
        with regular_file(path).open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        head = b""
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head.startswith(b"GIF8") and _is_animated(path):
        return VIDEO
    for kind, pattern in SIGNATURES:
        if re.match(pattern, head, re.DOTALL):
            return kind
    return by_suffix(path) or NEITHER


def by_suffix(path: Path) -> str:
    """Return `PICTURE` or `VIDEO` according to the suffix; empty if it belongs to neither."""
    suffix = path.suffix.lower()
    return next((kind for kind, suffixes in SUFFIXES.items() if suffix in suffixes), "")


def _has_video_suffix(path: Path) -> bool:
    """Whether a file has a video suffix; .ts files are opened, since TypeScript uses it too."""
    return by_suffix(path) == VIDEO or (path.suffix.lower() == ".ts" and file_kind(path) == VIDEO)


def summary(passed_over: Sequence[SkippedFile], root: Path) -> Iterator[str]:
    """Describe the skipped files, one line per reason."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for file in passed_over:
        name = file.path.relative_to(root) if file.path.is_relative_to(root) else file.path
        by_reason[file.why].append(str(name).encode(errors="backslashreplace").decode())
    for why, names in by_reason.items():
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        yield f"skipped {len(names)} ({why}): {', '.join(names[:MAX_NAMES])}{more}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _hidden(name: str) -> str:
    return HIDDEN if name.startswith(".") or name in SYSTEM_FOLDERS else ""


def _skip_reason(path: Path, entry: os.DirEntry[str], wanted: Collection[str]) -> str:
    """Return why a file is skipped; empty if it is not."""
    if path.name.startswith("."):
        return HIDDEN
    if (special := special_file_kind(path)) if entry.is_symlink() or not entry.is_file() else "":
        return f"{special}, not a file"
    suffix_kind = by_suffix(path)
    if suffix_kind in wanted:
        return ""
    # Images are not opened: there may be a million frames next to the videos.
    kind = suffix_kind if suffix_kind == PICTURE else file_kind(path)
    return "" if kind in wanted else PLURAL.get(kind, kind)


def _by_brand(head: bytes) -> str:
    """Return the kind of a file in the MP4 family according to its brands."""
    size = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(size, HEAD), 4))]
    if brands[0] == b"avis":
        return VIDEO
    # The major brand decides, unless it is a generic one of still images.
    relevant = brands if brands[0] in (b"mif1", b"msf1", b"miaf") else brands[:1]
    return next((kind for kind, names in BRANDS if set(names) & set(relevant)), VIDEO)


def _is_animated(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path, formats=("GIF",)) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, SyntaxError, ValueError, EOFError):
        return False
