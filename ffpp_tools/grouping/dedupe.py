"""Find unreadable, identical and near-identical stills and clips.

Nothing is deleted, and the ledger is not changed: `duplicates.parquet` lists each item with its
partner, and manifests exclude or connect items accordingly.
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

# Two stills are near-identical if at most MAX_BITS bits of their hashes differ and the distance of
# their face embeddings is at most MAX_DISTANCE. Among 655 stills, copies of one photograph differ
# by up to 50 bits and 0.23, and different photographs by at least 62 bits. In much larger sets, the
# hashes of some different photographs are below the limit by chance; but for 98 % of the pairs of
# different photographs of one person, the distance of the embeddings exceeds MAX_DISTANCE.
MAX_BITS = 56
MAX_DISTANCE = 0.3
MAX_BITS_OF_WHOLE = 20  # for whole stills, in which no face was detected
# Maximum number of nearest pairs listed per still, besides pairs needed to keep connected stills
# connected. Thousands of similar stills, such as the frames of a film, have millions of pairs.
MOST_LISTED = 20
AT_ONCE = 2**14  # pairs whose embeddings are compared per batch


def find_duplicates(dataset: Path, workers: int = 1) -> pd.DataFrame:
    """Find duplicate and unreadable clips and stills, and write them to `duplicates.parquet`.

    - Unreadable and truncated files are those of the ledger, and crops that are missing or empty.
    - Identical stills and clips have equal checksums of their files or of their crops.
    - Near-identical stills have similar perceptual hashes and similar face embeddings.
    - Near-identical clips have similar perceptual hashes of whole frames.

    Frames of one clip are not compared. A fake and its original count as duplicates only if their
    files are identical.

    Returns:
        Columns as in `DuplicateRow`, sorted. `attrs["not_listed"]` is the number of further pairs
        of near-identical stills, if some stills have more than `MOST_LISTED`.
    """
    frames, crops = read_frames(dataset), read_faces(dataset)
    faces = crops.merge(frames[["frame_id", "category", "compression", "clip"]], on="frame_id")
    faces["item"] = nodes(faces)
    missing_crops = find_missing_crops(dataset, crops["path"])
    missing = faces[faces["path"].isin([*missing_crops.missing, *missing_crops.empty])]
    faces = faces[~faces["path"].isin(missing["path"])]
    stills = faces[faces["compression"] == STILL]
    identical = [
        *_identical(stills["item"], stills["sha256"], stills["path"]),
        *_identical_files(frames),
    ]
    copies = {row.item for row in identical}  # of other clips; their crops are not compared
    clips = faces[(faces["compression"] != STILL) & ~faces["item"].isin(copies)]
    identical += _identical_clips(clips)
    repeated = {row.item for row in identical}
    rows = [
        *_damaged(frames),
        *(
            DuplicateRow(row.item, "unreadable", "", float("nan"), row.path)
            for row in missing.itertuples()
        ),
        *{(row.item, row.partner): row for row in reversed(identical)}.values(),
        *near_clips(frames[~nodes(frames).isin(repeated)]),
    ]
    unreadable, near, n_pairs = _near_stills(
        dataset, stills[~stills["item"].isin(repeated)], workers
    )
    table = pd.concat([table_of(DuplicateRow, [*rows, *unreadable]), near])
    table = table.sort_values(["item", "partner", "path"], ignore_index=True)
    if n_pairs > len(near):
        table.attrs["not_listed"] = n_pairs - len(near)
    videos = frames[frames["compression"] != STILL].drop_duplicates(["category", "clip"])
    recorded = videos["category"][videos["source_sha256"] != ""].value_counts()
    table.attrs["recorded"] = {str(c): int(n) for c, n in recorded.items()}
    write_table(dataset / "duplicates.parquet", table, crops)
    return table


def _damaged(frames: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Yield the clips and stills that the ledger records as unreadable or truncated."""
    damaged = frames[frames["status"].isin(("unreadable", "truncated"))]
    damaged = damaged.drop_duplicates(["category", "clip", "status"])
    for item, row in zip(nodes(damaged), damaged.itertuples(), strict=True):
        yield DuplicateRow(item, row.status, "", float("nan"), row.error.split(": ")[0])


def _identical(items: pd.Series, keys: pd.Series, paths: pd.Series) -> Iterator[DuplicateRow]:
    """Yield the items that share a key, except the first, each with the first as its partner.

    The partner is the first of the same category if there is another one, else the first of all.
    """
    table = pd.DataFrame({"item": items, "key": keys, "path": paths}).sort_values("item")
    by_category = table.groupby([table["key"], node_categories(table["item"])])
    first = by_category["item"].transform("first")
    first_of_all = table.groupby("key")["item"].transform("first")
    partners = first.where(first != table["item"], first_of_all)
    for item, partner, path in zip(table["item"], partners, table["path"], strict=True):
        if item != partner:
            yield DuplicateRow(item, "identical", partner, 0.0, path)


def _identical_files(frames: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Yield stills whose files have the same bytes, and clips with the same coded frames."""
    known = frames[(frames["source_sha256"] != "") & (frames["width"] > 0)]
    known = known.drop_duplicates(["category", "compression", "clip"])
    paths = known["category"] + "/" + known["compression"] + "/" + known["clip"]
    yield from _identical(nodes(known), known["source_sha256"], paths)


def _identical_clips(faces: pd.DataFrame) -> Iterator[DuplicateRow]:
    """Yield clips whose crops are all identical to another clip's.

    Clips of one family, an original and its fakes, are skipped.
    """
    ordered = faces.sort_values(["item", "compression", "face_id"])
    number = ordered["face_id"].str.split("/").str[3:].str.join("/")
    ordered = ordered.assign(key=number + " " + ordered["sha256"])
    clips = ordered.groupby(["category", "clip", "compression"])["key"].agg("\n".join).reset_index()
    originals = [
        "/".join(Clip(row.category, "", row.clip, Path()).original_key)
        if not row.category.startswith("DFDC")
        else ""
        for row in clips.itertuples()
    ]
    items = clips["category"] + "/" + clips["clip"]
    yielded: set[tuple[str, str]] = set()
    original_of = dict(zip(items, originals, strict=True))
    for row in _identical(items, clips["key"], items):
        original = original_of[row.item]
        same_family = original and original == original_of[row.partner]
        if not same_family and (row.item, row.partner) not in yielded:
            yielded.add((row.item, row.partner))
            yield row


def _near_stills(
    dataset: Path, stills: pd.DataFrame, workers: int
) -> tuple[list[DuplicateRow], pd.DataFrame, int]:
    """Return unreadable crops, near-identical stills, and the number of near-identical pairs."""
    stills = stills.sort_values("item", ignore_index=True)
    hashes = cached_features(dataset, stills, "hash", perceptual_hash, BITS, workers)
    readable = ~np.isnan(hashes).any(axis=1)
    rows = [
        DuplicateRow(row.item, "unreadable", "", float("nan"), row.path)
        for row in stills[~readable].itertuples()
    ]
    stills, bits = stills[readable].reset_index(drop=True), hashes[readable].astype(np.uint8)
    is_candidate = np.zeros(len(stills), bool)
    for first, second, _ in near_pairs(bits, MAX_BITS):
        is_candidate[first] = is_candidate[second] = True
    stills, bits = stills[is_candidate].reset_index(drop=True), bits[is_candidate]
    is_whole = (stills["detector"] == "none").to_numpy()
    embeddings = np.full((len(stills), WIDTH), np.nan, np.float32)
    faces = stills[~is_whole]
    embeddings[~is_whole] = cached_features(
        dataset, faces, "embedding", dlib_embedding, WIDTH, workers
    )

    def confirmed() -> Iterator[Pairs]:
        for first, second, distance in near_pairs(bits, MAX_BITS):
            for start in range(0, len(first), AT_ONCE):
                batch = slice(start, start + AT_ONCE)
                i, j, bit_distance = first[batch], second[batch], distance[batch]
                face_distance = np.linalg.norm(embeddings[i] - embeddings[j], axis=1)
                both_whole = is_whole[i] & is_whole[j]
                same = np.where(
                    both_whole, bit_distance <= MAX_BITS_OF_WHOLE, face_distance <= MAX_DISTANCE
                )
                yield i[same], j[same], bit_distance[same]

    (first, second, distance), n_pairs = sparsify_pairs(confirmed(), len(stills), MOST_LISTED)
    near = table_of(DuplicateRow, []).assign(
        item=stills["item"].iloc[second].array,
        kind="near",
        partner=stills["item"].iloc[first].array,
        distance=np.round(distance / BITS, 4),
        path=stills["path"].iloc[second].array,
    )
    return rows, near, n_pairs
