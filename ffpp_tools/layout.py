"""What lies where: FF++ trees of videos, CelebA, CelebA-HQ and plain folders of images."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_manifests import labels
from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.files import there

# Where each category's clips lie below the root, without the names of the two roots.
ORIGINALS = {"Youtube": "youtube", "Actors": "actors"}
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

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

HOW_TO_GET_FFPP = (
    "FaceForensics++ is given to researchers on request: fill in the form linked at "
    "https://github.com/ondyari/FaceForensics and run the download script you are sent. "
    "`ffpp-demo` draws a small world of the same shape and needs none of it."
)


@dataclass(frozen=True)
class Clip:
    """One video of the dataset. (category, compression, name) identifies it."""

    category: str  # "Deepfakes", "Youtube", …
    compression: str  # "raw", "c23" or "c40"
    name: str  # "000_003": target 000, source 003
    path: Path

    @property
    def mask(self) -> Path:
        """Where its mask video lies, if there is one: FF++ has them for its fakes."""
        return self.path.parents[2] / "masks" / "videos" / self.path.name

    @property
    def label(self) -> str:
        """Whether it is "real" or "fake"."""
        return labels()[self.category]

    @property
    def target_id(self) -> str:
        """Whose frames and body are seen: "000", or an actor's number."""
        return self.name.split("__")[0].split("_")[0]

    @property
    def source_id(self) -> str:
        """Whose face or expression was put in; empty for originals."""
        parts = self.name.split("__")[0].split("_")
        return parts[1] if len(parts) > 1 else ""

    @property
    def original(self) -> tuple[str, str]:
        """Category and name of the clip whose frames it shows; its own for originals."""
        if self.category in ORIGINALS:
            return self.category, self.name
        if self.category == "DeepFakeDetection":  # 01_02__scene__HASH is made from 01__scene
            return "Actors", "__".join([self.target_id, *self.name.split("__")[1:2]])
        return "Youtube", self.target_id


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


@dataclass(frozen=True)
class Still:
    """One photograph. (category, name) identifies it."""

    category: str  # "CelebA", "CelebA-HQ", …
    label: str
    name: str  # path below the folder, without suffix
    path: Path
    identity: str  # whose photograph, where an identity file says so; else empty


def find_clips(
    root: Path,
    categories: Iterable[str] = (),
    compressions: Iterable[str] = (),
    limit: int | None = None,
) -> list[Clip]:
    """The clips of an FF++ tree, sorted by category, compression and name.

    Args:
        root: the folder that holds `original_sequences` and `manipulated_sequences`.
        categories: only these; all that are there when empty.
        compressions: only these; all that are there when empty.
        limit: at most so many clips of each category and compression.

    Raises:
        DataNotFoundError: no such tree, or nothing in it was asked for.
        SettingsError: an unknown category or compression.
    """
    known = (*ORIGINALS, *METHODS)
    wanted = tuple(categories) or known
    wanted_compressions = tuple(compressions) or tuple(COMPRESSIONS)
    _check_known("category", wanted, known)
    _check_known("compression", wanted_compressions, tuple(COMPRESSIONS))
    clips = []
    for category in sorted(wanted):
        for compression in sorted(wanted_compressions):
            videos = _video_files(root, category, compression)
            clips += [Clip(category, compression, v.stem, v) for v in videos[:limit]]
    for what, asked, found in (
        ("category", tuple(categories), {c.category for c in clips}),
        ("compression", tuple(compressions), {c.compression for c in clips}),
    ):
        if clips and (absent := [a for a in asked if a not in found]):
            raise DataNotFoundError(
                f"no clips of {what} {', '.join(absent)} under {root}; there are some of "
                f"{', '.join(sorted(found))}. Leave out what you do not have."
            )
    if not clips:
        raise DataNotFoundError(
            f"no FaceForensics++ videos under {root}: looked for "
            f"{'|'.join(ORIGINAL_ROOTS)}/{{{','.join(ORIGINALS.values())}}} and "
            f"{'|'.join(MANIPULATED_ROOTS)}/{{{','.join(METHODS)}}}, each with "
            f"<compression>/videos/*.mp4 (category: {', '.join(wanted)}; "
            f"compression: {', '.join(wanted_compressions)}). {HOW_TO_GET_FFPP}"
        )
    return clips


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
    found = []
    for (category, name), asked in members.items():
        originals = [
            Clip(category, compression, name, path)
            for compression in DETECT_ON
            if (path := _video_file(root, category, compression, name)) is not None
        ]
        found.append(Family(tuple(asked), tuple(originals), tuple(masks[category, name])))
    return sorted(found, key=lambda family: -family.size)


def find_stills(
    root: Path, category: str, label: str | None = None, limit: int | None = None
) -> list[Still]:
    """The photographs of CelebA's tree, of CelebA-HQ, or of any folder, sorted by name.

    CelebA's identity file is read from `Anno/identity_CelebA.txt`; CelebA-HQ has none of
    its own, but takes it when it lies there too (its images bear their CelebA numbers).

    Args:
        root: CelebA (with `Img/img_align_celeba`), CelebA-HQ, or any folder of images.
        category: the category they are recorded under.
        label: "real" or "fake"; needed only for categories the project does not know.
        limit: at most so many.

    Raises:
        DataNotFoundError: no image there.
        SettingsError: an unknown category without a label, or one of FF++'s.
    """
    if category != Path(category).name:
        raise SettingsError(f"category {category!r} names a folder; it must be a plain name")
    if category in (*ORIGINALS, *METHODS):
        raise SettingsError(f"category {category!r} belongs to FF++'s clips; use ffpp-extract")
    if label and labels().get(category, label) != label:
        raise SettingsError(f"category {category!r} is {labels()[category]}, not {label}")
    label = label or labels().get(category)
    if label not in ("real", "fake"):
        raise SettingsError(
            f"category {category!r} is new: say what it is with --label real or --label fake"
        )
    aligned = root / "Img" / "img_align_celeba"
    folder = aligned if aligned.is_dir() else root
    paths = sorted(p for p in folder.rglob("*") if _is_image(p))
    if not paths:
        raise DataNotFoundError(
            f"no images under {folder}: looked for *{', *'.join(IMAGE_SUFFIXES)} "
            f"(and for CelebA's Img/img_align_celeba). `ffpp-demo` draws stills of the same shape."
        )
    names = [p.relative_to(folder).with_suffix("").as_posix() for p in paths]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SettingsError(f"{folder}: several images are called {twice!r}; rename all but one")
    identities = _identities(root / "Anno" / "identity_CelebA.txt")
    return [
        Still(category, label, name, path, identities.get(path.stem, ""))
        for name, path in list(zip(names, paths, strict=True))[:limit]
    ]


def default_ffpp_root() -> Path:
    """Where FF++ is when nobody says: $FFPP_DATA, else ./data/FaceForensics++."""
    return Path(os.environ.get("FFPP_DATA") or "data/FaceForensics++")


def _video_folders(root: Path, category: str, compression: str) -> list[Path]:
    """Where the videos of a category may lie."""
    roots = ORIGINAL_ROOTS if category in ORIGINALS else MANIPULATED_ROOTS
    folder = ORIGINALS.get(category, category)
    return [
        root / top / folder / spelling / "videos"
        for top in roots
        for spelling in COMPRESSIONS[compression]
    ]


def _video_files(root: Path, category: str, compression: str) -> list[Path]:
    for folder in _video_folders(root, category, compression):
        if videos := sorted(folder.glob("[!.]*.mp4")):
            return videos
    return []


def _video_file(root: Path, category: str, compression: str, name: str) -> Path | None:
    paths = (f / f"{name}.mp4" for f in _video_folders(root, category, compression))
    return next((path for path in paths if there(path)), None)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _identities(path: Path) -> dict[str, str]:
    """Image name without suffix → person, from CelebA's file; empty when there is none."""
    if not path.is_file():
        return {}
    lines = path.read_text("utf-8").splitlines()
    try:
        pairs = dict(line.split() for line in lines if line.strip())
    except ValueError as error:
        raise DataNotFoundError(f"{path}: expected lines of 'image identity'; {error}") from error
    return {Path(name).stem: identity for name, identity in pairs.items()}


def _check_known(what: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [w for w in wanted if w not in known]:
        raise SettingsError(f"unknown {what} {', '.join(unknown)}; choose from {', '.join(known)}")
