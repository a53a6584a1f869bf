"""What is there twice or not at all: unreadable, identical and near-identical stills and clips.

Nothing is deleted, and the ledger does not change: `duplicates.parquet` names each with its
partner, and manifests are made accordingly.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ffpp_tools.grouping.duplicate_clips import near_clips
from ffpp_tools.grouping.embedding import WIDTH, dlib_embedding
from ffpp_tools.grouping.feature_cache import cached_features
from ffpp_tools.grouping.groups import node_categories, nodes
from ffpp_tools.grouping.hamming_pairs import Pairs, near_pairs, sparsify_pairs
from ffpp_tools.grouping.phash import BITS, perceptual_hash
from ffpp_tools.sources.clip import Clip
from ffpp_tools.store.missing_crops import find_missing_crops
from ffpp_tools.store.schema import STILL
from ffpp_tools.store.tables import DuplicateRow, read_faces, read_frames, table_of, write_table

# Stills are near-identical when so many bits of their hashes differ at most, and the faces'
# embeddings are so near: among 655 stills the same photograph has up to 50 bits and 0.23, others
# have 62 bits or more. Of many more stills some others would be below that, by chance; but of 98 %
# of all pairs that show one person in two photographs the embeddings are further apart.
MAX_BITS = 56
MAX_DISTANCE = 0.3
MAX_BITS_OF_WHOLE = 20  # of whole stills, whose faces are not known
# A still is listed with so many nearest ones, and with what else ties it to others: thousands that
# are all alike, such as the frames of a film, have millions of pairs.
MOST_LISTED = 20
AT_ONCE = 2**14  # pairs whose embeddings are compared at once


def find_duplicates(dataset: Path, workers: int = 1) -> pd.DataFrame:
    """Find what is there twice or not at all, and write it to `duplicates.parquet`.

    Unreadable and truncated files as the ledger says, and crops that are no longer there; identical
    stills and clips by their files' checksums and those of their crops; near-identical stills by a
    perceptual hash, confirmed by the face's embedding; near-identical clips by perceptual hashes of
    whole frames. The frames of one clip, and a fake and its original, are no duplicates unless
    their files are identical.

    Returns:
        Columns as in `DuplicateRow`, sorted. `attrs["not_listed"]` is how many further pairs of
        near-identical stills there are, where some have more than `MOST_LISTED`.
    """
    frames, crops = read_frames(dataset), read_faces(dataset)
    faces = crops.merge(frames[["frame_id", "category", "compression", "clip"]], on="frame_id")
    faces["item"] = nodes(faces)
    lost = find_missing_crops(dataset, crops["path"])
    gone = faces[faces["path"].isin([*lost.missing, *lost.empty])]
    faces = faces[~faces["path"].isin(gone["path"])]
    stills = faces[faces["compression"] == STILL]
    identical = [
        *_identical(stills["item"], stills["sha256"], stills["path"]),
        *_identical_files(frames),
    ]
    copies = {row.item for row in identical}  # of other clips; their crops need no comparison
    clips = faces[(faces["compression"] != STILL) & ~faces["item"].isin(copies)]
    identical += _identical_clips(clips)
    repeated = {row.item for row in identical}
    found = [
        *_damaged(frames),
        *(
            DuplicateRow(row.item, "unreadable", "", float("nan"), row.path)
            for row in gone.itertuples()
        ),
        *{(row.item, row.partner): row for row in reversed(identical)}.values(),
        *near_clips(frames[~nodes(frames).isin(repeated)]),
    ]
    unreadable, near, pairs = _near(dataset, stills[~stills["item"].isin(repeated)], workers)
    table = pd.concat([table_of(DuplicateRow, [*found, *unreadable]), near])
    table = table.sort_values(["item", "partner", "path"], ignore_index=True)
    if pairs > len(near):
        table.attrs["not_listed"] = pairs - len(near)
    moving = frames[frames["compression"] != STILL].drop_duplicates(["category", "clip"])
    recorded = moving["category"][moving["source_sha256"] != ""].value_counts()
    table.attrs["recorded"] = {str(c): int(n) for c, n in recorded.items()}
    write_table(dataset / "duplicates.parquet", table, crops)
    return table


def _damaged(frames: pd.DataFrame) -> Iterator[DuplicateRow]:
    bad = frames[frames["status"].isin(("unreadable", "truncated"))]
    bad = bad.drop_duplicates(["category", "clip", "status"])
    for item, row in zip(nodes(bad), bad.itertuples(), strict=True):
        yield DuplicateRow(item, row.status, "", float("nan"), row.error.split(": ")[0])


def _identical(items: pd.Series, keys: pd.Series, paths: pd.Series) -> Iterator[DuplicateRow]:
    table = pd.DataFrame({"item": items, "key": keys, "path": paths}).sort_values("item")
    own = table.groupby([table["key"], node_categories(table["item"])])["item"].transform("first")
    first = own.where(own != table["item"], table.groupby("key")["item"].transform("first"))
    for item, partner, path in zip(table["item"], first, table["path"], strict=True):
        if item != partner:
            yield DuplicateRow(item, "identical", partner, 0.0, path)


def _identical_files(frames: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Stills whose files have the same bytes, and clips whose files hold the same pictures."""
    known = frames[(frames["source_sha256"] != "") & (frames["width"] > 0)]
    known = known.drop_duplicates(["category", "compression", "clip"])
    paths = known["category"] + "/" + known["compression"] + "/" + known["clip"]
    yield from _identical(nodes(known), known["source_sha256"], paths)


def _identical_clips(faces: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Clips all of whose crops are another's; the original that they show sets fakes apart."""
    ordered = faces.sort_values(["item", "compression", "face_id"])
    number = ordered["face_id"].str.split("/").str[3:].str.join("/")
    ordered = ordered.assign(key=number + " " + ordered["sha256"])
    clips = ordered.groupby(["category", "clip", "compression"])["key"].agg("\n".join).reset_index()
    shows = [
        "/".join(Clip(row.category, "", row.clip, Path()).original_key)
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


def _near(
    dataset: Path, stills: pd.DataFrame, workers: int
) -> tuple[list[DuplicateRow], pd.DataFrame, int]:
    """Crops that cannot be read, near-identical stills, and how many pairs of these there are."""
    stills = stills.sort_values("item", ignore_index=True)
    measured = cached_features(dataset, stills, "hash", perceptual_hash, BITS, workers)
    readable = ~np.isnan(measured).any(axis=1)
    rows = [
        DuplicateRow(row.item, "unreadable", "", float("nan"), row.path)
        for row in stills[~readable].itertuples()
    ]
    stills, bits = stills[readable].reset_index(drop=True), measured[readable].astype(np.uint8)
    named = np.zeros(len(stills), bool)
    for first, second, _ in near_pairs(bits, MAX_BITS):
        named[first] = named[second] = True
    stills, bits = stills[named].reset_index(drop=True), bits[named]
    whole = (stills["detector"] == "none").to_numpy()
    vectors = np.full((len(stills), WIDTH), np.nan, np.float32)
    faces = stills[~whole]
    vectors[~whole] = cached_features(dataset, faces, "embedding", dlib_embedding, WIDTH, workers)

    def confirmed() -> Iterator[Pairs]:
        for first, second, distance in near_pairs(bits, MAX_BITS):
            for start in range(0, len(first), AT_ONCE):
                some = slice(start, start + AT_ONCE)
                i, j, d = first[some], second[some], distance[some]
                apart = np.linalg.norm(vectors[i] - vectors[j], axis=1)
                both = whole[i] & whole[j]
                same = np.where(both, d <= MAX_BITS_OF_WHOLE, apart <= MAX_DISTANCE)
                yield i[same], j[same], d[same]

    (first, second, distance), pairs = sparsify_pairs(confirmed(), len(stills), MOST_LISTED)
    near = table_of(DuplicateRow, []).assign(
        item=stills["item"].iloc[second].array,
        kind="near",
        partner=stills["item"].iloc[first].array,
        distance=np.round(distance / BITS, 4),
        path=stills["path"].iloc[second].array,
    )
    return rows, near, pairs
