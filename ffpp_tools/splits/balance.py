"""Class balancing: the number of samples of each class, and their selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import SettingsError, SplitError
from ffpp_tools.splits import pairs
from ffpp_tools.splits.compressions import clip_compressions
from ffpp_tools.store.schema import SPLITS, STILL

FIRST = 10  # more than any `draw`
_Cell = tuple[pd.DataFrame, int]  # rows of a category, number of them to draw


def balanced(
    samples: pd.DataFrame,
    counts: Mapping[str, int],
    strata: Mapping[str, Mapping[str, int]] | None = None,
    every_group: bool = False,
) -> dict[str, pd.DataFrame]:
    """Select the given number of samples of each class in each split.

    The samples of a class are drawn evenly from its categories and their clips. Fakes are drawn at
    the frames of the selected originals, see `pairs.spread_methods`.

    Args:
        samples: in the order that the selected samples keep; columns class, label, category,
            compression, clip, split, `face` and `original` (positions of the crop and of its pair's
            original, or -1) and `draw`, a random number that breaks ties between equivalent samples
            and is the same for all members of a pair; `group` for every_group.
        counts: split → number of samples of each class; `capacity` returns the maximum.
        strata: split → compression → number of samples of each class that consists of clips; they
            sum to the split's count. None to ignore compression.
        every_group: select a sample of each identity group first, as far as the counts allow.
    """
    columns = ["class", "label", "category", "compression", "clip", "face", "original", "draw"]
    slim = samples[[*columns, "group"] if every_group else columns]
    splits = {}
    for split in SPLITS:
        cells: list[_Cell] = []
        for _, class_rows in slim[samples["split"] == split].groupby("class"):
            cells += _cells(class_rows, counts[split], strata[split] if strata else None)
        preferred = _one_of_each_group(cells) if every_group else None
        drawn = [rows.index for rows in _drawn(cells, partial(_evenly, preferred=preferred))]
        splits[split] = samples.loc[np.sort(np.concatenate(drawn))]
    return splits


def at_random(
    samples: pd.DataFrame, counts: Mapping[str, int], strata: Mapping[str, int] | None = None
) -> dict[str, pd.DataFrame]:
    """Select samples as `balanced` does, but split them frame by frame, ignoring identity groups.

    `draw` selects samples. `order`, a second random number, assigns the selected samples to splits.
    `strata` counts samples per compression over all splits; each split gets its share of them.
    """
    chosen: dict[str, list[pd.DataFrame]] = {split: [] for split in SPLITS}
    cells: list[_Cell] = []
    for _, rows in samples.groupby("class"):
        cells += _cells(rows, sum(counts.values()), strata)
    drawn = pd.concat(_drawn(cells, lambda rows, quota: rows.nsmallest(quota, "draw")))
    for _, rows in samples.loc[drawn.index].groupby("class"):
        selected, start = rows.sort_values("order"), 0
        if strata:
            selected = selected.iloc[_interleaved(selected["compression"])]
        for split in SPLITS:
            chosen[split].append(selected.iloc[start : start + counts[split]])
            start += counts[split]
    return {split: pd.concat(parts).sort_index() for split, parts in chosen.items()}


def capacity(
    rows: pd.DataFrame, classes: Mapping[str, Sequence[str]], equal_methods: bool = True
) -> dict[str, int]:
    """Return the maximum number of samples of each class.

    Args:
        rows: the available samples; columns class, category and label.
        classes: class → its categories.
        equal_methods: a fake class has the same number of samples of each of its categories.
    """
    maximum = {}
    for name, categories in classes.items():
        class_rows = rows[rows["class"] == name]
        sizes = class_rows["category"].value_counts().reindex(list(categories), fill_value=0)
        if equal_methods and len(class_rows) and class_rows["label"].iloc[0] == "fake":
            maximum[name] = int(sizes.min()) * len(sizes)
        else:
            maximum[name] = len(class_rows)
    return maximum


def strata_capacity(
    rows: pd.DataFrame,
    classes: Mapping[str, Sequence[str]],
    count: int,
    equal_methods: bool = True,
) -> dict[str, int]:
    """Return, for each compression, how many samples each class of clips can provide.

    A class that also has stills keeps the proportion of clips that it has among `count` samples;
    it limits every compression of which it has too few clips for that proportion.

    Args:
        rows: the available samples, as for `capacity`, with column compression.
        classes: class → its categories.
        count: number of samples of each class, ignoring compression.
        equal_methods: a fake class has the same number of samples of each of its categories.
    """
    compressions = clip_compressions(rows)
    maximum = dict.fromkeys(compressions, count)
    for name, categories in classes.items():
        class_rows = rows[rows["class"] == name]
        wanted, sizes = _clip_count(class_rows, count), _clip_sizes(class_rows)
        if not wanted:
            continue
        if equal_methods and class_rows["label"].iloc[0] == "fake":
            methods = [c for c in categories if c in sizes.index]
            available = sizes.loc[methods].min() * len(methods)
        else:
            available = sizes.sum()
        for compression in compressions:
            # Rounded down, so that the class's share of this count never exceeds its samples.
            limit = int(available.get(compression, 0)) * count // wanted
            maximum[compression] = min(maximum[compression], limit)
    return maximum


def strata_counts(maximum: Mapping[str, int], count: int, step: int = 1) -> dict[str, int]:
    """Distribute `count` samples over compressions as equally as `maximum` allows.

    Each count is a multiple of `step`.

    >>> strata_counts({"c23": 50, "c40": 18}, 60, 4)
    {'c40': 16, 'c23': 44}
    """
    quotas = _quotas({c: n // step for c, n in maximum.items()}, count // step)
    return {compression: quota * step for compression, quota in quotas.items()}


def count_multiple(rows: pd.DataFrame, classes: Sequence[str]) -> int:
    """Return the number of which samples per class must be a multiple.

    Only then can all methods have equally many fakes. It is the least common multiple of the
    number of methods of each fake class.
    """
    fakes = rows[rows["label"] == "fake"].groupby("class")["category"].nunique()
    return int(np.lcm.reduce([int(fakes.get(name, 1)) for name in classes]))


def shrunk(counts: Mapping[str, int], available: Mapping[str, int]) -> dict[str, int]:
    """Scale all counts down by the same factor until every split can be filled.

    >>> shrunk({"train": 14000, "val": 750, "test": 2000}, {"train": 900, "val": 75, "test": 100})
    {'train': 700, 'val': 37, 'test': 100}

    Args:
        counts: split → requested number of samples of each class.
        available: split → number of samples of the smallest class.

    Raises:
        SplitError: a split would be empty.
    """
    scarcest = min((s for s in counts if counts[s]), key=lambda s: available[s] / counts[s])
    largest = min(available[scarcest], counts[scarcest])
    scaled = {split: n * largest // counts[scarcest] for split, n in counts.items()}
    if empty := [s for s in counts if counts[s] and not scaled[s]]:
        raise SplitError(
            f"shrinking all classes to the smallest leaves no samples in {', '.join(empty)}: the "
            f"smallest class has {_by_split(available)} samples, and {_by_split(counts)} were "
            f"requested. Extract more."
        )
    return scaled


def apportioned(total: int, ratios: Mapping[str, float]) -> dict[str, int]:
    """Divide `total` by `ratios`; val and test are rounded, with at least one sample each.

    >>> apportioned(16750, {"train": 0.84, "val": 0.04, "test": 0.12})
    {'train': 14070, 'val': 670, 'test': 2010}
    """
    if total < 3:
        raise SettingsError(f"per_class ({total}) must be at least 3, one for each split")
    val, test = (max(round(total * ratios[s]), 1) for s in ("val", "test"))
    if val + test >= total:
        raise SettingsError(f"per_class ({total}) leaves no training samples at these ratios")
    return {"train": total - val - test, "val": val, "test": test}


def _by_split(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {split}" for split, n in counts.items())


def _drawn(
    cells: Sequence[_Cell], draw: Callable[[pd.DataFrame, int], pd.DataFrame]
) -> list[pd.DataFrame]:
    """Return the rows that `draw` selects of each cell; of fakes, at frames of selected originals.

    Args:
        cells: of one or all splits.
        draw: returns the given number of rows, lowest `draw` first.
    """
    is_fake = [bool((rows["label"] == "fake").any()) for rows, _ in cells]
    drawn = [draw(*cell) for cell, fake in zip(cells, is_fake, strict=True) if not fake]
    fakes = [cell for cell, fake in zip(cells, is_fake, strict=True) if fake]
    if not drawn or not fakes:
        return drawn + [draw(*cell) for cell in fakes]
    reals = pd.concat(drawn)
    originals = reals[reals["face"] == reals["original"]]
    classes = [rows["class"].iloc[0] for rows, _ in fakes]
    for name in dict.fromkeys(classes):
        of_class = [cell for cell, other in zip(fakes, classes, strict=True) if other == name]
        rows = pd.concat([rows for rows, _ in of_class])
        order = pairs.spread_methods(rows, originals, sum(quota for _, quota in of_class))
        drawn += [draw(rows.assign(draw=order[rows.index]), quota) for rows, quota in of_class]
    return drawn


def _evenly(rows: pd.DataFrame, quota: int, preferred: pd.Index | None = None) -> pd.DataFrame:
    """Return `quota` rows of one category, drawn as evenly as possible from its clips.

    Rows in `preferred` come before all others.
    """
    if preferred is not None:  # first of their clips
        rows = rows.assign(draw=rows["draw"] - FIRST * rows.index.isin(preferred))
    rows = rows.sort_values("draw", kind="stable")
    turn = rows.groupby(["compression", "clip"]).cumcount()
    keys = [rows["draw"], turn]
    order = np.lexsort(keys)  # the first sample of each clip, then the second of each clip, …
    return rows.iloc[order[:quota]]


def _cells(rows: pd.DataFrame, count: int, strata: Mapping[str, int] | None) -> list[_Cell]:
    """Divide `count` samples of a class into cells, each (its rows, number of samples to draw).

    Without strata, a cell is a category. With strata, a cell is a category at one compression, and
    the compressions of the class's clips are in the proportion of the strata.
    """
    if not strata:
        quotas = _quotas(rows["category"].value_counts().to_dict(), count)
        return [(rows[rows["category"] == name], quota) for name, quota in quotas.items()]
    sizes = _clip_sizes(rows)
    cells: list[_Cell] = []
    given: dict[str, int] = dict.fromkeys(sizes.index, 0)
    for compression, quota in _clips_by_compression(rows, count, strata).items():
        available: dict[str, int] = {}
        if compression in sizes:
            available = sizes[compression].loc[lambda n: n > 0].to_dict()
        for name, cell_quota in _fair_quotas(available, quota, given).items():
            given[name] += cell_quota
            in_cell = (rows["category"] == name) & (rows["compression"] == compression)
            cells.append((rows[in_cell], cell_quota))
    stills = rows[rows["compression"] == STILL]
    remaining = count - sum(quota for _, quota in cells)
    quotas = _quotas(stills["category"].value_counts().to_dict(), remaining)
    return cells + [(stills[stills["category"] == name], n) for name, n in quotas.items()]


def _clip_sizes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the number of samples from clips, category × compression."""
    clips = rows[rows["compression"] != STILL]
    return pd.crosstab(clips["category"], clips["compression"])


def _clip_count(rows: pd.DataFrame, count: int) -> int:
    """Return how many of `count` samples of a class, drawn evenly by category, are from clips."""
    quotas = _quotas(rows["category"].value_counts().to_dict(), count)
    clips = (rows["compression"] != STILL).groupby(rows["category"]).mean()
    return int(sum(quota * float(clips[name]) for name, quota in quotas.items()))


def _clips_by_compression(
    rows: pd.DataFrame, count: int, strata: Mapping[str, int]
) -> dict[str, int]:
    """Return compression → number of clip samples of a class, in the proportion of the strata."""
    if (rows["compression"] != STILL).all():
        return dict(strata)
    available = _clip_sizes(rows).sum()
    used = {c: n for c, n in strata.items() if n}
    maximum = min(int(available.get(c, 0)) * count // n for c, n in used.items())
    clips = min(_clip_count(rows, count), maximum)
    exact = {c: clips * n for c, n in used.items()}  # in units of 1 / count
    quotas = {c: n // count for c, n in exact.items()}
    by_remainder = sorted(used, key=lambda c: (-(exact[c] % count), c))
    for compression in by_remainder[: clips - sum(quotas.values())]:
        quotas[compression] += 1
    return quotas


def _fair_quotas(
    available: Mapping[str, int], count: int, given: Mapping[str, int]
) -> dict[str, int]:
    """As `_quotas`, but a remainder goes to the categories with the smallest `given` counts."""
    each, remainder = divmod(count, max(len(available), 1))
    if not available or min(available.values()) < each + bool(remainder):
        return _quotas(available, count)
    by_need = sorted(available, key=lambda name: (given[name], name))
    return {name: each + (position < remainder) for position, name in enumerate(by_need)}


def _interleaved(values: pd.Series) -> npt.NDArray[np.intp]:
    """Return an order in which every stretch has each value in about its overall proportion."""
    place = values.groupby(values).cumcount() + 0.5
    return np.lexsort((values, place / values.groupby(values).transform("size")))


def _one_of_each_group(cells: Sequence[_Cell]) -> pd.Index:
    """Return a sample of each identity group, within the cells' quotas.

    Each group uses the cell with the largest remaining quota. Groups that are in few cells come
    first, because they have the fewest alternatives.
    """
    of_cell = []
    for cell, (rows, _) in enumerate(cells):
        first = rows.sort_values("draw", kind="stable").drop_duplicates("group")
        of_cell.append(pd.DataFrame({"group": first["group"], "cell": cell, "row": first.index}))
    choices = pd.concat(of_cell).groupby("group")[["cell", "row"]].agg(list)
    choices["n_cells"] = choices["cell"].map(len)
    remaining = [quota for _, quota in cells]
    chosen = []
    for group in choices.sort_values(["n_cells", "group"]).itertuples():
        cell, row = max(
            zip(group.cell, group.row, strict=True),
            key=lambda choice: (remaining[choice[0]], -choice[0]),
        )
        if remaining[cell]:
            remaining[cell] -= 1
            chosen.append(row)
    return pd.Index(chosen)


def _quotas(available: Mapping[str, int], count: int) -> dict[str, int]:
    """Divide `count` over categories as equally as their available samples allow.

    >>> _quotas({"CelebA": 600, "CelebA-HQ": 40, "Youtube": 150}, 500)
    {'CelebA-HQ': 40, 'Youtube': 150, 'CelebA': 310}
    """
    quotas = {}
    remaining = count
    by_size = sorted(available, key=lambda name: (available[name], name))
    for position, name in enumerate(by_size):
        quotas[name] = min(available[name], remaining // (len(by_size) - position))
        remaining -= quotas[name]
    return quotas
