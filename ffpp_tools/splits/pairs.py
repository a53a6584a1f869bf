"""Pairs: a fake's crop and its original's, cropped from the same frame with the same window.

Within a pair, only the manipulation differs (and, in lossy video, the compression artefacts).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.duplicate_clips import original_node
from ffpp_tools.sources.clip import ORIGINAL_CATEGORY
from ffpp_tools.store.tables import read_numbers, read_texts

Positions = npt.NDArray[np.int64]

WINDOW = ("crop_x", "crop_y", "crop_size", "box_x", "box_y", "box_w", "box_h")
TWIN = "twin"  # `box_from` of a face whose box is its original's


def paired_originals(tables: Dataset) -> Positions:
    """Return, for each crop, the position of its pair's original in `tables.faces`; -1 without.

    A fake is paired if its box is that of its original at the same frame and compression, and both
    were cropped with the same window. A fake's frame may be cut: Face2Face and NeuralTextures keep
    the centre of frames whose sides are not multiples of about 32. An original is its own pair's
    original if at least one fake of the dataset is paired with it. Aligned crops have no pairs,
    because each is rotated by its own landmarks.

    Raises:
        TableError: a table, or settings.json, is damaged.
    """
    faces = tables.faces
    originals = np.full(len(faces), -1, np.int64)
    crop = recorded_settings(tables.folder).get("crop", {})
    if crop.get("align"):
        return originals
    frame_of_fake = _original_frames(tables)
    if not (frame_of_fake >= 0).any():
        return originals
    own = faces["frame"].to_numpy(np.int64)
    wanted = np.where(own >= 0, frame_of_fake[own], -1)
    is_twin = (read_texts(tables.folder, "faces", "box_from") == TWIN).to_numpy()
    fakes = np.flatnonzero((wanted >= 0) & is_twin)
    is_original = np.zeros(len(frame_of_fake) + 1, np.bool_)  # the last element is for frame -1
    is_original[frame_of_fake[frame_of_fake >= 0]] = True
    reals = np.flatnonzero(is_original[own])
    left, top, fits = _cut(tables, own[fakes], wanted[fakes], crop.get("shape") == "box")
    shift = {"crop_x": left, "crop_y": top, "box_x": left, "box_y": top}
    of_fakes, of_reals = {"frame": wanted[fakes]}, {"frame": own[reals]}
    for name in WINDOW:
        values = read_numbers(tables.folder, "faces", name)
        of_fakes[name] = values[fakes] + shift.get(name, 0)
        of_reals[name] = values[reals]
    windows = pd.DataFrame(of_reals).assign(original=reals).drop_duplicates(list(of_reals))
    found = pd.DataFrame(of_fakes).merge(windows, how="left", on=list(of_reals))["original"]
    original = np.where(fits, found.fillna(-1), -1).astype(np.int64)
    originals[fakes] = original
    used = original[original >= 0]
    originals[used] = used
    return originals


def pair_names(originals: Positions, faces: pd.DataFrame) -> pd.Series:
    """Return the name of the pair of each crop: "183/000010/c40"; empty for -1.

    A name has the original's clip, frame and compression, and its track if a frame may have several
    crops.

    Args:
        originals: positions in `faces` of the pairs' originals, see `paired_originals`.
        faces: column `face_id`.
    """
    codes, unique = pd.factorize(originals)
    names = [_name(face) for face in faces["face_id"].iloc[np.maximum(unique, 0)]]
    texts = np.array(["" if u < 0 else n for u, n in zip(unique, names, strict=True)], object)
    return pd.Series(texts[codes], dtype="str")


def shared_by_pairs(
    values: npt.NDArray[np.float64], originals: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the values with those of each pair replaced by the pair's first."""
    by_pair = pd.Series(values).groupby(originals).transform("first").to_numpy()
    return np.where(originals >= 0, by_pair, values)


def spread_methods(fakes: pd.DataFrame, originals: pd.DataFrame, count: int) -> pd.Series:
    """Return `draw` of the fakes of a class so that its methods are selected at different frames.

    If all methods were selected at the same frames, most of the selected originals would have no
    fake in the manifest, and a few would have one of every method. Each original therefore has
    `count // len(originals)` methods that take it first, but at least one: of those that have its
    frame, the methods that have taken the fewest originals so far. The other methods follow, by
    draw, and frames whose original is not selected come last. A fake without a pair takes a turn by
    its own place, and is not later than the fakes of its clip at the selected frames.

    Args:
        fakes: columns category, compression, clip, original (position of the crop of the pair's
            original, or -1) and draw, equal within a pair, below 1.
        originals: the selected originals, with columns face (position of the crop), compression,
            clip and draw.
        count: number of fakes that will be selected.
    """
    if originals.empty:
        return fakes["draw"]
    clip = ["category", "compression", "clip"]
    methods = sorted(fakes["category"].unique())
    method = fakes["category"].map({name: i for i, name in enumerate(methods)}).to_numpy(np.int64)
    turns = max(count // len(originals), 1)
    by_clip = originals.sort_values([*clip, "draw"], kind="stable")
    places = pd.Series(range(len(by_clip)), by_clip["face"])
    place = fakes["original"].map(places).fillna(-1).to_numpy(np.int64)
    paired = place >= 0
    has_frame = np.zeros((len(by_clip), len(methods)), bool)
    has_frame[place[paired], method[paired]] = True
    is_first = _shared_out(has_frame, turns)[place, method]
    own_place = fakes.sort_values([*clip, "draw"], kind="stable").groupby("category").cumcount()
    own_turn = (own_place.reindex(fakes.index).to_numpy() - method) % len(methods) < turns
    last = fakes["draw"].where(paired)
    last = last.groupby([fakes[name] for name in clip], observed=True).transform("max")
    in_range = (fakes["draw"] <= last.fillna(originals["draw"].max())).to_numpy()
    selected = paired | ((fakes["original"] < 0).to_numpy() & in_range)
    first = np.where(paired, is_first, own_turn)
    return fakes["draw"] + np.where(selected, np.where(first, 0, 1), 2)


def _shared_out(has_frame: npt.NDArray[np.bool_], turns: int) -> npt.NDArray[np.bool_]:
    """Return which methods take each original first: `turns` of those that have its frame.

    Args:
        has_frame: (originals, methods).
        turns: number of methods per original.
    """
    taken = np.zeros_like(has_frame)
    counts = np.zeros(has_frame.shape[1], np.int64)
    for original, available in enumerate(has_frame):
        (methods,) = np.nonzero(available)
        chosen = methods[np.argsort(counts[methods], kind="stable")[:turns]]
        taken[original, chosen] = True
        counts[chosen] += 1
    return taken


def pair_counts(splits: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """Return split → its number of `fakes`, and how many are `paired` with an original in it.

    Args:
        splits: samples with columns label, `face` and `original`, positions in the crop table.
    """
    counts = {}
    for split, rows in splits.items():
        fakes = rows[rows["label"] == "fake"]
        reals = rows["face"][rows["label"] == "real"]
        paired = (fakes["original"] >= 0) & fakes["original"].isin(reals)
        counts[split] = {"fakes": len(fakes), "paired": int(paired.sum())}
    return counts


def _name(face_id: str) -> str:
    _, compression, clip, frame, *track = face_id.split("/")
    return "/".join([clip, frame, compression, *track])


def _original_frames(tables: Dataset) -> Positions:
    """Return, for each frame of a fake, the position in the ledger of its original's; else -1.

    Only frames of status ok count, with the original at the same compression.
    """
    related = {*ORIGINAL_CATEGORY, *ORIGINAL_CATEGORY.values()}
    frames = tables.frames
    rows = np.flatnonzero(frames["category"].isin(related) & (frames["status"] == "ok"))
    columns = ["category", "clip", "target_id", "compression", "frame"]
    related_frames = frames[columns].iloc[rows]
    unit = related_frames.groupby(columns[:3], observed=True, sort=False).ngroup().to_numpy()
    _, first = np.unique(unit, return_index=True)
    nodes = [
        original_node(str(c.category), str(c.clip), str(c.target_id))
        for c in related_frames.iloc[first].itertuples()
    ]
    keys = pd.DataFrame(
        {
            "node": pd.factorize(np.array(nodes, object))[0][unit],
            "compression": pd.factorize(related_frames["compression"])[0],
            "frame": related_frames["frame"].to_numpy(),
        }
    )
    is_fake = related_frames["category"].isin(ORIGINAL_CATEGORY).to_numpy()
    reals = keys[~is_fake].assign(original=rows[~is_fake]).drop_duplicates(list(keys))
    found = keys[is_fake].merge(reals, how="left", on=list(keys))["original"]
    result = np.full(len(frames), -1, np.int64)
    result[rows[is_fake]] = found.fillna(-1).to_numpy(np.int64)
    return result


def _cut(
    tables: Dataset, fakes: Positions, originals: Positions, box_shaped: bool
) -> tuple[Positions, Positions, npt.NDArray[np.bool_]]:
    """Return what is cut off from the original's frame, and whether the windows can be compared.

    Args:
        tables: the dataset.
        fakes: positions in the ledger of the fakes' frames.
        originals: those of their originals' frames.
        box_shaped: whether windows are cut off at the frame's edge, so that the same corner and
            longer side are the same window only in frames of one size.

    Returns:
        Pixels left of and above the fake's frame, and whether the fake's frame is inside.
    """
    left, top = (
        (sides[originals] - sides[fakes]) // 2
        for sides in (read_numbers(tables.folder, "frames", name) for name in ("width", "height"))
    )
    same_size = (left == 0) & (top == 0)
    return left, top, same_size if box_shaped else (left >= 0) & (top >= 0)
