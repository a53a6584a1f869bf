"""Lists that come with the data: FF++'s official splits and YouTube videos, CelebA's people.

They are kept with the dataset, in `lists/`, so that a manifest follows from the dataset alone.
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
CLIP_DIGITS, PHOTO_DIGITS = 3, 6  # of the names of FF++'s clips and CelebA's photographs
OF_FFPP = (CONVERSION, *SPLIT_FILES)
# Where a copy of FF++ has them; `dataset` is the folder of its repository.
PLACES = ("", "splits", "dataset", "dataset/splits")
WHERE_FROM = (
    "it is in the folder dataset/ of https://github.com/ondyari/FaceForensics; put it into the "
    "data folder before ffpp-extract, or into the dataset's lists/"
)


def copy_lists(root: Path, dataset: Path, names: Iterable[str]) -> None:
    """Copy those of the named lists that lie under `root` to the dataset folder.

    Raises:
        TableError: one of them is damaged, or differs from the one that is there.
    """
    for name in names:
        if path := find_list(root, name):
            copy_list(path, dataset, name)


def copy_list(path: Path, dataset: Path, name: str) -> None:
    """Copy a list to the dataset folder.

    Raises:
        TableError: it is damaged, or differs from the one that is there.
    """
    READERS[name](path)
    kept = dataset / FOLDER / name
    if exists(kept) and regular_file(kept).read_bytes() != path.read_bytes():
        raise TableError(f"{kept} is not what {path} is; delete the one that is wrong")
    if not exists(kept):
        write_atomically(kept, path.read_bytes())


def find_list(root: Path, name: str) -> Path | None:
    """Where a copy of FF++ has one of its lists; None where it does not."""
    return next((path for place in PLACES if exists(path := root / place / name)), None)


def celeba_identities(dataset: Path) -> dict[str, str] | None:
    """Number of a CelebA photograph, such as "000055" → who is on it; None if not known."""
    path = dataset / FOLDER / IDENTITIES
    if not exists(path):
        return None
    return {photo_number(name): person for name, person in read_values(path).items()}


def read_values(path: Path, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Image name without suffix → value, from one of CelebA's lists, its own or Kaggle's .csv.

    Args:
        path: lines of `000001.jpg 2880` or `000001.jpg,0`, with or without a headline.
        known: the values that there are, and what they mean; all are taken as they are without.

    Raises:
        TableError: the file is damaged.
    """
    values: dict[str, str] = {}
    try:
        lines = read_text(path).splitlines()
        rows = [line.replace(",", " ").split() for line in lines if line.strip()]
        for name, value in rows[1:] if rows and _is_headline(*rows[0]) else rows:
            if known is not None and value not in known:
                raise ValueError(f"{name} has {value!r}, which is none of {', '.join(known)}")
            meant = value if known is None else known[value]
            if values.setdefault(Path(name).stem, meant) != meant:
                raise ValueError(f"{name} stands there twice, with different values")
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: expected lines of 'image value'; {error}") from error
    return values


def _is_headline(first: str, *values: str) -> bool:
    """Whether the words of a line name columns, such as "image_id,partition"."""
    return not Path(first).suffix and not any(value.isdigit() for value in values)


def youtube_videos(dataset: Path) -> dict[str, str] | None:
    """Clip of Youtube, such as "000" → the YouTube video it was cut from; None if not known."""
    path = dataset / FOLDER / CONVERSION
    return _conversion(path) if exists(path) else None


def official_splits(dataset: Path) -> dict[str, str] | None:
    """Clip of Youtube → "train", "val" or "test" of FF++'s official splits; None if not known."""
    paths = {split: dataset / FOLDER / f"{split}.json" for split in SPLITS}
    if not all(exists(path) for path in paths.values()):
        return None
    side: dict[str, str] = {}
    for split, path in paths.items():
        for clip in (clip for pair in _pairs(path) for clip in pair):
            if side.setdefault(clip, split) != split:
                raise TableError(f"{path}: clip {clip} is in {side[clip]} as well")
    return side


def official_clip_names(root: Path) -> set[str]:
    """The names of a method's clips, such as "071_054", by the official splits that are there.

    Raises:
        TableError: one of them is damaged.
    """
    paths = [path for name in SPLIT_FILES if (path := find_list(root, name))]
    pairs = [pair for path in paths for pair in _pairs(path)]
    return {f"{a}_{b}" for pair in pairs for a, b in (pair, pair[::-1])}


def hashes(dataset: Path) -> dict[str, str]:
    """SHA-256 of the lists that are there, by their path below the dataset folder."""
    paths = (dataset / FOLDER / name for name in READERS)
    return {f"{FOLDER}/{path.name}": sha256(path) for path in paths if exists(path)}


def _pairs(path: Path) -> list[tuple[str, str]]:
    """The pairs of a split's file: [["071", "054"], …]."""
    data = _json(path)
    try:
        pairs = [(a, b) for a, b in data]
        if not all(isinstance(clip, str) for pair in pairs for clip in pair):
            raise TypeError("names of clips must be strings")
    except (TypeError, ValueError) as error:
        raise TableError(f'{path}: expected pairs like ["071", "054"]; {error}') from error
    return [(_number(a, CLIP_DIGITS), _number(b, CLIP_DIGITS)) for a, b in pairs]


def photo_number(name: str) -> str:
    """The number of a photograph of CelebA, with its leading zeros."""
    return _number(name, PHOTO_DIGITS)


def _number(name: str, digits: int) -> str:
    """A clip's or photograph's number as files are called: with its leading zeros."""
    return name.zfill(digits) if name.isascii() and name.isdigit() else name


def _conversion(path: Path) -> dict[str, str]:
    """Clip → YouTube video, of a file {"000": "<video> <number of the clip in it>", …}."""
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
