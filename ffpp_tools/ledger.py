"""What a dataset folder accounts for: misses by category, and whether its files are as recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ffpp_tools.files import below, sha256
from ffpp_tools.rows import STATUSES, part_path
from ffpp_tools.tables import collect_parts, read_faces, read_frames

MISSES = ("no_face", "too_small")
# Categories are said to differ in misses when chance alone would hardly (chi-squared test of all
# categories) and the rates are so far apart that a classifier could gain by it.
CHANCE = 0.01
MIN_DIFFERENCE = 0.01


def account(frames: pd.DataFrame) -> pd.DataFrame:
    """The ledger in short.

    Args:
        frames: columns as in `FrameRow`.

    Returns:
        Rows (category, compression); columns `planned`, one of each status that occurs, and
        `miss_rate`: the share without a usable face among the frames in which one was looked for.
    """
    keys = [frames["category"], frames["compression"]]
    counts = pd.crosstab(keys, frames["status"])
    counts = counts.reindex(columns=[s for s in STATUSES if s in counts.columns])
    missed = counts.reindex(columns=MISSES, fill_value=0).sum(axis=1)
    looked = missed + counts.reindex(columns=["ok"], fill_value=0)["ok"]
    rates = (missed / looked.where(looked > 0)).rename("miss_rate")
    return pd.concat([counts.sum(axis=1).rename("planned"), counts, rates], axis=1)


def unequal_misses(frames: pd.DataFrame) -> str | None:
    """A warning where categories differ in how often no face was found, else None.

    What is missing is not missing at random: a class whose hard frames are left out is easier, and
    a classifier may learn that instead of manipulations.
    """
    from scipy.special import chdtrc

    looked = frames[frames["status"].isin(["ok", *MISSES])]
    table = pd.crosstab(looked["category"], looked["status"].isin(MISSES))
    if table.shape[0] < 2 or table.shape[1] < 2:
        return None
    rates = table[True] / table.sum(axis=1)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.to_numpy().sum()
    chi_squared = ((table - expected) ** 2 / expected).to_numpy().sum()
    by_chance = chdtrc(table.shape[0] - 1, chi_squared)
    if by_chance >= CHANCE or rates.max() - rates.min() < MIN_DIFFERENCE:
        return None
    return (
        f"categories differ in misses, from {rates.min():.1%} ({rates.idxmin()}) to "
        f"{rates.max():.1%} ({rates.idxmax()}): a classifier could learn which frames are missing"
    )


def verify(dataset: Path) -> Iterator[str]:
    """Everything in a dataset folder that is not as its tables say, with a remedy.

    Raises:
        TableError: a table is missing or unreadable.
    """
    recorded = {"frames.parquet": read_frames(dataset), "faces.parquet": read_faces(dataset)}
    frames, faces = collected = collect_parts(dataset)
    for (name, table), expected in zip(recorded.items(), collected, strict=True):
        if not table.equals(expected):
            yield f"{name} is not what parts/ says; run the same command without --verify"
    faces = faces.merge(frames[["frame_id", "category", "compression", "clip"]], on="frame_id")
    for face in faces.itertuples():
        path = below(dataset, face.path)
        what = "is missing"
        if path.is_file():
            if sha256(path) == face.sha256:
                continue
            what = "was changed"
        part = part_path(face.category, face.compression, face.clip)
        yield f"{face.path} {what}; delete {part} and run the command without --verify"
    known = {dataset / path for path in faces["path"]}
    for path in sorted((dataset / "faces").rglob("*")):
        if path.is_file() and path not in known:
            yield f"{path.relative_to(dataset)} is foreign: no row of faces.parquet names it"
    for path in sorted((dataset / "parts").rglob("*")):
        if path.is_file() and path.suffix != ".json":
            yield f"{path.relative_to(dataset)} is foreign: not a part"
