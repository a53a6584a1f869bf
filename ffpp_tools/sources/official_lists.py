"""Lists that come with the data: FF++'s official splits and YouTube videos, CelebA's identities.

They are copied to `lists/` in the dataset folder, so that manifests depend on that folder alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ffpp_tools.errors import TableError
from ffpp_tools.files import exists, read_json, read_text, regular_file, sha256, write_atomically
from ffpp_tools.store.schema import SPLITS

FOLDER = "lists"
SPLIT_FILES = tuple(f"{split}.json" for split in SPLITS)
CONVERSION = "conversion_dict.json"
IDENTITIES = "identity_CelebA.txt"
CLIP_DIGITS, PHOTO_DIGITS = 3, 6  # in names of FF++'s clips and CelebA's photographs
OF_FFPP = (CONVERSION, *SPLIT_FILES)
# Folders of a copy of FF++ that may contain them; `dataset` is a folder of its repository.
PLACES = ("", "splits", "dataset", "dataset/splits")
WHERE_FROM = (
    "copy it from the folder dataset/ of https://github.com/ondyari/FaceForensics to the data "
    "folder before running ffpp-extract, or to lists/ of the dataset folder"
)


def copy_lists(root: Path, dataset: Path, names: Iterable[str]) -> None:
    """Copy the named lists that exist under `root` to the dataset folder.

    Raises:
        TableError: a list is damaged, or differs from the one in the dataset folder.
    """
    for name in names:
        if path := find_list(root, name):
            copy_list(path, dataset, name)


def copy_list(path: Path, dataset: Path, name: str) -> None:
    """Copy a list to the dataset folder.

    Raises:
        TableError: the list is damaged, or differs from the one in the dataset folder.
    """
    READERS[name](path)
    copy = dataset / FOLDER / name
    if exists(copy) and regular_file(copy).read_bytes() != path.read_bytes():
        raise TableError(f"{copy} differs from {path}; delete the incorrect one")
    if not exists(copy):
        write_atomically(copy, path.read_bytes())


def find_list(root: Path, name: str) -> Path | None:
    """Return the path of a list in a copy of FF++; None if it is missing."""
    return next((path for place in PLACES if exists(path := root / place / name)), None)


def celeba_identities(dataset: Path) -> dict[str, str] | None:
    """Map CelebA image numbers, such as "000055", to identities; None if the list is missing."""
    path = dataset / FOLDER / IDENTITIES
    if not exists(path):
        return None
    return {photo_number(name): person for name, person in read_values(path).items()}


def read_values(path: Path, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Read one of CelebA's lists, as published or as Kaggle's .csv: image stem → value.

    Args:
        path: file with lines of `000001.jpg 2880` or `000001.jpg,0`, with or without a header.
        known: allowed values and their meanings; if None, all values are returned unchanged.

    Raises:
        TableError: the file is damaged.
    """
    values: dict[str, str] = {}
    try:
        lines = read_text(path).splitlines()
        rows = [line.replace(",", " ").split() for line in lines if line.strip()]
        for name, value in rows[1:] if rows and _is_headline(*rows[0]) else rows:
            if known is not None and value not in known:
                raise ValueError(f"{name} has {value!r}, not one of {', '.join(known)}")
            meaning = value if known is None else known[value]
            if values.setdefault(Path(name).stem, meaning) != meaning:
                raise ValueError(f"{name} appears twice with different values")
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: expected lines of 'image value'; {error}") from error
    return values


def _is_headline(first: str, *values: str) -> bool:
    """Whether a line names columns, such as "image_id,partition"."""
    return not Path(first).suffix and not any(value.isdigit() for value in values)


def youtube_videos(dataset: Path) -> dict[str, str] | None:
    """Map Youtube clips, such as "000", to IDs of YouTube videos; None if the list is missing."""
    path = dataset / FOLDER / CONVERSION
    return _conversion(path) if exists(path) else None


def official_splits(dataset: Path) -> dict[str, str] | None:
    """Map Youtube clips to FF++'s official splits; None unless all three lists exist.

    Raises:
        TableError: a list is damaged, or a clip is in two splits.
    """
    paths = {split: dataset / FOLDER / f"{split}.json" for split in SPLITS}
    if not all(exists(path) for path in paths.values()):
        return None
    split_of_clip: dict[str, str] = {}
    for split, path in paths.items():
        for clip in (clip for pair in _pairs(path) for clip in pair):
            if split_of_clip.setdefault(clip, split) != split:
                raise TableError(f"{path}: clip {clip} is also in {split_of_clip[clip]}")
    return split_of_clip


def official_clip_names(root: Path) -> set[str]:
    """Return the names of a method's clips, such as "071_054", from the official splits found.

    Raises:
        TableError: a list is damaged.
    """
    paths = [path for name in SPLIT_FILES if (path := find_list(root, name))]
    pairs = [pair for path in paths for pair in _pairs(path)]
    return {f"{a}_{b}" for pair in pairs for a, b in (pair, pair[::-1])}


def hashes(dataset: Path) -> dict[str, str]:
    """Return the SHA-256 of each existing list, keyed by its path in the dataset folder."""
    paths = (dataset / FOLDER / name for name in READERS)
    return {f"{FOLDER}/{path.name}": sha256(path) for path in paths if exists(path)}


def _pairs(path: Path) -> list[tuple[str, str]]:
    """Read the pairs in the file of a split: [["071", "054"], …]."""
    data = _json(path)
    try:
        pairs = [(a, b) for a, b in data]
        if not all(isinstance(clip, str) for pair in pairs for clip in pair):
            raise TypeError("clip names must be strings")
    except (TypeError, ValueError) as error:
        raise TableError(f'{path}: expected pairs like ["071", "054"]; {error}') from error
    return [(_number(a, CLIP_DIGITS), _number(b, CLIP_DIGITS)) for a, b in pairs]


def photo_number(name: str) -> str:
    """Pad the number of a CelebA photograph to six digits."""
    return _number(name, PHOTO_DIGITS)


def _number(name: str, digits: int) -> str:
    """Pad a number with leading zeros as in file names; other names are unchanged."""
    return name.zfill(digits) if name.isascii() and name.isdigit() else name


def _conversion(path: Path) -> dict[str, str]:
    """Map clips to YouTube videos, from {"000": "<video> <number of the clip in it>", …}."""
    data = _json(path)
    try:
        videos = {_number(clip, CLIP_DIGITS): v.rsplit(" ", 1)[0] for clip, v in data.items()}
    except AttributeError as error:
        raise TableError(
            f'{path}: expected an object like {{"000": "<video> 0"}}; {error}'
        ) from error
    return {clip: video for clip, video in videos.items() if video.strip()}


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: not a readable JSON file ({error})") from error


READERS: dict[str, Callable[[Path], object]] = {
    CONVERSION: _conversion,
    IDENTITIES: read_values,
    **dict.fromkeys(SPLIT_FILES, _pairs),
}
