"""What must not be separated: samples that show the same person, directly or by way of a fake.

Knots are people and photographs; a fake ties its target to its source:

    183 ──(183_253)── 253          one group: both originals and every fake of the pair
    CelebA 000055 ── identity 2929 ── CelebA 000731
         └── CelebA-HQ 000055      the same photograph, larger
"""

from __future__ import annotations

import pandas as pd

from ffpp_tools.rows import STILL

ACTOR_CATEGORIES = ("Actors", "DeepFakeDetection")  # their ids count actors, not videos


def groups(frames: pd.DataFrame) -> pd.Series:
    """The group of every row of a ledger.

    Args:
        frames: columns of `tables.FrameRow`.

    Returns:
        Group names (str) with the index of `frames`; a group is named after the first of
        its knots, so that names do not depend on the order of the rows.
    """
    from scipy.cluster.hierarchy import DisjointSet

    ties = [_knots(row) for row in frames[list(_COLUMNS)].itertuples(index=False, name=None)]
    sets = DisjointSet(knot for knots in ties for knot in knots)
    for first, *others in ties:
        for other in others:
            sets.merge(first, other)
    names = {knot: min(members) for members in sets.subsets() for knot in members}
    return pd.Series([names[first] for first, *_ in ties], index=frames.index, dtype="str")


_COLUMNS = ("category", "compression", "clip", "target_id", "source_id")


def _knots(row: tuple[str, ...]) -> list[str]:
    category, compression, clip, target, source = row
    if compression == STILL:
        # CelebA-HQ's images bear the numbers of the CelebA photographs they were made from.
        # Wherever in its folder the image lies, its number is the photograph's.
        series = "CelebA" if category == "CelebA-HQ" else category
        name = clip.rsplit("/", 1)[-1] if series == "CelebA" else clip
        return [f"{series}/{name}", *([f"{series}/identity/{target}"] if target else [])]
    series = "actor" if category in ACTOR_CATEGORIES else "youtube"
    return [f"{series}/{person}" for person in (target, source) if person]
