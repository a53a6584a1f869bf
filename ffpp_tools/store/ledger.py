"""What a dataset folder accounts for: misses by category, and whether its files are as recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.files import path_within, sha256
from ffpp_tools.store.schema import STATUSES, STILL, part_path
from ffpp_tools.store.tables import as_text, collect_parts, read_faces, read_frames

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

MISSES = ("no_face", "too_small")
# Categories are said to differ in misses where chance alone would hardly explain it (permutation
# test over all categories) and the rates are so far apart that a classifier could gain by it.
CHANCE = 0.01
MIN_DIFFERENCE = 0.01
PERMUTATIONS, AT_ONCE, SEED = 999, 100, 0
MOST_BLOCKS = 200  # that a category's stills are dealt into at random, to be permuted as cells


def status_counts(frames: pd.DataFrame) -> pd.DataFrame:
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


@dataclass(frozen=True)
class Misses:
    """How often no usable face was found, by category, and whether categories differ."""

    rates: pd.Series  # category → share missed of the frames in which a face was looked for
    p_value: float  # of rates so different if all categories were alike; nan where none can be
    differ: bool  # by more than chance, and by enough to matter, in one and the same test


def compare_misses(frames: pd.DataFrame) -> Misses:
    """Test whether categories differ in how often no face was found.

    Frames of one person are missed or found together, so the categories of clips are compared by
    permuting cells: all frames of one target in one category. The statistic is Welch's: it weighs
    each category by the variance between its own cells, which keeps the test valid where cells
    differ in size (Pauly, Brunner and Konietschke, Asymptotic Permutation Tests in General
    Factorial Designs, 2015). Stills are dealt into at most
    `MOST_BLOCKS` random cells a category. They vary otherwise than clips, and cannot be permuted
    with them: both kinds are compared by a t test over targets. The smallest p-value counts, times
    the number of tests. A category of a single cell is left out.

    Args:
        frames: columns as in `FrameRow`.
    """
    looked = frames.loc[
        frames["status"].isin(["ok", *MISSES]),
        ["category", "compression", "clip", "target_id", "status"],
    ]
    looked = looked.assign(missed=looked["status"].isin(MISSES).astype(float))
    looked = as_text(looked.drop(columns="status"))
    still = looked["compression"] == STILL
    parts = [_cells(part) for part in (looked[~still], looked[still])]
    of_parts = [_rates(part.groupby(level=0).sum()) for part in parts]
    tests = [
        (_permuted(part), rates.max() - rates.min())
        for part, rates in zip(parts, of_parts, strict=True)
    ]
    if all(len(part) for part in parts):
        clips, stills = (part.groupby(level=1).sum() for part in parts)
        apart = _rates(clips.sum()) - _rates(stills.sum())
        tests.append((_apart(clips, stills), abs(apart)))
    known = [(p, spread) for p, spread in tests if not math.isnan(p)]
    corrected = [(min(p * len(known), 1.0), spread) for p, spread in known]
    return Misses(
        pd.concat(of_parts).sort_index(),
        min((p for p, _ in corrected), default=math.nan),
        any(p < CHANCE and spread >= MIN_DIFFERENCE for p, spread in corrected),
    )


def _rates(counts: Any) -> Any:
    """Misses over frames, of one row or of a table of them."""
    return counts["sum"] / counts["size"]


def _cells(looked: pd.DataFrame) -> pd.DataFrame:
    """Misses (`sum`) and frames (`size`) by category and unit; categories of several units."""
    cells = looked.groupby(["category", _units(looked)])["missed"].agg(["sum", "size"])
    return cells[cells.groupby(level=0)["size"].transform("count") > 1]


def _permuted(cells: pd.DataFrame) -> float:
    """The p-value of categories that differ so much; nan where nothing can be compared."""
    starts = np.flatnonzero(~cells.index.get_level_values(0).duplicated())
    if len(starts) < 2 or not 0 < cells["sum"].sum() < cells["size"].sum():
        return math.nan
    misses, sizes = cells["sum"].to_numpy(float), cells["size"].to_numpy(float)
    found = _welch(misses[None], sizes[None], starts)[0]
    rng, reached = np.random.default_rng(SEED), 0
    for start in range(0, PERMUTATIONS, AT_ONCE):
        rows = min(AT_ONCE, PERMUTATIONS - start)
        order = rng.permuted(np.tile(np.arange(len(cells)), (rows, 1)), axis=1)
        drawn = _welch(misses[order], sizes[order], starts)
        reached += int((drawn >= found * (1 - 1e-9)).sum())
    return (reached + 1) / (PERMUTATIONS + 1)


def _apart(clips: pd.DataFrame, stills: pd.DataFrame) -> float:
    """The p-value of Welch's t test of two miss rates, each over its units.

    To each variance are added that of one more unit as influential as the most influential one,
    and of one more of unknown outcome: few clips seldom include one that is missed whole.
    """
    from scipy.special import stdtr

    rates, variances = [], []
    for units in (clips, stills):
        total, count = units["size"].sum(), len(units)
        rate = units["sum"].sum() / total
        squares = (units["sum"] - rate * units["size"]) ** 2 / total**2
        unknown = rate * (1 - rate) / count**2
        variances.append(squares.sum() * count / (count - 1) + squares.max() + unknown)
        rates.append(rate)
    if sum(variances) == 0:  # all of the one are missed and none of the other, or no difference
        return math.nan if rates[0] == rates[1] else 0.0
    counts = np.array([len(clips), len(stills)])
    freedom = sum(variances) ** 2 / (np.square(variances) / (counts - 1)).sum()
    return float(2 * stdtr(freedom, -abs(rates[0] - rates[1]) / math.sqrt(sum(variances))))


def _units(looked: pd.DataFrame) -> pd.Series:
    """What is missed or found together: a target's frames of a category; of stills, a block."""
    rng = np.random.default_rng(SEED)
    order = pd.Series(rng.permutation(len(looked)), looked.index)
    blocks = order.groupby(looked["category"]).rank(method="first").astype(int) % MOST_BLOCKS
    people = looked["target_id"].where(looked["target_id"] != "", looked["clip"])
    return people.astype(str).where(looked["compression"] != STILL, "block " + blocks.astype(str))


def _welch(misses: Floats, sizes: Floats, starts: Ints) -> Floats:
    """Welch's statistic for unequal rates: (w, cells) → (w,).

    A category in which all cells agree would have no variance and weigh infinitely; one more cell,
    as variable as all are on average, is added to each.

    Args:
        misses: (w, cells) in each cell.
        sizes: (w, cells) frames of each cell.
        starts: (categories,) the first cell of each.
    """
    count = np.diff(starts, append=misses.shape[1])
    total = np.add.reduceat(sizes, starts, axis=1)
    rates = np.add.reduceat(misses, starts, axis=1) / total
    deviations = (misses - np.repeat(rates, count, axis=1) * sizes) ** 2
    squares = np.add.reduceat(deviations, starts, axis=1)
    mean = squares.sum(axis=1, keepdims=True) / misses.shape[1]
    weights = total**2 * (count - 1) / count / np.maximum(squares + mean, 1e-12)
    centre = (weights * rates).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    return (weights * (rates - centre) ** 2).sum(axis=1)


def miss_rate_warning(frames: pd.DataFrame) -> str | None:
    """A warning where categories differ in how often no face was found, else None.

    What is missing is not missing at random: a class whose hard frames are left out is easier, and
    a classifier may learn that instead of manipulations.
    """
    found = compare_misses(frames)
    if not found.differ:
        return None
    rates = found.rates
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
        path = path_within(dataset, face.path)
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
