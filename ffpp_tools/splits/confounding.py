"""Confounding of class with compression, and of label with still vs video.

Measured by the total variation distance between the compressions of two classes (or labels): half
the sum of the absolute differences of their shares. With balanced classes, a classifier that sees
only the compression reaches an accuracy of (1 + distance) / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from ffpp_tools.splits.compressions import clip_compressions
from ffpp_tools.store.schema import SPLITS, STILL

# Corresponds to an accuracy of 0.55 from compression alone (chance: 0.5). Published differences
# between detectors are of this size, so that a larger distance could explain them.
MAX_DISTANCE = 0.1


@dataclass(frozen=True)
class Confounding:
    """The split and the pair of classes in which compression is most predictive of the class."""

    split: str
    classes: tuple[str, str]
    compression: str  # the compression whose shares differ most
    shares: tuple[float, float]  # its share of the clip samples of each class
    accuracy: float  # of separating the two classes by compression alone; chance is 0.5
    label_accuracy: float  # of separating fake from real by it, in the worst split
    cramers_v: float  # of class and compression over all splits; 0 independent, 1 fully dependent
    counts: dict[str, dict[str, dict[str, int]]]  # split → class → compression → samples
    excess: float  # distance beyond what rounding to whole samples explains

    @property
    def matters(self) -> bool:
        """Whether results may be explained by compression instead of the face."""
        return self.excess > MAX_DISTANCE

    def __str__(self) -> str:
        """Return the sentence for a report's first line."""
        one, other = self.classes
        a, b = self.shares
        return (
            f"CLASS AND COMPRESSION ARE CONFOUNDED: in {self.split}, {a:.0%} of the clip samples "
            f"of {one} and {b:.0%} of those of {other} are at {self.compression}, so compression "
            f"alone separates the two with {self.accuracy:.0%} accuracy (chance: 50%)"
        )


def compression_confounding(samples: pd.DataFrame) -> Confounding | None:
    """Measure how class and compression are confounded among the clips.

    Args:
        samples: samples of all splits; columns class, label, compression and split.

    Returns:
        None if all clips have the same compression, or no split has clips of two classes.
    """
    if len(clip_compressions(samples)) < 2:
        return None
    clips = samples[samples["compression"] != STILL]
    tables = {s: _table(clips[clips["split"] == s], "class") for s in SPLITS}
    worst = max(
        (
            (_excess(table, pair), _distance(table, pair), split, pair)
            for split, table in tables.items()
            for pair in combinations(table.index, 2)
        ),
        key=lambda candidate: candidate[:2],
        default=None,
    )
    if worst is None:
        return None
    excess, distance, split, pair = worst
    shares = _shares(tables[split]).loc[list(pair)]
    most = (shares.iloc[0] - shares.iloc[1]).abs().round(9).idxmax()  # ties: the first
    labels = (_table(clips[clips["split"] == s], "label") for s in SPLITS)
    by_label = [_distance(t, ("fake", "real")) for t in labels if len(t) == 2]
    return Confounding(
        split=split,
        classes=(str(pair[0]), str(pair[1])),
        compression=str(most),
        shares=(round(float(shares[most].iloc[0]), 4), round(float(shares[most].iloc[1]), 4)),
        accuracy=round((1 + distance) / 2, 4),
        label_accuracy=round((1 + max(by_label, default=0.0)) / 2, 4),
        cramers_v=round(_cramers_v(_table(clips, "class")), 4),
        counts={
            s: {str(k): {str(c): int(n) for c, n in row.items()} for k, row in table.iterrows()}
            for s, table in tables.items()
        },
        excess=round(excess, 4),
    )


def still_accuracy(samples: pd.DataFrame) -> float:
    """Return how well still vs video alone predicts fake vs real.

    The accuracy with balanced labels, in the worst split; chance is 0.5.
    """
    is_still = samples["compression"] == STILL
    shares = is_still.groupby([samples["split"], samples["label"]]).mean()
    distances = [
        abs(s.iloc[0] - s.iloc[1]) for _, s in shares.groupby(level="split") if len(s) == 2
    ]
    return round((1 + max(map(float, distances), default=0.0)) / 2, 4)


def _table(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the number of samples, class or label (`column`) × compression."""
    return pd.crosstab(rows[column], rows["compression"])


def _shares(table: pd.DataFrame) -> pd.DataFrame:
    return table.div(table.sum(axis=1), axis=0)


def _distance(table: pd.DataFrame, pair: Sequence[str]) -> float:
    """Return the total variation distance between the compressions of two classes."""
    shares = _shares(table).loc[list(pair)]
    return float((shares.iloc[0] - shares.iloc[1]).abs().sum() / 2)


def _excess(table: pd.DataFrame, pair: Sequence[str]) -> float:
    """Return the distance after allowing a difference of one sample per compression."""
    shares = _shares(table).loc[list(pair)]
    one_sample = 1 / table.sum(axis=1).loc[list(pair)].min()
    difference = (shares.iloc[0] - shares.iloc[1]).abs()
    return float((difference - one_sample).clip(lower=0).sum() / 2)


def _cramers_v(table: pd.DataFrame) -> float:
    from scipy.stats.contingency import association

    return float(association(table.to_numpy(), method="cramer"))
