"""What is there twice or not at all: unreadable, identical and near-identical stills and clips.

Nothing is deleted, and the ledger does not change: `duplicates.parquet` names each with its
partner, and manifests are made accordingly.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.clip import Clip
from ffpp_tools.embed import WIDTH, embedding
from ffpp_tools.fingerprint import BITS, perceptual_hash
from ffpp_tools.groups import categories, knots
from ffpp_tools.kept import kept
from ffpp_tools.rows import STILL
from ffpp_tools.tables import DuplicateRow, read_faces, read_frames, table_of, write_table

# Stills are near-identical when so many bits of their hashes differ at most, and the faces'
# embeddings are so near: among 655 stills the same photograph has up to 50 bits and 0.23, others
# have 62 bits or more. Of many more stills some others would be below that, by chance; but of 98 %
# of all pairs that show one person in two photographs the embeddings are further apart.
MAX_BITS = 56
MAX_DISTANCE = 0.3
MAX_BITS_OF_WHOLE = 20  # of whole stills, whose faces are not known
BLOCK = 512  # how many hashes are compared with all others at once


def clean(dataset: Path, workers: int = 1) -> pd.DataFrame:
    """Find what is there twice or not at all, and write it to `duplicates.parquet`.

    Unreadable and truncated files as the ledger says; identical stills by their checksum, clips by
    those of all their crops; near-identical stills by a perceptual hash, confirmed by the face's
    embedding. A fake and its original, and the frames of one clip, are no duplicates.

    Returns:
        Columns as in `DuplicateRow`, sorted.
    """
    frames, crops = read_frames(dataset), read_faces(dataset)
    faces = crops.merge(frames[["frame_id", "category", "compression", "clip"]], on="frame_id")
    faces["item"] = knots(faces)
    stills = faces[faces["compression"] == STILL]
    found = [
        *_damaged(frames),
        *_identical(stills["item"], stills["sha256"], stills["path"]),
        *_identical_clips(faces[faces["compression"] != STILL]),
    ]
    repeated = {row.item for row in found if row.kind == "identical"}
    found += _near(dataset, stills[~stills["item"].isin(repeated)], workers)
    table = table_of(DuplicateRow, found).sort_values(["item", "partner"], ignore_index=True)
    write_table(dataset / "duplicates.parquet", table, crops)
    return table


def near_pairs(bits: npt.NDArray[np.uint8], limit: int) -> Iterator[tuple[int, int, int]]:
    """All pairs of hashes that differ in `limit` bits or fewer: (first, second, bits).

    Every pair is compared, so that none is missed: at 230,000 hashes some minutes.

    Args:
        bits: (n, 255) of 0 and 1.
        limit: how many bits may differ.
    """
    packed = np.packbits(bits, axis=1)
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    for start in range(0, len(packed), BLOCK):
        block = packed[start : start + BLOCK]
        for matches in matcher.radiusMatch(block, packed[start:], limit + 1):
            for match in matches:
                first, second = start + match.queryIdx, start + match.trainIdx
                if first < second and match.distance <= limit:
                    yield first, second, int(match.distance)


def _damaged(frames: pd.DataFrame) -> Iterator[DuplicateRow]:
    bad = frames[frames["status"].isin(("unreadable", "truncated"))]
    bad = bad.drop_duplicates(["category", "clip", "status"])
    for item, row in zip(knots(bad), bad.itertuples(), strict=True):
        yield DuplicateRow(item, row.status, "", float("nan"), row.error.split(": ")[0])


def _identical(items: pd.Series, keys: pd.Series, paths: pd.Series) -> Iterator[DuplicateRow]:
    table = pd.DataFrame({"item": items, "key": keys, "path": paths}).sort_values("item")
    own = table.groupby([table["key"], categories(table["item"])])["item"].transform("first")
    first = own.where(own != table["item"], table.groupby("key")["item"].transform("first"))
    for item, partner, path in zip(table["item"], first, table["path"], strict=True):
        if item != partner:
            yield DuplicateRow(item, "identical", partner, 0.0, path)


def _identical_clips(faces: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Clips all of whose crops are another's; the original that they show sets fakes apart."""
    ordered = faces.sort_values(["item", "compression", "face_id"])
    number = ordered["face_id"].str.split("/").str[3:].str.join("/")
    ordered = ordered.assign(key=number + " " + ordered["sha256"])
    clips = ordered.groupby(["category", "clip", "compression"])["key"].agg("\n".join).reset_index()
    shows = [
        "/".join(Clip(row.category, "", row.clip, Path()).original)
        if not row.category.startswith("DFDC")
        else ""
        for row in clips.itertuples()
    ]
    own = clips["category"] + "/" + clips["clip"]
    seen: set[tuple[str, str]] = set()
    shown = dict(zip(own, shows, strict=True))
    for row in _identical(own, clips["key"], own):
        family = shown[row.item] and shown[row.item] == shown[row.partner]
        if not family and (row.item, row.partner) not in seen:
            seen.add((row.item, row.partner))
            yield row


def _near(dataset: Path, stills: pd.DataFrame, workers: int) -> list[DuplicateRow]:
    stills = stills.sort_values("item", ignore_index=True)
    bits = kept(dataset, stills, "hash", perceptual_hash, BITS, workers)
    readable = ~np.isnan(bits).any(axis=1)
    rows = [
        DuplicateRow(row.item, "unreadable", "", float("nan"), row.path)
        for row in stills[~readable].itertuples()
    ]
    stills, bits = stills[readable].reset_index(drop=True), bits[readable]
    pairs = list(near_pairs(bits.astype(np.uint8), MAX_BITS))
    whole = (stills["detector"] == "none").to_numpy()
    if not pairs:
        return rows
    first, second, distance = np.array(pairs).T
    named = np.unique(np.concatenate([first, second]))
    named = named[~whole[named]]
    vectors = np.full((len(stills), WIDTH), np.nan, np.float32)
    vectors[named] = kept(dataset, stills.iloc[named], "embedding", embedding, WIDTH, workers)
    apart = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    same = np.where(
        whole[first] & whole[second], distance <= MAX_BITS_OF_WHOLE, apart <= MAX_DISTANCE
    )
    items, paths = stills["item"].to_list(), stills["path"].to_list()
    return rows + [
        DuplicateRow(items[j], "near", items[i], round(d / BITS, 4), paths[j])
        for i, j, d in zip(first[same], second[same], distance[same].tolist(), strict=True)
    ]
