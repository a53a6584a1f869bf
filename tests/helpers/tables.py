"""Synthetic dataset tables without crops, in which edges of every kind connect clips and stills."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pandas as pd

from benchmarks.paper_tables import face_rows, frame_rows
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.groups import identity_groups, nodes
from ffpp_tools.grouping.identity_coverage import coverage, coverage_gaps
from ffpp_tools.sources import official_lists
from ffpp_tools.store.schema import SPLITS

_COLUMNS = [
    *("category", "label", "compression", "clip"),
    *("target_id", "source_id", "photo", "partition"),
]
_METHODS = ("Deepfakes", "FaceSwap", "Face2Face")


def world(folder: Path, seed: int) -> tuple[pd.DataFrame, Dataset]:
    """Random samples (one per clip or still, with group and class) and their dataset."""
    rng = random.Random(seed)
    people = [f"{i:03d}" for i in range(rng.randint(6, 24))]
    rows = [("Youtube", "real", "c23", p, p, "", "", "") for p in people if rng.random() < 0.95]
    for _ in range(rng.randint(3, 25)):
        a, b = rng.sample(people, 2)
        rows.append((rng.choice(_METHODS), "fake", "c23", f"{a}_{b}", a, b, "", ""))
    rows += _celeb_df(rng) + _photographs(rng)
    table = pd.DataFrame(rows, columns=_COLUMNS).drop_duplicates(["category", "clip"])
    table = table.reset_index(drop=True).astype("str")
    partition = table.pop("partition")
    frames = frame_rows(**table.assign(frame=0).to_dict("series")).assign(partition=partition)
    items = list(nodes(frames))
    real = [k for k, label in zip(items, frames["label"], strict=True) if label == "real"]
    duplicates = [
        (*rng.sample(items, 2), rng.choice(["identical", "near"]), 0.1)
        for _ in range(rng.randint(0, 4))
    ]
    matches = [(*rng.sample(real, 2), 0.3) for _ in range(rng.randint(0, 3))]
    videos = {p: f"v{rng.randint(0, 20)}" for p in people if rng.random() < 0.3}
    _write_lists(folder, people, rng)
    tables = Dataset(
        folder,
        frames,
        frames,
        pd.DataFrame(duplicates, columns=["item", "partner", "kind", "distance"]),
        pd.DataFrame(matches, columns=["item", "partner", "distance"]),
        videos,
        None,
    )
    samples = frames[[rng.random() < 0.9 for _ in items]].reset_index(drop=True)
    samples.index += 100
    return samples.assign(group=identity_groups(samples, tables.edges), **{"class": "x"}), tables


def _celeb_df(rng: random.Random) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    parts = ("train", "train", "val", "test", "")
    for i in range(rng.randint(0, 8)):
        for k in range(rng.randint(1, 2)):
            name = f"id{i}_000{k}"
            rows.append(("Celeb-real", "real", "native", name, f"id{i}", "", "", rng.choice(parts)))
    for _ in range(rng.randint(0, 8)):
        a, b = (f"id{i}" for i in rng.sample(range(8), 2))
        name = f"{a}_{b}_0000"
        rows.append(("Celeb-synthesis", "fake", "native", name, a, b, "", rng.choice(parts)))
    return rows


def _photographs(rng: random.Random) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for i in range(rng.randint(0, 12)):
        split = rng.choice(("train", "train", "val", "test", ""))
        number = f"{i:06d}"
        rows.append(("CelebA", "real", "still", number, str(rng.randint(0, 6)), "", number, split))
    for i in range(rng.randint(0, 6)):
        photo = f"{rng.randint(0, 15):06d}"
        rows.append(("CelebA-HQ", "real", "still", str(i), "", "", photo, ""))
    rows += [("Portraits", "real", "still", f"p{i}", "", "", "", "") for i in range(4)]
    return rows


def _write_lists(folder: Path, people: list[str], rng: random.Random) -> None:
    """Write official lists, which may omit some of the people."""
    shuffled = rng.sample(people, len(people) * 3 // 4 if rng.random() < 0.4 else len(people))
    first, second = sorted(rng.sample(range(1, len(shuffled)), 2))
    people_of_splits = (shuffled[:first], shuffled[first:second], shuffled[second:])
    (folder / official_lists.FOLDER).mkdir(parents=True)
    for split, members in zip(SPLITS, people_of_splits, strict=True):
        even = members + members[:1] if len(members) % 2 else members
        pairs = list(zip(even[::2], even[1::2], strict=True))
        (folder / official_lists.FOLDER / f"{split}.json").write_text(json.dumps(pairs))


METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
VIDEOS = (*METHODS, "Youtube")


def constructed(folder, frames_of, *, pairs=12, stills=60):
    """Write the tables of a dataset with pairs of people at three compressions, and with stills.

    Args:
        folder: dataset folder.
        frames_of: (category, compression, index of the person) → number of frames with a face.
        pairs: number of pairs of people, each with two originals and two fakes per method.
        stills: number of CelebA stills, three per person, and of CelebA-HQ stills.
    """
    rows = [
        (
            category,
            "real" if category == "Youtube" else "fake",
            compression,
            f"{i:03d}" if category == "Youtube" else f"{i:03d}_{i ^ 1:03d}",
            f"{i:03d}",
            "" if category == "Youtube" else f"{i ^ 1:03d}",
            25 * frame,
            "",
        )
        for compression in ("c23", "c40", "raw")
        for i in range(2 * pairs)
        for category in VIDEOS
        for frame in range(frames_of(category, compression, i))
    ]
    rows += [
        (c, "real", "still", f"{i:06d}", str(i // 3) if c == "CelebA" else "", "", 0, f"{i:06d}")
        for c in ("CelebA", "CelebA-HQ")
        for i in range(stills)
    ]
    columns = ["category", "label", "compression", "clip", "target_id", "source_id", "frame"]
    frames = frame_rows(**pd.DataFrame(rows, columns=[*columns, "photo"]).to_dict("series"))
    folder.mkdir(parents=True, exist_ok=True)
    frames.to_parquet(folder / "frames.parquet")
    face_rows(frames).to_parquet(folder / "faces.parquet")
    return folder


def samples_with(**kinds):
    """Samples with the given number of rows per (class, label, compression) in each split."""
    rows = [
        (name, label, compression, split)
        for split in SPLITS
        for (name, label, compression), count in kinds["of"].items()
        for _ in range(count)
    ]
    return pd.DataFrame(rows, columns=["class", "label", "compression", "split"])


def not_known(tables: Dataset) -> list[str]:
    """The limitations that an audit of the whole dataset would report."""
    return [*coverage_gaps(coverage(tables)), *tables.matching_limitations]
