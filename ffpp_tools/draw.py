"""Equal classes: how many samples of each, and which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ffpp_tools.errors import SettingsError, SplitError
from ffpp_tools.rows import SPLITS


def balanced(samples: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, pd.DataFrame]:
    """So many samples of every class in each split, evenly from its categories and their clips.

    Args:
        samples: columns class, category, compression, clip, face_id, split and `draw`, a random
            number that decides between samples that are otherwise alike.
        counts: split → samples of each class; `capacity` says how many there can be.
    """
    splits = {}
    for split in SPLITS:
        rows = samples[samples["split"] == split]
        drawn = [_drawn(part, counts[split]) for _, part in rows.groupby("class")]
        splits[split] = pd.concat(drawn).sort_values("face_id", ignore_index=True)
    return splits


def at_random(samples: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, pd.DataFrame]:
    """As `balanced`, but splits are drawn frame by frame, whoever is in them.

    `order` is a second random number: of those that `draw` has chosen, it decides on the split.
    """
    chosen: dict[str, list[pd.DataFrame]] = {split: [] for split in SPLITS}
    for _, rows in samples.groupby("class"):
        quotas = _quotas(rows["category"].value_counts().to_dict(), sum(counts.values()))
        parts = [
            rows[rows["category"] == category].nsmallest(quota, "draw")
            for category, quota in quotas.items()
        ]
        mixed, at = pd.concat(parts).sort_values("order"), 0
        for split in SPLITS:
            chosen[split].append(mixed.iloc[at : at + counts[split]])
            at += counts[split]
    return {
        split: pd.concat(parts).sort_values("face_id", ignore_index=True)
        for split, parts in chosen.items()
    }


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


def steps(rows: pd.DataFrame, classes: Sequence[str]) -> int:
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


def _drawn(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` rows, as evenly as can be from the categories, and in each from the clips."""
    parts = []
    for category, quota in _quotas(rows["category"].value_counts().to_dict(), count).items():
        part = rows[rows["category"] == category].sort_values("draw")
        turn = part.groupby(["compression", "clip"]).cumcount()
        order = np.lexsort((part["draw"], turn))  # every clip's first, then every second, …
        parts.append(part.iloc[order[:quota]])
    return pd.concat(parts)


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
