"""Folders of a set of photographs that hold the same photographs again, or none at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ffpp_tools.sources import celeba

MASKS, AGAIN = "segmentation masks", "the same photographs again"
SEVERAL_SIZES = "the same photographs in another size"
# Folders beside each other that hold the same photographs, the best first.
EDITIONS = (
    celeba.FOLDERS,
    (r"images\d+x\d+", "in-the-wild-images", r"thumbnails\d+x\d+"),  # FFHQ
)
# Of CelebAMask-HQ, as downloaded and as its own scripts go on from there; then of anybody.
HQ_MASKS = r"CelebAMask-HQ-mask.*"
OTHERS = (("masks?|segmentations?|seg_?maps?|parsing", MASKS), (r"thumb(nail)?s?(\d+x\d+)?", AGAIN))
# 00000_l_brow.png, a mask of CelebAMask-HQ that lies somewhere else.
HQ_MASK_FILE = re.compile(
    r"\d+_(skin|nose|eye_g|[lr]_eye|[lr]_brow|[lr]_ear|ear_r|mouth|[ul]_lip|hair|hat|neck|neck_l|"
    r"cloth)\.png"
)
SIZED = re.compile(r"(?P<stem>.*?)(?P<side>64|128|256|512|1024)(?P<again>x(?P=side))?")


def left_out(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Which of a folder's folders hold no photographs of their own: name → why.

    Args:
        folder: the folder.
        names: of the folders in it.
    """
    why = {n: MASKS for n in names if re.fullmatch(HQ_MASKS, n)}
    names = [n for n in names if _holds(folder / n)]  # nothing is left out for an empty folder
    if celeba.HQ_FOLDER in names:
        beside = [n for n in names if n != celeba.HQ_FOLDER]
        why = dict.fromkeys(beside, f"pictures outside {celeba.HQ_FOLDER}") | why
    for editions in EDITIONS:
        known = [n for pattern in editions for n in _matching(pattern, names)]
        why |= dict.fromkeys(known[1:], AGAIN)
    for pattern, reason in OTHERS:
        if len(names) > 1 or _holds(folder, Path.is_file):
            why |= {n: reason for n in _matching(pattern, names) if n not in why}
    return why | dict.fromkeys(_smaller(names), SEVERAL_SIZES)


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    """The names of one kind, that of the largest size first."""
    found = [n for n in names if re.fullmatch(pattern, n, re.IGNORECASE)]
    return sorted(found, key=lambda n: -max(map(int, re.findall(r"\d+", n)), default=0))


def _smaller(names: Sequence[str]) -> list[str]:
    """All but the largest of folders that are called alike but for a size, and by nothing else."""
    sized = [SIZED.fullmatch(n) for n in names]
    if len(names) < 2 or not all(sized):
        return []
    kinds = {(m["stem"], bool(m["again"])) for m in sized if m}
    if len(kinds) > 1 or kinds == {("", False)}:  # plain numbers may be people's
        return []
    return sorted(names, key=lambda n: int(re.findall(r"\d+", n)[-1]))[:-1]


def _holds(folder: Path, what: Callable[[Path], bool] = Path.exists) -> bool:
    try:
        return any(what(path) for path in folder.iterdir())
    except OSError:
        return False
