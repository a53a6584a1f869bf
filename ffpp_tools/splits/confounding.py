"""How far something that is no face tells the classes apart: compression, and photograph or video.

Measured between two classes (or labels) as their total variation distance: the largest share by
which one has more of some compressions than the other. Whoever sees the compression alone tells
equally many samples of both apart with an accuracy of (1 + distance) / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from ffpp_tools.splits.compressions import clip_compressions
from ffpp_tools.store.schema import SPLITS, STILL

# An accuracy of 0.55 by compression alone, where 0.5 is chance. Differences between detectors that
# papers report are of this size, so that a larger one may be compression's.
MAX_DISTANCE = 0.1


@dataclass(frozen=True)
class Confounding:
    """What compression alone reaches, in the split and between the two classes where it is most."""

    split: str
    classes: tuple[str, str]
    compression: str  # of which their shares differ most
    shares: tuple[float, float]  # of it, among the clips' samples of each class
    accuracy: float  # of telling them apart by compression alone; 0.5 is chance
    label_accuracy: float  # the same of fake against real, in the worst split
    cramers_v: float  # of class and compression over all splits; 0 is independent, 1 determined
    counts: dict[str, dict[str, dict[str, int]]]  # split → class → compression → samples
    excess: float  # distance beyond what rounding to whole samples explains

    @property
    def matters(self) -> bool:
        """Whether figures may be compression's instead of the face's."""
        return self.excess > MAX_DISTANCE

    def __str__(self) -> str:
        """What the first line of a report has to say of it."""
        one, other = self.classes
        a, b = self.shares
        return (
            f"CLASS AND COMPRESSION ARE CONFOUNDED: in {self.split}, {a:.0%} of the clip samples "
            f"of {one} and {b:.0%} of those of {other} are at {self.compression}, so compression "
            f"alone tells the two apart with {self.accuracy:.0%} accuracy (chance: 50%)"
        )


def compression_confounding(samples: pd.DataFrame) -> Confounding | None:
    """Class against compression among the clips; None where they are of one class or compression.

    Args:
        samples: of all splits; columns class, label, compression and split.
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
        key=lambda found: found[:2],
        default=None,
    )
    if worst is None:
        return None
    excess, distance, split, pair = worst
    shares = _shares(tables[split]).loc[list(pair)]
    most = (shares.iloc[0] - shares.iloc[1]).abs().round(9).idxmax()  # of equal ones the first
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
    """How well fake is told from real by seeing whether it is a photograph or of a video.

    The accuracy at equally many of both, in the worst split; 0.5 is chance.
    """
    is_still = samples["compression"] == STILL
    shares = is_still.groupby([samples["split"], samples["label"]]).mean()
    apart = [abs(s.iloc[0] - s.iloc[1]) for _, s in shares.groupby(level="split") if len(s) == 2]
    return round((1 + max(map(float, apart), default=0.0)) / 2, 4)


def _table(rows: pd.DataFrame, of: str) -> pd.DataFrame:
    """Samples: class or label × compression."""
    return pd.crosstab(rows[of], rows["compression"])


def _shares(table: pd.DataFrame) -> pd.DataFrame:
    return table.div(table.sum(axis=1), axis=0)


def _distance(table: pd.DataFrame, pair: Sequence[str]) -> float:
    """Total variation distance of the compressions of two classes."""
    shares = _shares(table).loc[list(pair)]
    return float((shares.iloc[0] - shares.iloc[1]).abs().sum() / 2)


def _excess(table: pd.DataFrame, pair: Sequence[str]) -> float:
    """The same, less what one sample more or less of each compression would explain."""
    shares = _shares(table).loc[list(pair)]
    one_sample = 1 / table.sum(axis=1).loc[list(pair)].min()
    apart = (shares.iloc[0] - shares.iloc[1]).abs()
    return float((apart - one_sample).clip(lower=0).sum() / 2)


def _cramers_v(table: pd.DataFrame) -> float:
    from scipy.stats.contingency import association

    return float(association(table.to_numpy(), method="cramer"))
