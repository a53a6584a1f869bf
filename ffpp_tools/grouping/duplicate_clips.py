"""Find clips that show the same frames although their names differ.

An original and its fakes are one family. They show the same frames by construction, and their names
place them in one identity group. This module compares clips of different families.
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

# A clip shows the frames of another if at least MIN_SHARE of its SAMPLED frames, and at least
# MIN_FRAMES, differ from some frame of the other clip in at most MAX_BITS of BITS bits. The frames
# need not have the same time: a copy may start later, end earlier, or be sampled at other times.
# `frame_hash` documents the measurements behind MAX_BITS.
MAX_BITS = 24
MIN_FRAMES = 2
MIN_SHARE = 0.5
BITS = 255
# Maximum number of nearest pairs per clip, besides pairs needed to keep connected clips connected.
# Thousands of similar clips have millions of pairs.
MOST_COMPARED = 400
SAMPLED = 8  # evenly spaced frames of each clip that are searched for in all other clips


def original_node(category: str, clip: str, target_id: str) -> str:
    """Return the original of a clip by name: "Youtube/183" for "Deepfakes/183_253"."""
    made_from = target_id if category.startswith("DFDC") else ""
    return "/".join(Clip(category, "", clip, Path(), made_from).original_key)


def near_clips(frames: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Yield clips of different families with nearly equal frames, at any compression.

    Each clip is listed at most twice for another family: with the original and with the nearest of
    the fakes.

    Args:
        frames: columns as in `FrameRow`; frames without a `frame_hash` are not compared.
    """
    rows = frames[(frames["compression"] != STILL) & (frames["frame_hash"] != "")]
    if rows.empty:
        return
    units = rows.groupby(["category", "compression", "clip"], sort=True)
    rows = rows.assign(unit=units.ngroup()).sort_values(["unit", "frame"], ignore_index=True)
    clips = rows.drop_duplicates("unit", ignore_index=True)
    families = pd.factorize(
        pd.Series([original_node(c.category, c.clip, c.target_id) for c in clips.itertuples()])
    )[0]
    pairs = _pairs_with_same_frames(
        hash_bits(rows["frame_hash"].to_list()), rows["unit"].to_numpy(), families
    )
    sparse, _ = sparsify_pairs(pairs, len(clips), MOST_COMPARED)
    items = nodes(clips).to_list()
    paths = (clips["category"] + "/" + clips["compression"] + "/" + clips["clip"]).to_list()
    nearest: dict[tuple[str, int, str], tuple[float, str, str]] = {}
    for one, other, distance in zip(*map(np.ndarray.tolist, sparse), strict=True):
        partner, item = sorted((one, other), key=lambda unit: items[unit])
        match = (distance, items[partner], paths[item])
        key = (items[item], int(families[partner]), str(clips["label"][partner]))
        nearest[key] = min(match, nearest.get(key, match))
    for (item_name, _, _), (distance, partner_name, path) in sorted(nearest.items()):
        yield DuplicateRow(item_name, "near", partner_name, round(distance / BITS, 4), path)


def _pairs_with_same_frames(bits: Bits, unit: Ints, families: Ints) -> Iterator[Pairs]:
    """Yield pairs of clips with the same frames, and the mean distance of the matching frames.

    A pair may be yielded twice, once from each of its clips.

    Args:
        bits: (n, 255) hash bits of every frame.
        unit: (n,) index of each frame's clip, ascending from 0.
        families: (clips,) family of each clip.
    """
    table = pd.DataFrame({"unit": unit})
    rank, count = table.groupby("unit").cumcount(), table.groupby("unit")["unit"].transform("size")
    n_sampled = count.clip(upper=SAMPLED)
    sampled = np.flatnonzero(rank * n_sampled // count != (rank - 1) * n_sampled // count)
    queries_per_clip = np.bincount(unit[sampled])
    pending = pd.DataFrame({"own": [], "other": [], "distance": []}, dtype=int)
    for query, match, distance in near_blocks(bits[sampled], bits, MAX_BITS):
        own, other = unit[sampled[query]], unit[match]
        differ = families[own] != families[other]
        frames = pd.DataFrame({"query": query, "own": own, "other": other, "distance": distance})
        by_query = frames[differ].groupby(["query", "own", "other"])
        nearest = by_query["distance"].min().reset_index()
        pending = pd.concat([pending, nearest.drop(columns="query")])
        complete = pending["own"] < pending["own"].max()  # the last clip may have more frames
        yield _matching_clips(pending[complete], queries_per_clip)
        pending = pending[~complete]
    yield _matching_clips(pending, queries_per_clip)


def _matching_clips(matches: pd.DataFrame, queries_per_clip: Ints) -> Pairs:
    """Return the pairs of clips with enough matching frames.

    Args:
        matches: a row for each sampled frame that matches another clip; columns own and other (the
            two clips) and distance.
        queries_per_clip: (clips,) number of sampled frames of each clip.
    """
    pairs = matches.groupby(["own", "other"])["distance"].agg(["size", "mean"]).reset_index()
    needed = np.maximum(MIN_FRAMES, MIN_SHARE * queries_per_clip[pairs["own"].to_numpy(int)])
    pairs = pairs[(pairs["size"] >= needed).to_numpy()]
    own, other = pairs["own"].to_numpy(int), pairs["other"].to_numpy(int)
    return np.minimum(own, other), np.maximum(own, other), pairs["mean"].to_numpy()


def mislabelled_pairs(duplicates: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of clips that show the same frames although their names or labels differ.

    One clip of each pair is misnamed or mislabelled. Not reported are fakes whose original is
    unknown, and identical originals with the fakes created from them.

    Args:
        duplicates: columns as in `DuplicateRow`.
        frames: columns as in `FrameRow`.

    Returns:
        The rows of `duplicates` with such pairs.
    """
    clips = frames[frames["compression"] != STILL].drop_duplicates(["category", "clip"])
    by_node = clips.set_index(nodes(clips))[["category", "clip", "target_id", "label"]]
    both_clips = duplicates["item"].isin(by_node.index) & duplicates["partner"].isin(by_node.index)
    pairs = duplicates[both_clips & duplicates["kind"].isin(SAME_CONTENT)]
    originals = by_node.apply(
        lambda c: original_node(c["category"], c["clip"], c["target_id"]), axis=1
    )
    original_pairs = [
        frozenset((originals[one], originals[other]))
        for one, other in zip(pairs["item"], pairs["partner"], strict=True)
    ]
    labels = [by_node["label"].loc[pairs[name]].to_numpy() for name in ("item", "partner")]
    both_real = (labels[0] == "real") & (labels[1] == "real")
    same_video = {pair for pair, real in zip(original_pairs, both_real, strict=True) if real}
    unnamed = by_node["category"].str.startswith("DFDC") & (by_node["target_id"] == by_node["clip"])
    unknown = set(by_node.index[unnamed & (by_node["label"] == "fake")])
    return pairs[
        [
            not real and pair not in same_video and not unknown & {row.item, row.partner}
            for real, pair, row in zip(both_real, original_pairs, pairs.itertuples(), strict=True)
        ]
    ]
