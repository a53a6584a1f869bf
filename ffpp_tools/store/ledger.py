"""Status counts and miss rates by category, and verification of a dataset's files."""

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
from ffpp_tools.store.tables import as_text, collect_parts, read_faces, read_frames, read_landmarks

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

MISSES = ("no_face", "too_small")
# The miss rates of categories are reported as different if the difference is significant
# (permutation test over all categories) and large enough for a classifier to exploit.
CHANCE = 0.01  # significance level
MIN_DIFFERENCE = 0.01  # between the highest and the lowest miss rate
PERMUTATIONS, AT_ONCE, SEED = 999, 100, 0
MOST_BLOCKS = 200  # number of random blocks of a category's stills, which are permuted as cells


def status_counts(frames: pd.DataFrame) -> pd.DataFrame:
    """Count frames by category, compression and status.

    Args:
        frames: columns as in `FrameRow`.

    Returns:
        Rows (category, compression); columns `planned`, each status that occurs, and `miss_rate`:
        the fraction of frames without a usable face among those on which detection was run.
    """
    keys = [frames["category"], frames["compression"]]
    counts = pd.crosstab(keys, frames["status"])
    counts = counts.reindex(columns=[s for s in STATUSES if s in counts.columns])
    missed = counts.reindex(columns=MISSES, fill_value=0).sum(axis=1)
    searched = missed + counts.reindex(columns=["ok"], fill_value=0)["ok"]
    rates = (missed / searched.where(searched > 0)).rename("miss_rate")
    return pd.concat([counts.sum(axis=1).rename("planned"), counts, rates], axis=1)


@dataclass(frozen=True)
class Misses:
    """Miss rates by category (no usable face found), and whether they differ."""

    rates: pd.Series  # category → miss rate among the frames on which detection was run
    p_value: float  # of the test for equal rates in all categories; nan if nothing can be compared
    differ: bool  # whether one test shows a significant difference of at least MIN_DIFFERENCE


def compare_misses(frames: pd.DataFrame) -> Misses:
    """Test whether the miss rates of categories differ.

    Detection failures are correlated within a person's frames. Categories of clips are therefore
    compared by permuting cells, where a cell is all frames of one target in one category. The
    statistic is Welch's: it weights each category by the variance between its cells, which keeps
    the test valid for cells of different sizes (Pauly, Brunner and Konietschke, Asymptotic
    Permutation Tests in General Factorial Designs, 2015). Stills are assigned at random to at most
    `MOST_BLOCKS` cells per category. Their variance differs from that of clips, so that they cannot
    be permuted with clips: clips and stills are compared by a t test over targets. The result is
    the smallest p-value times the number of tests. Categories with a single cell are excluded.

    Args:
        frames: columns as in `FrameRow`.
    """
    searched = frames.loc[
        frames["status"].isin(["ok", *MISSES]),
        ["category", "compression", "clip", "target_id", "status"],
    ]
    searched = searched.assign(missed=searched["status"].isin(MISSES).astype(float))
    searched = as_text(searched.drop(columns="status"))
    is_still = searched["compression"] == STILL
    media = [_cells(rows) for rows in (searched[~is_still], searched[is_still])]
    rates_of_media = [_rates(cells.groupby(level=0).sum()) for cells in media]
    tests = [
        (_permutation_p_value(cells), rates.max() - rates.min())
        for cells, rates in zip(media, rates_of_media, strict=True)
    ]
    if all(len(cells) for cells in media):
        clips, stills = (cells.groupby(level=1).sum() for cells in media)
        difference = _rates(clips.sum()) - _rates(stills.sum())
        tests.append((_t_test_p_value(clips, stills), abs(difference)))
    valid = [(p, spread) for p, spread in tests if not math.isnan(p)]
    corrected = [(min(p * len(valid), 1.0), spread) for p, spread in valid]
    return Misses(
        pd.concat(rates_of_media).sort_index(),
        min((p for p, _ in corrected), default=math.nan),
        any(p < CHANCE and spread >= MIN_DIFFERENCE for p, spread in corrected),
    )


def _rates(counts: Any) -> Any:
    """Return misses divided by frames, of one row or of every row of a table."""
    return counts["sum"] / counts["size"]


def _cells(searched: pd.DataFrame) -> pd.DataFrame:
    """Count misses (`sum`) and frames (`size`) by category and unit.

    Categories with a single unit are excluded.
    """
    cells = searched.groupby(["category", _units(searched)])["missed"].agg(["sum", "size"])
    return cells[cells.groupby(level=0)["size"].transform("count") > 1]


def _permutation_p_value(cells: pd.DataFrame) -> float:
    """Return the p-value for equal miss rates of all categories; nan if nothing can be compared."""
    starts = np.flatnonzero(~cells.index.get_level_values(0).duplicated())
    if len(starts) < 2 or not 0 < cells["sum"].sum() < cells["size"].sum():
        return math.nan
    misses, sizes = cells["sum"].to_numpy(float), cells["size"].to_numpy(float)
    observed = _welch(misses[None], sizes[None], starts)[0]
    rng, n_as_large = np.random.default_rng(SEED), 0
    for start in range(0, PERMUTATIONS, AT_ONCE):
        rows = min(AT_ONCE, PERMUTATIONS - start)
        order = rng.permuted(np.tile(np.arange(len(cells)), (rows, 1)), axis=1)
        permuted = _welch(misses[order], sizes[order], starts)
        n_as_large += int((permuted >= observed * (1 - 1e-9)).sum())
    return (n_as_large + 1) / (PERMUTATIONS + 1)


def _t_test_p_value(clips: pd.DataFrame, stills: pd.DataFrame) -> float:
    """Return the p-value of Welch's t test of two miss rates, each over its units.

    Each variance is increased by that of one more unit as influential as the most influential one,
    and of one more unit with unknown outcome: a few clips rarely include one in which every frame
    is missed, so that their variance is underestimated.
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
    if sum(variances) == 0:  # one rate is 0 and the other 1, or both are equal
        return math.nan if rates[0] == rates[1] else 0.0
    counts = np.array([len(clips), len(stills)])
    freedom = sum(variances) ** 2 / (np.square(variances) / (counts - 1)).sum()
    return float(2 * stdtr(freedom, -abs(rates[0] - rates[1]) / math.sqrt(sum(variances))))


def _units(searched: pd.DataFrame) -> pd.Series:
    """Return the unit that each frame belongs to: its target or, for a still, a random block."""
    rng = np.random.default_rng(SEED)
    order = pd.Series(rng.permutation(len(searched)), searched.index)
    blocks = order.groupby(searched["category"]).rank(method="first").astype(int) % MOST_BLOCKS
    people = searched["target_id"].where(searched["target_id"] != "", searched["clip"])
    return people.astype(str).where(searched["compression"] != STILL, "block " + blocks.astype(str))


def _welch(misses: Floats, sizes: Floats, starts: Ints) -> Floats:
    """Compute Welch's statistic for unequal rates: (w, cells) → (w,).

    A category whose cells all have the same rate would have zero variance and infinite weight.
    Therefore one more cell, with the average variance of all cells, is added to each category.

    Args:
        misses: (w, cells) misses of each cell.
        sizes: (w, cells) frames of each cell.
        starts: (categories,) index of the first cell of each category.
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
    """Return a warning if the miss rates of categories differ, else None.

    Frames are not missing at random: a class that has lost its hard frames is easier to classify,
    and a classifier may learn this instead of the manipulation.
    """
    misses = compare_misses(frames)
    if not misses.differ:
        return None
    rates = misses.rates
    return (
        f"miss rates range from {rates.min():.1%} ({rates.idxmin()}) to "
        f"{rates.max():.1%} ({rates.idxmax()}): detection failures differ by category, which may "
        f"bias the comparison"
    )


def verify(dataset: Path) -> Iterator[str]:
    """Yield each file of a dataset folder that does not match its tables, with a remedy.

    Raises:
        TableError: a table is missing or unreadable.
    """
    collected = collect_parts(dataset)
    frames, faces = collected.frames, collected.faces
    recorded = {
        "frames.parquet": (read_frames(dataset), frames),
        "faces.parquet": (read_faces(dataset), faces),
        "landmarks.parquet": (read_landmarks(dataset), collected.landmarks),
    }
    for name, (table, expected) in recorded.items():
        if not table.equals(expected):
            yield f"{name} does not match parts/; run the same command without --verify"
    faces = faces.merge(frames[["frame_id", "category", "compression", "clip"]], on="frame_id")
    for face in faces.itertuples():
        path = path_within(dataset, face.path)
        problem = "is missing"
        if path.is_file():
            if sha256(path) == face.sha256:
                continue
            problem = "was changed"
        part = part_path(face.category, face.compression, face.clip)
        yield f"{face.path} {problem}; delete {part} and run the command without --verify"
    expected_files = {dataset / path for path in faces["path"]}
    for path in sorted((dataset / "faces").rglob("*")):
        if path.is_file() and path not in expected_files:
            yield f"{path.relative_to(dataset)} is unexpected: it is not listed in faces.parquet"
    for path in sorted((dataset / "parts").rglob("*")):
        if path.is_file() and path.suffix != ".json":
            yield f"{path.relative_to(dataset)} is unexpected: it is not a part"
