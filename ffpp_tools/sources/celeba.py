"""Which of CelebA's photographs a picture is, whose, and in which split, by the set's own lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ffpp_tools.errors import DataNotFoundError
from ffpp_tools.files import exists, read_text
from ffpp_tools.sources import official_lists

CELEBA, CELEBA_HQ = "CelebA", "CelebA-HQ"
DIGITS, PHOTOGRAPHS = 6, 202_599  # its pictures are called 000001 to 202599
# CelebAMask-HQ counts its pictures from 0; this file says which of CelebA's each was made from.
HQ_MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
HQ_FOLDER = "CelebA-HQ-img"  # of CelebAMask-HQ, which counts from 0
# Folders of the same photographs of CelebA, the best first; the last is uncropped.
FOLDERS = ("img_align_celeba", "img_align_celeba_png", "img_celeba")
HQ_DENSE = 1000  # so many numbers that leave out fewer than half are no choice among CelebA's
RENUMBERED = ("train_img", "val_img", "test_img")  # by CelebAMask-HQ's script, each from 0
# Names that are all CelebA-HQ's numbers in CelebA are taken for these where indices would be so
# with less than this probability. Of CelebA's numbers 15 % are CelebA-HQ's: 8 pictures suffice.
CHANCE = 1e-6
HQ_PHOTOGRAPHS = 30_000
WITHOUT_MAPPING = f"{HQ_MAPPING}, put beside them, would tell which photograph is which"
SUBFOLDERS = ("", "Anno", "Eval")
PARTITIONS = {"0": "train", "1": "val", "2": "test"}


@dataclass(frozen=True)
class Numbering:
    """What the names of a folder's pictures mean."""

    numbers: Mapping[str, str] = field(default_factory=dict)  # name → CelebA's, such as "000055"
    said: str = ""  # how that was settled, or why it could not be


def find_list(folder: Path, names: Collection[str]) -> Path | None:
    """One of CelebA's lists: beside the pictures, in Anno/ or Eval/, or up to two folders above."""
    above = folder.absolute().parents[:2]
    places = [place / sub for place in (folder, *above) for sub in SUBFOLDERS]
    return next((path for p in places for name in names if exists(path := p / name)), None)


def partition(path: Path) -> dict[str, str]:
    """Picture → "train", "val" or "test".

    Raises:
        TableError: the list is damaged.
    """
    return official_lists.read_values(path, PARTITIONS)


def by_number(values: Mapping[str, str]) -> dict[str, str]:
    """The same by CelebA's numbers, with their leading zeros."""
    return {official_lists.photo_number(name): value for name, value in values.items()}


def numbering(category: str, folder: Path, stems: Sequence[str]) -> Numbering:
    """What the names of pictures of CelebA, or of CelebA-HQ, say: which photograph of CelebA it is.

    CelebA-HQ is handed around under CelebA's numbers, and counted from 0 or from 1. Where names can
    mean more than one of these, they say nothing: a wrong identity is worse than none.

    Args:
        category: `CELEBA` or `CELEBA_HQ`.
        folder: that holds the pictures.
        stems: their names without suffix, those of all of them.

    Raises:
        DataNotFoundError: the mapping is damaged.
    """
    counted = {stem: int(stem) for stem in stems if stem.isascii() and stem.isdigit()}
    six = {stem: n for stem, n in counted.items() if len(stem) == DIGITS}
    if category == CELEBA:
        return _celebas(six, "CelebA counts 000001 to 202599")
    mapping = find_list(folder, (HQ_MAPPING,))
    if mapping is not None and counted:
        if len(counted) < sum(stem in counted for stem in stems):
            return Numbering(said="numbers that stand in several folders are no indices")
        return _by_mapping(folder, counted, six, _mapped(mapping), mapping)
    numbers = sorted(six.values())
    if len(numbers) >= HQ_DENSE and 2 * len(numbers) > numbers[-1] - numbers[0]:
        return Numbering(said=f"numbered in a row, not by CelebA's numbers; {WITHOUT_MAPPING}")
    return _celebas(six, f"CelebA counts from 000001; {WITHOUT_MAPPING}")


def _celebas(six: Mapping[str, int], why_not: str) -> Numbering:
    """Six digits are CelebA's number, if that is possible for all of them."""
    outside = [stem for stem, n in six.items() if not 1 <= n <= PHOTOGRAPHS]
    if outside:
        return Numbering(said=f"{min(outside)} is no photograph of CelebA: {why_not}")
    if not six:
        return Numbering(said=f"no name is a number of six digits: {why_not}")
    return Numbering({stem: stem for stem in six}, "the names are CelebA's numbers")


def _by_mapping(
    folder: Path,
    counted: Mapping[str, int],
    six: Mapping[str, int],
    mapping: Mapping[int, str],
    path: Path,
) -> Numbering:
    """Names are CelebA's numbers, or indices of the mapping, from 0 or from 1.

    indices of the mapping    0 1 2 … 29999
    counted from 0            0 1 2 … 29999
    counted from 1              1 2 … 29999 30000
    """
    low, high, last = min(counted.values()), max(counted.values()), max(mapping)
    named = {official_lists.photo_number(number) for number in mapping.values()}
    celebas = len(six) == len(counted) and all(stem in named for stem in six)
    part = len(mapping) < HQ_PHOTOGRAPHS  # of the mapping: pictures that it lacks are not known
    from_0 = high <= last or (low == 0 and part)
    from_1 = low > 0 and high <= last + 1
    share = sum(int(n) <= last + 1 for n in named if n.isdigit()) / (last + 1)
    if celebas and share ** len(six) < CHANCE:
        from_0 = from_1 = False
    if from_0 and from_1 and folder.name == HQ_FOLDER and all(map(_plain, counted)):
        from_1 = False  # as CelebAMask-HQ itself calls them
    readings = {"CelebA's numbers": celebas, "counted from 0": from_0, "counted from 1": from_1}
    possible = [reading for reading, is_possible in readings.items() if is_possible]
    if folder.name in RENUMBERED or not possible:
        return Numbering(said=f"{low} to {high} are not the numbers of {path}")
    if len(possible) > 1:
        return Numbering(
            said=f"their names may be {' or '.join(possible)}, so nobody knows which photograph is "
            f"which: name them by CelebA's numbers, or as CelebAMask-HQ does, {HQ_FOLDER}/0.jpg to "
            f"29999.jpg"
        )
    if celebas:
        return _celebas(six, "")
    start = 0 if from_0 else 1
    known = {stem: mapping.get(n - start, "") for stem, n in counted.items()}
    return Numbering({s: n for s, n in known.items() if n}, f"counted from {start}, by {path}")


def _plain(stem: str) -> bool:
    """Whether a number is written without leading zeros."""
    return stem == str(int(stem))


def _mapped(path: Path) -> dict[int, str]:
    """Index → CelebA's number."""
    try:
        _, *lines = read_text(path).splitlines()
        rows = [line.split() for line in lines if line.strip()]
        mapping = {int(index): Path(file).stem for index, _, file in rows}
        if not mapping:
            raise ValueError("no lines")
    except (OSError, ValueError) as error:
        raise DataNotFoundError(
            f"{path}: expected a headline and lines of 'idx orig_idx orig_file'; {error}"
        ) from error
    return mapping
