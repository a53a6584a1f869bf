"""Clips that show the same frames under different names, whatever their names and labels say.

Clips of one family, an original and the fakes made from it, show the same frames by their nature
and are one identity group by name. Everything here is about clips of different families.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.grouping.groups import SAME_CONTENT, nodes
from ffpp_tools.grouping.hamming_pairs import Pairs, near_blocks, sparsify_pairs
from ffpp_tools.sources.clip import Clip
from ffpp_tools.store.schema import STILL
from ffpp_tools.store.tables import DuplicateRow
from ffpp_tools.video.frame_hash import hash_bits

Bits = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.intp]

# A clip shows another's frames when half of SAMPLED frames of it, and two at least, differ from
# some frame of the other in so many of 255 bits at most. The frames need not be of the same moment:
# a copy may begin later, end earlier, or be sampled at other times. `frame_hash` has what the limit
# was measured on.
MAX_BITS = 24
MIN_FRAMES = 2
MIN_SHARE = 0.5
BITS = 255
# A clip is tied to so many nearest ones, and to what else ties it to others: thousands that are all
# alike have millions of pairs.
MOST_COMPARED = 400
SAMPLED = 8  # frames of each clip that are looked for in all others, evenly spread


def original_node(category: str, clip: str, target_id: str) -> str:
    """The original whose frames a clip shows, by its name: "Youtube/183" of "Deepfakes/183_253"."""
    made_from = target_id if category.startswith("DFDC") else ""
    return "/".join(Clip(category, "", clip, Path(), made_from).original_key)


def near_clips(frames: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Clips of different families whose frames are nearly equal, however they were compressed.

    A clip is named with each family at most twice: with its original and the nearest of its fakes.

    Args:
        frames: columns as in `FrameRow`; what has no `frame_hash` is not compared.
    """
    rows = frames[(frames["compression"] != STILL) & (frames["frame_hash"] != "")]
    if rows.empty:
        return
    units = rows.groupby(["category", "compression", "clip"], sort=True)
    rows = rows.assign(unit=units.ngroup()).sort_values(["unit", "frame"], ignore_index=True)
    clips = rows.drop_duplicates("unit", ignore_index=True)
    shows = pd.factorize(
        pd.Series([original_node(c.category, c.clip, c.target_id) for c in clips.itertuples()])
    )[0]
    pairs = _found_elsewhere(
        hash_bits(rows["frame_hash"].to_list()), rows["unit"].to_numpy(), shows
    )
    found, _ = sparsify_pairs(pairs, len(clips), MOST_COMPARED)
    items = nodes(clips).to_list()
    paths = (clips["category"] + "/" + clips["compression"] + "/" + clips["clip"]).to_list()
    nearest: dict[tuple[str, int, str], tuple[float, str, str]] = {}
    for one, two, apart in zip(*map(np.ndarray.tolist, found), strict=True):
        partner, item = sorted((one, two), key=lambda unit: items[unit])
        link = (apart, items[partner], paths[item])
        place = (items[item], int(shows[partner]), str(clips["label"][partner]))
        nearest[place] = min(link, nearest.get(place, link))
    for (name, _, _), (apart, other, path) in sorted(nearest.items()):
        yield DuplicateRow(name, "near", other, round(apart / BITS, 4), path)


def _found_elsewhere(bits: Bits, unit: Ints, shows: Ints) -> Iterator[Pairs]:
    """Pairs of units that show the same frames, and the mean distance of the frames that are near.

    A pair may come twice: as found from either side.

    Args:
        bits: (n, 255) of every frame.
        unit: (n,) the clip of every frame, from 0, in order.
        shows: (units,) the family of every clip.
    """
    table = pd.DataFrame({"unit": unit})
    place, count = table.groupby("unit").cumcount(), table.groupby("unit")["unit"].transform("size")
    few = count.clip(upper=SAMPLED)
    sampled = np.flatnonzero(place * few // count != (place - 1) * few // count)
    asked = np.bincount(unit[sampled])
    waiting = pd.DataFrame({"own": [], "other": [], "distance": []}, dtype=int)
    for at, which, distance in near_blocks(bits[sampled], bits, MAX_BITS):
        own, other = unit[sampled[at]], unit[which]
        foreign = shows[own] != shows[other]
        frames = pd.DataFrame({"at": at, "own": own, "other": other, "distance": distance})
        nearest = frames[foreign].groupby(["at", "own", "other"])["distance"].min().reset_index()
        waiting = pd.concat([waiting, nearest.drop(columns="at")])
        whole = waiting["own"] < waiting["own"].max()  # of the last, frames may come
        yield _same_frames(waiting[whole], asked)
        waiting = waiting[~whole]
    yield _same_frames(waiting, asked)


def _same_frames(near: pd.DataFrame, asked: Ints) -> Pairs:
    """The pairs of which enough frames are near: a row per frame, its unit, and another unit."""
    of = near.groupby(["own", "other"])["distance"].agg(["size", "mean"]).reset_index()
    own = of["own"].to_numpy(int)
    enough = (of["size"] >= np.maximum(MIN_FRAMES, MIN_SHARE * asked[own])).to_numpy()
    own, other, mean = own[enough], of["other"].to_numpy(int)[enough], of["mean"].to_numpy()[enough]
    return np.minimum(own, other), np.maximum(own, other), mean


def mislabelled_pairs(duplicates: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Pairs of clips that show the same frames though their names or labels say otherwise.

    One of the two is misnamed or mislabelled. A fake whose original nobody knows contradicts
    nothing. Neither do two originals, nor the fakes made from them.

    Args:
        duplicates: columns as in `DuplicateRow`.
        frames: columns as in `FrameRow`.

    Returns:
        The rows of `duplicates`.
    """
    clips = frames[frames["compression"] != STILL].drop_duplicates(["category", "clip"])
    about = clips.set_index(nodes(clips))[["category", "clip", "target_id", "label"]]
    both = duplicates["item"].isin(about.index) & duplicates["partner"].isin(about.index)
    pairs = duplicates[both & duplicates["kind"].isin(SAME_CONTENT)]
    families = about.apply(
        lambda c: original_node(c["category"], c["clip"], c["target_id"]), axis=1
    )
    shown = [
        frozenset((families[one], families[other]))
        for one, other in zip(pairs["item"], pairs["partner"], strict=True)
    ]
    labels = [about["label"].loc[pairs[name]].to_numpy() for name in ("item", "partner")]
    both_real = (labels[0] == "real") & (labels[1] == "real")
    one_video = {pair for pair, real in zip(shown, both_real, strict=True) if real}
    nameless = about["category"].str.startswith("DFDC") & (about["target_id"] == about["clip"])
    unknown = set(about.index[nameless & (about["label"] == "fake")])
    return pairs[
        [
            not real and pair not in one_video and not unknown & {row.item, row.partner}
            for real, pair, row in zip(both_real, shown, pairs.itertuples(), strict=True)
        ]
    ]
