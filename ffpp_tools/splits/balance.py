"""Equal classes: how many samples of each, and which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import SettingsError, SplitError
from ffpp_tools.splits.compressions import clip_compressions
from ffpp_tools.store.schema import SPLITS, STILL


def balanced(
    samples: pd.DataFrame,
    counts: Mapping[str, int],
    strata: Mapping[str, Mapping[str, int]] | None = None,
    every_group: bool = False,
) -> dict[str, pd.DataFrame]:
    """So many samples of every class in each split, evenly from its categories and their clips.

    Args:
        samples: in the order that those of a split are to have; columns class, category,
            compression, clip, split and `draw`, a random number that decides between samples that
            are otherwise alike; `group` for every_group.
        counts: split → samples of each class; `capacity` says how many there can be.
        strata: split → compression → samples of each class that consists of clips, which sum to
            the split's count; None draws without regard to compression.
        every_group: take a sample of each identity group first, as far as the counts allow.
    """
    columns = ["class", "category", "compression", "clip", "draw"]
    slim = samples[[*columns, "group"] if every_group else columns]
    splits = {}
    for split in SPLITS:
        rows = slim[samples["split"] == split]
        cells: list[tuple[pd.DataFrame, int]] = []
        for _, own in rows.groupby("class"):
            cells += _cells(own, counts[split], strata[split] if strata else None)
        first = _one_of_each_group(cells) if every_group else None
        drawn = [_drawn(part, quota, first) for part, quota in cells]
        splits[split] = samples.loc[np.sort(np.concatenate(drawn))]
    return splits


def at_random(
    samples: pd.DataFrame, counts: Mapping[str, int], strata: Mapping[str, int] | None = None
) -> dict[str, pd.DataFrame]:
    """As `balanced`, but splits are drawn frame by frame, whoever is in them.

    `order` is a second random number: of those that `draw` has chosen, it decides on the split.
    `strata` are samples per compression, over all splits; each split gets its share of them.
    """
    chosen: dict[str, list[pd.DataFrame]] = {split: [] for split in SPLITS}
    for _, rows in samples.groupby("class"):
        cells = _cells(rows, sum(counts.values()), strata)
        mixed = pd.concat([part.nsmallest(quota, "draw") for part, quota in cells])
        mixed, at = mixed.sort_values("order"), 0
        if strata:
            mixed = mixed.iloc[_interleaved(mixed["compression"])]
        for split in SPLITS:
            chosen[split].append(mixed.iloc[at : at + counts[split]])
            at += counts[split]
    return {split: pd.concat(parts).sort_index() for split, parts in chosen.items()}


def capacity(
    rows: pd.DataFrame, classes: Mapping[str, Sequence[str]], equal_methods: bool = True
) -> dict[str, int]:
    """How many samples each class can give, if asked to with equally many fakes of each method.

    Args:
        rows: what there is; columns class, category and label.
        classes: class → the categories that it is to be made of.
        equal_methods: a fake class gives no more of one category than of another.
    """
    there = {}
    for name, categories in classes.items():
        own = rows[rows["class"] == name]
        sizes = own["category"].value_counts().reindex(list(categories), fill_value=0)
        if equal_methods and len(own) and own["label"].iloc[0] == "fake":
            there[name] = int(sizes.min()) * len(sizes)
        else:
            there[name] = len(own)
    return there


def strata_capacity(
    rows: pd.DataFrame,
    classes: Mapping[str, Sequence[str]],
    count: int,
    equal_methods: bool = True,
) -> dict[str, int]:
    """Compression → how many samples each class that consists of clips can give of it.

    A class with stills as well gives clips in the proportion that it has among `count` samples; it
    limits a compression of which it lacks the clips for that.

    Args:
        rows: as `capacity` takes them; and column compression.
        classes: class → the categories that it is to be made of.
        count: samples of each class, were compression of no account.
        equal_methods: a fake class gives no more of one category than of another.
    """
    compressions = clip_compressions(rows)
    most = dict.fromkeys(compressions, count)
    for name, categories in classes.items():
        own = rows[rows["class"] == name]
        wanted, sizes = _wanted_clips(own, count), _clips(own)
        if not wanted:
            continue
        if equal_methods and own["label"].iloc[0] == "fake":
            methods = [c for c in categories if c in sizes.index]
            there = sizes.loc[methods].min() * len(methods)
        else:
            there = sizes.sum()
        for compression in compressions:
            # Rounded down: a share of it is then never more than there is.
            can = int(there.get(compression, 0)) * count // wanted
            most[compression] = min(most[compression], can)
    return most


def strata_counts(most: Mapping[str, int], count: int, step: int = 1) -> dict[str, int]:
    """`count` samples over compressions, as equally as `most` allows, each a multiple of `step`.

    >>> strata_counts({"c23": 50, "c40": 18}, 60, 4)
    {'c40': 16, 'c23': 44}
    """
    quotas = _quotas({c: n // step for c, n in most.items()}, count // step)
    return {compression: quota * step for compression, quota in quotas.items()}


def count_multiple(rows: pd.DataFrame, classes: Sequence[str]) -> int:
    """The number of samples of a class must be a multiple of this for its fakes to be equal."""
    fakes = rows[rows["label"] == "fake"].groupby("class")["category"].nunique()
    return int(np.lcm.reduce([int(fakes.get(name, 1)) for name in classes]))


def shrunk(counts: Mapping[str, int], there: Mapping[str, int]) -> dict[str, int]:
    """Counts scaled down together until every split can be filled.

    >>> shrunk({"train": 14000, "val": 750, "test": 2000}, {"train": 900, "val": 75, "test": 100})
    {'train': 700, 'val': 37, 'test': 100}

    Args:
        counts: split → samples of each class that were asked for.
        there: split → samples that the scarcest class has.

    Raises:
        SplitError: nothing would be left of a split.
    """
    scarcest = min((s for s in counts if counts[s]), key=lambda s: there[s] / counts[s])
    most = min(there[scarcest], counts[scarcest])
    scaled = {split: n * most // counts[scarcest] for split, n in counts.items()}
    if empty := [s for s in counts if counts[s] and not scaled[s]]:
        raise SplitError(
            f"shrinking to what the scarcest class can fill leaves nothing of {', '.join(empty)}: "
            f"it has {dict(there)}, and {dict(counts)} were asked for. Extract more."
        )
    return scaled


def apportioned(total: int, ratios: Mapping[str, float]) -> dict[str, int]:
    """`total` split by `ratios`, val and test rounded, at least one each.

    >>> apportioned(16750, {"train": 0.84, "val": 0.04, "test": 0.12})
    {'train': 14070, 'val': 670, 'test': 2010}
    """
    if total < 3:
        raise SettingsError(f"per_class ({total}) must be at least 3, one for each split")
    val, test = (max(round(total * ratios[s]), 1) for s in ("val", "test"))
    if val + test >= total:
        raise SettingsError(f"per_class ({total}) leaves nothing to train on at these ratios")
    return {"train": total - val - test, "val": val, "test": test}


def _drawn(
    rows: pd.DataFrame, quota: int, first: pd.Index | None = None
) -> npt.NDArray[np.integer]:
    """The index of `quota` rows of one category, as evenly as can be from its clips.

    `first` are rows to be preferred to other clips' first.
    """
    part = rows.sort_values("draw")
    turn = part.groupby(["compression", "clip"]).cumcount()
    keys = [part["draw"], turn] if first is None else [part["draw"], ~part.index.isin(first), turn]
    order = np.lexsort(keys)  # every clip's first, then every second, …
    return part.index.to_numpy()[order[:quota]]


def _cells(
    rows: pd.DataFrame, count: int, strata: Mapping[str, int] | None
) -> list[tuple[pd.DataFrame, int]]:
    """What `count` samples of a class are drawn from: rows, and how many of them.

    Without strata the cells are the categories; else categories by compression, such that the
    class's clips have the compressions in the proportion of the strata.
    """
    if not strata:
        quotas = _quotas(rows["category"].value_counts().to_dict(), count)
        return [(rows[rows["category"] == name], quota) for name, quota in quotas.items()]
    sizes, cells = _clips(rows), []
    given: dict[str, int] = dict.fromkeys(sizes.index, 0)
    for compression, quota in _clips_wanted(rows, count, strata).items():
        there = sizes[compression].loc[lambda n: n > 0].to_dict() if compression in sizes else {}
        for name, part in _dealt(there, quota, given).items():
            given[name] += part
            at = (rows["category"] == name) & (rows["compression"] == compression)
            cells.append((rows[at], part))
    stills = rows[rows["compression"] == STILL]
    left = count - sum(quota for _, quota in cells)
    quotas = _quotas(stills["category"].value_counts().to_dict(), left)
    return cells + [(stills[stills["category"] == name], n) for name, n in quotas.items()]


def _clips(rows: pd.DataFrame) -> pd.DataFrame:
    """How many samples of clips there are: category × compression."""
    clips = rows[rows["compression"] != STILL]
    return pd.crosstab(clips["category"], clips["compression"])


def _wanted_clips(rows: pd.DataFrame, count: int) -> int:
    """How many of `count` samples of a class are clips', drawn evenly from its categories."""
    quotas = _quotas(rows["category"].value_counts().to_dict(), count)
    clips = (rows["compression"] != STILL).groupby(rows["category"]).mean()
    return int(sum(quota * float(clips[name]) for name, quota in quotas.items()))


def _clips_wanted(rows: pd.DataFrame, count: int, strata: Mapping[str, int]) -> dict[str, int]:
    """Compression → how many samples of a class, in the proportion of the strata."""
    if (rows["compression"] != STILL).all():
        return dict(strata)
    there = _clips(rows).sum()
    used = {c: n for c, n in strata.items() if n}
    most = min(int(there.get(c, 0)) * count // n for c, n in used.items())
    clips = min(_wanted_clips(rows, count), most)
    exact = {c: clips * n for c, n in used.items()}  # in counts of 1 / count
    quotas = {c: n // count for c, n in exact.items()}
    by_rest = sorted(used, key=lambda c: (-(exact[c] % count), c))
    for compression in by_rest[: clips - sum(quotas.values())]:
        quotas[compression] += 1
    return quotas


def _dealt(there: Mapping[str, int], count: int, given: Mapping[str, int]) -> dict[str, int]:
    """As `_quotas`; what cannot be shared equally goes to those that were given least so far."""
    each, more = divmod(count, max(len(there), 1))
    if not there or min(there.values()) < each + bool(more):
        return _quotas(there, count)
    by_need = sorted(there, key=lambda name: (given[name], name))
    return {name: each + (place < more) for place, name in enumerate(by_need)}


def _interleaved(values: pd.Series) -> npt.NDArray[np.intp]:
    """An order in which every stretch holds each value in about the proportion of the whole."""
    place = values.groupby(values).cumcount() + 0.5
    return np.lexsort((values, place / values.groupby(values).transform("size")))


def _one_of_each_group(cells: Sequence[tuple[pd.DataFrame, int]]) -> pd.Index:
    """A sample of each identity group, from the cell that has most room; no more than its quota.

    Groups that are in few cells come first: they have the least choice.
    """
    of_cell = []
    for cell, (rows, _) in enumerate(cells):
        first = rows.sort_values("draw").drop_duplicates("group")
        of_cell.append(pd.DataFrame({"group": first["group"], "cell": cell, "row": first.index}))
    choices = pd.concat(of_cell).groupby("group")[["cell", "row"]].agg(list)
    choices["few"] = choices["cell"].map(len)
    room = [quota for _, quota in cells]
    chosen = []
    for group in choices.sort_values(["few", "group"]).itertuples():
        cell, row = max(
            zip(group.cell, group.row, strict=True), key=lambda found: (room[found[0]], -found[0])
        )
        if room[cell]:
            room[cell] -= 1
            chosen.append(row)
    return pd.Index(chosen)


def _quotas(there: Mapping[str, int], count: int) -> dict[str, int]:
    """Share `count` over categories as equally as what is there allows.

    >>> _quotas({"CelebA": 600, "CelebA-HQ": 40, "Youtube": 150}, 500)
    {'CelebA-HQ': 40, 'Youtube': 150, 'CelebA': 310}
    """
    quotas = {}
    left = count
    by_size = sorted(there, key=lambda name: (there[name], name))
    for position, name in enumerate(by_size):
        quotas[name] = min(there[name], left // (len(by_size) - position))
        left -= quotas[name]
    return quotas
