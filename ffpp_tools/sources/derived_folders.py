"""Folders of an image dataset that contain masks or duplicates of its photographs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ffpp_tools.sources import celeba

MASKS, AGAIN = "segmentation masks", "duplicates of the photographs"
SEVERAL_SIZES = "duplicates of the photographs in another size"
# Sibling folders with the same photographs, in order of preference.
EDITIONS = (
    celeba.FOLDERS,
    (r"images\d+x\d+", "in-the-wild-images", r"thumbnails\d+x\d+"),  # FFHQ
)
# Masks of CelebAMask-HQ, both as downloaded and as created by its scripts.
HQ_MASKS = r"CelebAMask-HQ-mask.*"
# Common names of folders with masks and thumbnails in other datasets.
OTHERS = (("masks?|segmentations?|seg_?maps?|parsing", MASKS), (r"thumb(nail)?s?(\d+x\d+)?", AGAIN))
# Masks of CelebAMask-HQ in any other folder, such as 00000_l_brow.png.
HQ_MASK_FILE = re.compile(
    r"\d+_(skin|nose|eye_g|[lr]_eye|[lr]_brow|[lr]_ear|ear_r|mouth|[ul]_lip|hair|hat|neck|neck_l|"
    r"cloth)\.png"
)
SIZED = re.compile(r"(?P<stem>.*?)(?P<side>64|128|256|512|1024)(?P<square>x(?P=side))?")


def left_out(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Map the subfolders that contain no photographs of their own to the reason.

    Args:
        folder: the folder.
        names: names of all its subfolders.
    """
    reasons = {n: MASKS for n in names if re.fullmatch(HQ_MASKS, n)}
    names = [n for n in names if _contains(folder / n)]  # an empty folder excludes no other
    if celeba.HQ_FOLDER in names:
        others = [n for n in names if n != celeba.HQ_FOLDER]
        reasons = dict.fromkeys(others, f"images outside {celeba.HQ_FOLDER}") | reasons
    for editions in EDITIONS:
        present = [n for pattern in editions for n in _matching(pattern, names)]
        reasons |= dict.fromkeys(present[1:], AGAIN)
    for pattern, reason in OTHERS:
        if len(names) > 1 or _contains(folder, Path.is_file):
            reasons |= {n: reason for n in _matching(pattern, names) if n not in reasons}
    return reasons | dict.fromkeys(_smaller(names), SEVERAL_SIZES)


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    """Return the names that match a pattern, largest image size first."""
    matching = [n for n in names if re.fullmatch(pattern, n, re.IGNORECASE)]
    return sorted(matching, key=lambda n: -max(map(int, re.findall(r"\d+", n)), default=0))


def _smaller(names: Sequence[str]) -> list[str]:
    """Return all folders but the one of the largest size, if all names differ only in the size."""
    matches = [SIZED.fullmatch(n) for n in names]
    if len(names) < 2 or not all(matches):
        return []
    kinds = {(m["stem"], bool(m["square"])) for m in matches if m}
    if len(kinds) > 1 or kinds == {("", False)}:  # plain numbers may be identities
        return []
    return sorted(names, key=lambda n: int(re.findall(r"\d+", n)[-1]))[:-1]


def _contains(folder: Path, condition: Callable[[Path], bool] = Path.exists) -> bool:
    try:
        return any(condition(path) for path in folder.iterdir())
    except OSError:
        return False
