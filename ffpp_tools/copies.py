"""Clips that show the same frames under different names, whatever their names and labels say.

Clips of one family, an original and the fakes made from it, show the same frames by their nature
and are one identity group by name. Everything here is about clips of different families.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ffpp_tools.clip import Clip
from ffpp_tools.frame_hash import hash_bits
from ffpp_tools.groups import SAME_CONTENT, knots
from ffpp_tools.near import near_pairs
from ffpp_tools.rows import STILL
from ffpp_tools.tables import DuplicateRow

# Two clips show the same frames when half of those that both have at the same index or time, and
# two at least, differ in so many of 255 bits at most. `frame_hash` has what this was measured on.
MAX_BITS = 24
MIN_FRAMES = 2
MIN_SHARE = 0.5
BITS = 255
TIME_STEP_S = 0.1  # frames of clips with other frame rates are compared if they are so close


def family(category: str, clip: str, target_id: str) -> str:
    """The original whose frames a clip shows, by its name: "Youtube/183" of "Deepfakes/183_253"."""
    made_from = target_id if category.startswith("DFDC") else ""
    return "/".join(Clip(category, "", clip, Path(), made_from).original)


def near_clips(frames: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Clips of different families whose frames are nearly equal, however they were compressed.

    A clip is named once with each family, with the nearest of its clips.

    Args:
        frames: columns as in `FrameRow`; what has no `frame_hash` is not compared.
    """
    rows = frames[(frames["compression"] != STILL) & (frames["frame_hash"] != "")]
    if rows.empty:
        return
    units = rows.groupby(["category", "compression", "clip"], sort=True)
    rows = rows.assign(
        unit=units.ngroup(), time=(rows["time_s"] / TIME_STEP_S).round(), at=range(len(rows))
    )
    clips = rows.drop_duplicates("unit").sort_values("unit", ignore_index=True)
    shows = pd.factorize(
        pd.Series([family(c.category, c.clip, c.target_id) for c in clips.itertuples()])
    )[0]
    bits = hash_bits(rows["frame_hash"].to_list())
    found: dict[tuple[int, int], float] = {}  # two units → the mean distance of their near frames
    for key in ("frame", "time"):
        keys = rows[rows[key].notna()].groupby("unit")[key].agg(set)
        near: dict[tuple[int, int], list[int]] = {}
        for _, group in rows.groupby(key):
            unit = group["unit"].to_numpy()
            for i, j, distance in near_pairs(bits[group["at"]], MAX_BITS):
                first, second = int(unit[i]), int(unit[j])
                if shows[first] != shows[second]:
                    near.setdefault((min(first, second), max(first, second)), []).append(distance)
        for (first, second), distances in near.items():
            both = len(keys[first] & keys[second])
            if len(distances) >= max(MIN_FRAMES, MIN_SHARE * both):
                mean = sum(distances) / len(distances)
                found[first, second] = min(mean, found.get((first, second), mean))
    items = knots(clips).to_list()
    paths = (clips["category"] + "/" + clips["compression"] + "/" + clips["clip"]).to_list()
    nearest: dict[tuple[str, int], tuple[float, str, str]] = {}
    for pair, apart in found.items():
        partner, item = sorted(pair, key=lambda unit: items[unit])
        link = (apart, items[partner], paths[item])
        place = (items[item], int(shows[partner]))
        nearest[place] = min(link, nearest.get(place, link))
    for (name, _), (apart, other, path) in sorted(nearest.items()):
        if name != other:
            yield DuplicateRow(name, "near", other, round(apart / BITS, 4), path)


def contradictions(duplicates: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Pairs of clips that show the same frames though their names or labels say otherwise.

    One of the two is misnamed or mislabelled. A fake whose original nobody knows contradicts
    nothing, and neither do two originals.

    Args:
        duplicates: columns as in `DuplicateRow`.
        frames: columns as in `FrameRow`.

    Returns:
        The rows of `duplicates`.
    """
    clips = frames[frames["compression"] != STILL].drop_duplicates(["category", "clip"])
    about = clips.set_index(knots(clips))[["category", "clip", "target_id", "label"]]
    both = duplicates["item"].isin(about.index) & duplicates["partner"].isin(about.index)
    pairs = duplicates[both & duplicates["kind"].isin(SAME_CONTENT)]
    wrong = []
    for row in pairs.itertuples():
        one, other = (about.loc[name] for name in (row.item, row.partner))
        fakes = [c for c in (one, other) if c["label"] == "fake"]
        unknown = any(
            c["category"].startswith("DFDC") and c["target_id"] == c["clip"] for c in fakes
        )
        wrong.append(bool(fakes) and not unknown)
    return pairs[wrong]
