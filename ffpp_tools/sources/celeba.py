"""CelebA image numbers, identities and official splits, from the lists of CelebA and CelebA-HQ."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ffpp_tools.errors import DataNotFoundError
from ffpp_tools.files import exists, read_text
from ffpp_tools.sources import official_lists

CELEBA, CELEBA_HQ = "CelebA", "CelebA-HQ"
DIGITS, PHOTOGRAPHS = 6, 202_599  # images are named 000001 to 202599
# CelebAMask-HQ numbers its images from 0; this file maps each number to CelebA's.
HQ_MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
HQ_FOLDER = "CelebA-HQ-img"  # of CelebAMask-HQ, numbered from 0
# Folders with the same photographs of CelebA, in order of preference; the last is uncropped.
FOLDERS = ("img_align_celeba", "img_align_celeba_png", "img_celeba")
# At least this many numbers that cover more than half of their range are not a subset of CelebA's.
HQ_DENSE = 1000
RENUMBERED = ("train_img", "val_img", "test_img")  # by CelebAMask-HQ's script, each from 0
# Names that are all in CelebA-HQ's subset of CelebA's numbers are assumed to be CelebA's numbers
# if the probability that indices would all be in it by chance is below this. CelebA-HQ contains
# 15 % of CelebA's numbers, so 8 images suffice.
CHANCE = 1e-6
HQ_PHOTOGRAPHS = 30_000
WITHOUT_MAPPING = f"to resolve the numbering, put {HQ_MAPPING} next to the images"
SUBFOLDERS = ("", "Anno", "Eval")
PARTITIONS = {"0": "train", "1": "val", "2": "test"}


@dataclass(frozen=True)
class Numbering:
    """The CelebA numbers of the images in a folder."""

    numbers: Mapping[str, str] = field(default_factory=dict)  # stem → number, such as "000055"
    explanation: str = ""  # how the numbering was determined, or why it could not be


def find_list(folder: Path, names: Collection[str]) -> Path | None:
    """Find one of CelebA's lists: next to the images, in Anno/ or Eval/, or up to two folders up.

    Returns:
        The first existing file with one of the names; None if there is none.
    """
    above = folder.absolute().parents[:2]
    places = [place / sub for place in (folder, *above) for sub in SUBFOLDERS]
    return next((path for p in places for name in names if exists(path := p / name)), None)


def partition(path: Path) -> dict[str, str]:
    """Read CelebA's official split: image stem → "train", "val" or "test".

    Raises:
        TableError: the list is damaged.
    """
    return official_lists.read_values(path, PARTITIONS)


def by_number(values: Mapping[str, str]) -> dict[str, str]:
    """Return the same values keyed by CelebA's six-digit numbers."""
    return {official_lists.photo_number(name): value for name, value in values.items()}


def numbering(category: str, folder: Path, stems: Sequence[str]) -> Numbering:
    """Determine the CelebA number of each image of CelebA or CelebA-HQ from the file names.

    CelebA-HQ is distributed with CelebA's numbering, or numbered from 0 or from 1. If the names fit
    more than one of these, no image gets a number, since no identity is better than a wrong one.

    Args:
        category: `CELEBA` or `CELEBA_HQ`.
        folder: folder of the images.
        stems: file names of all its images, without suffix.

    Raises:
        DataNotFoundError: the mapping is damaged.
    """
    numeric = {stem: int(stem) for stem in stems if stem.isascii() and stem.isdigit()}
    six_digit = {stem: n for stem, n in numeric.items() if len(stem) == DIGITS}
    if category == CELEBA:
        return _celeba_numbers(six_digit, "CelebA numbers its images from 000001 to 202599")
    mapping = find_list(folder, (HQ_MAPPING,))
    if mapping is not None and numeric:
        if len(numeric) < sum(stem in numeric for stem in stems):
            return Numbering(
                explanation="the same numbers occur in several folders, so they are not indices"
            )
        return _by_mapping(folder, numeric, six_digit, _read_mapping(mapping), mapping)
    numbers = sorted(six_digit.values())
    if len(numbers) >= HQ_DENSE and 2 * len(numbers) > numbers[-1] - numbers[0]:
        return Numbering(
            explanation=f"numbered consecutively, not with CelebA's numbers; {WITHOUT_MAPPING}"
        )
    return _celeba_numbers(six_digit, f"CelebA numbers its images from 000001; {WITHOUT_MAPPING}")


def _celeba_numbers(six_digit: Mapping[str, int], note: str) -> Numbering:
    """Use six-digit names as CelebA's numbers if all of them are in its range.

    Args:
        six_digit: stem → number, of names with six digits.
        note: what to add to the explanation if they are not.
    """
    outside = [stem for stem, n in six_digit.items() if not 1 <= n <= PHOTOGRAPHS]
    if outside:
        return Numbering(explanation=f"{min(outside)} is not a CelebA image number: {note}")
    if not six_digit:
        return Numbering(explanation=f"no file name is a six-digit number: {note}")
    return Numbering({stem: stem for stem in six_digit}, "file names are CelebA's numbers")


def _by_mapping(
    folder: Path,
    numeric: Mapping[str, int],
    six_digit: Mapping[str, int],
    mapping: Mapping[int, str],
    path: Path,
) -> Numbering:
    """Decide whether names are CelebA's numbers, or indices of the mapping from 0 or from 1.

    indices of the mapping    0 1 2 … 29999
    numbered from 0           0 1 2 … 29999
    numbered from 1             1 2 … 29999 30000
    """
    low, high, last = min(numeric.values()), max(numeric.values()), max(mapping)
    hq_numbers = {official_lists.photo_number(number) for number in mapping.values()}
    as_celeba = len(six_digit) == len(numeric) and all(stem in hq_numbers for stem in six_digit)
    is_partial = len(mapping) < HQ_PHOTOGRAPHS  # images that it does not list stay unnumbered
    from_0 = high <= last or (low == 0 and is_partial)
    from_1 = low > 0 and high <= last + 1
    share = sum(int(n) <= last + 1 for n in hq_numbers if n.isdigit()) / (last + 1)
    if as_celeba and share ** len(six_digit) < CHANCE:
        from_0 = from_1 = False
    if from_0 and from_1 and folder.name == HQ_FOLDER and all(map(_is_unpadded, numeric)):
        from_1 = False  # the names of CelebAMask-HQ itself
    candidates = {
        "CelebA's numbers": as_celeba,
        "numbered from 0": from_0,
        "numbered from 1": from_1,
    }
    possible = [scheme for scheme, is_possible in candidates.items() if is_possible]
    if folder.name in RENUMBERED or not possible:
        return Numbering(explanation=f"numbers {low} to {high} do not match {path}")
    if len(possible) > 1:
        return Numbering(
            explanation=f"file names may be {' or '.join(possible)}, so the numbering is "
            f"ambiguous: rename the images to CelebA's numbers, or to CelebAMask-HQ's names "
            f"{HQ_FOLDER}/0.jpg to 29999.jpg"
        )
    if as_celeba:
        return _celeba_numbers(six_digit, "")
    start = 0 if from_0 else 1
    known = {stem: mapping.get(n - start, "") for stem, n in numeric.items()}
    return Numbering(
        {stem: number for stem, number in known.items() if number},
        f"numbered from {start}, mapped by {path}",
    )


def _is_unpadded(stem: str) -> bool:
    """Whether a number has no leading zeros."""
    return stem == str(int(stem))


def _read_mapping(path: Path) -> dict[int, str]:
    """Read the mapping: index in CelebA-HQ → CelebA's number."""
    try:
        _, *lines = read_text(path).splitlines()
        rows = [line.split() for line in lines if line.strip()]
        mapping = {int(index): Path(file).stem for index, _, file in rows}
        if not mapping:
            raise ValueError("no lines")
    except (OSError, ValueError) as error:
        raise DataNotFoundError(
            f"{path}: expected a header line and lines of 'idx orig_idx orig_file'; {error}"
        ) from error
    return mapping
