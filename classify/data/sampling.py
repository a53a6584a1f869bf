"""Sampling: which crops an epoch consists of, in which order, and which share an augmentation draw.

all        each crop once, in random order
balanced   by class, then clip, then crop, with replacement
in order   each crop once, in the manifest's order, for evaluation
pairs      in units that are never divided between batches: crops of one frame by all classes (or,
           in a binary manifest, an original and one of its fakes), and some crops without partner
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.errors import ClassifyError

Positions: TypeAlias = npt.NDArray[np.int64]

IN_ORDER = "in order"
PAIRS = "pairs"
CLIP = ("class", "category", "compression", "clip")
CATEGORY = ("category",)
IDENTITY = ("target_id",)


@dataclass(frozen=True)
class Order:
    """The crops of an epoch."""

    rows: Positions  # (n,) positions of the crops in the packed data
    draws: Positions  # (n,) crops with the same number get the same augmentation

    def part(self, start: int, end: int) -> Order:
        """Return the crops from `start` to below `end`."""
        return Order(self.rows[start:end], self.draws[start:end])


def independent(rows: Positions) -> Order:
    """Return an order in which each crop has its own augmentation."""
    return Order(rows, np.arange(len(rows)))


class Sampler(Protocol):
    """A way to sample epochs."""

    @property
    def batch_size(self) -> int:
        """Crops per batch; only the last batch may have fewer."""

    @property
    def crops_per_epoch(self) -> int:
        """Crops of all batches of an epoch."""

    def order(self, rng: np.random.Generator) -> Order:
        """Return the crops of an epoch; the same state of `rng` gives the same crops."""


def sampler(
    sampling: str,
    samples: pd.DataFrame,
    batch_size: int,
    devices: int = 1,
    unpaired: float | None = None,
) -> Sampler:
    """Return the sampler of a name.

    Args:
        sampling: one of `settings.Sampling`, or `IN_ORDER`.
        samples: the manifest's rows of the crops.
        batch_size: maximum number of crops per batch.
        devices: number of devices that share a batch. Several devices need full batches: the crops
            of a smaller last batch are left for another epoch or, with `IN_ORDER`, crops are
            repeated to fill it.
        unpaired: for pairs, see `Pairs`.

    Raises:
        ClassifyError: `batch_size` is not a multiple of `devices`, or for pairs, see `Pairs`.
    """
    if sampling == PAIRS:
        return Pairs(samples, batch_size, devices, unpaired)
    if batch_size % devices:
        raise ClassifyError(f"batch_size ({batch_size}) must be a multiple of {devices} devices")
    count = len(samples)
    crops_per_epoch = count
    if devices > 1:
        full = max(count - count % batch_size, batch_size)
        crops_per_epoch = count + -count % batch_size if sampling == IN_ORDER else full
    if sampling == "balanced":
        return _Balanced(batch_size, crops_per_epoch, by_class_and_clip(samples))
    return _EachOnce(batch_size, crops_per_epoch, count, shuffled=sampling != IN_ORDER)


@dataclass(frozen=True)
class _EachOnce:
    """Each crop once. Crops are left out, or repeated from the first on, to fill batches."""

    batch_size: int
    crops_per_epoch: int
    count: int
    shuffled: bool

    def order(self, rng: np.random.Generator) -> Order:
        rows = rng.permutation(self.count) if self.shuffled else np.arange(self.count)
        return independent(np.resize(rows, self.crops_per_epoch))


@dataclass(frozen=True)
class _Balanced:
    """Crops drawn with replacement: a class, then one of its clips, then one of its crops."""

    batch_size: int
    crops_per_epoch: int
    clips: Sequence[Sequence[Positions]]  # by class

    def order(self, rng: np.random.Generator) -> Order:
        drawn = np.empty(self.crops_per_epoch, np.int64)
        for position, (for_class, for_clip, for_crop) in enumerate(rng.random((len(drawn), 3))):
            clips = self.clips[int(for_class * len(self.clips))]
            crops = clips[int(for_clip * len(clips))]
            drawn[position] = crops[int(for_crop * len(crops))]
        return independent(drawn)


def by_class_and_clip(samples: pd.DataFrame) -> list[list[Positions]]:
    """Return, for each class and each of its clips, the positions of the clip's crops."""
    classes: dict[str, list[Positions]] = {}
    for (name, *_), positions in samples.groupby(list(CLIP)).indices.items():
        classes.setdefault(name, []).append(positions)
    return list(classes.values())


class Pairs:
    """Units of crops, most of which show one frame of one person.

    In a manifest of the classes real and fake, a unit is an original and one of its fakes, the
    methods in turn. Otherwise it is one crop of every class, those of one frame as far as they
    exist. A class without a crop of the frame is filled by one of its crops without partner, or if
    it has none, by any of its crops. A crop's partner is a crop with the same `pair` and the other
    label, among these samples.

    Units go through the identities (`target_id`) in shuffled rounds; the units of an identity go
    through its clips, and those of a clip through its frames in the same way. So neither a long
    clip nor a person with many frames has more weight, and nothing is repeated before the rest has
    had its turn. An epoch has as many batches as all crops would fill.
    """

    def __init__(
        self,
        samples: pd.DataFrame,
        batch_size: int,
        devices: int = 1,
        unpaired: float | None = None,
    ) -> None:
        """Arrange crops in units.

        Args:
            samples: the manifest's rows of the crops.
            batch_size: maximum number of crops per batch. A batch has the largest number of whole
                units that fits and that the devices can share.
            devices: number of devices that share a batch.
            unpaired: share of the units whose crops are drawn among those without partner; of a
                class that has none, among all. None: the share of real crops with an empty `pair`,
                in the classes that also have others, so that photographs keep their weight.

        Raises:
            ClassifyError: no crop has a partner, or not even one unit fits into a batch.
        """
        labels = samples["label"].groupby(samples["class"]).first()
        names = sorted(labels.index)
        self._binary = len(names) == 2 and set(labels) == {"real", "fake"}
        unit = len(names)
        step = math.lcm(unit, devices)
        if batch_size < step:
            shared = f" that {devices} devices can share" if step > unit else ""
            raise ClassifyError(
                f"batch_size ({batch_size}) must be at least {step} with sampling pairs: the "
                f"smallest batch of whole units of {unit} crops, one of each class{shared}"
            )
        self.batch_size = batch_size // step * step
        self.crops_per_epoch = math.ceil(len(samples) / self.batch_size) * self.batch_size
        self._unit = unit
        table = samples[["class", "label", "category", "compression", "clip"]].assign(
            pair=samples["pair"], target_id=samples["target_id"]
        )
        table = table.reset_index(drop=True)
        partner = _partnered(table)
        if not partner.any():
            raise ClassifyError(
                "sampling pairs: no fake of the training data has its original there. Create the "
                "manifest again with ffpp-split; pairs need clips of FF++, Celeb-DF or DFDC with "
                "their originals, extracted together without --align"
            )
        if unpaired is None:
            reals = table[table["label"] == "real"]
            with_pairs = reals["class"].isin(reals["class"][partner[reals.index]])
            unpaired = float((reals["pair"][with_pairs] == "").mean())
        self.unpaired = unpaired
        alone = table[~partner]
        self._fillers = [
            _tree(rows if len(rows) else table[table["class"] == name], [CATEGORY, CLIP])
            for name in names
            for rows in [alone[alone["class"] == name]]
        ]
        paired = table[partner]
        self._members = _members(paired, names)
        if self._binary:
            fakes = paired[paired["label"] == "fake"]
            self._real = int(labels.loc[names[0]] != "real")
            self._pair_tree = _tree(fakes, [CATEGORY, IDENTITY, CLIP])
        else:
            reals = paired[paired["label"] == "real"].drop_duplicates("pair")
            self._pair_tree = _tree(reals, [IDENTITY, CLIP])
        self._pair_of = table["pair"].to_numpy(object)

    def order(self, rng: np.random.Generator) -> Order:
        """Return the crops of an epoch, unit after unit."""
        units = self.crops_per_epoch // self._unit
        alone = rng.permutation(units) < round(self.unpaired * units)
        pairs = _Deck(self._pair_tree, rng)
        fillers = [_Deck(tree, rng) for tree in self._fillers]
        rows = np.empty((units, self._unit), np.int64)
        draws = np.arange(units * self._unit).reshape(rows.shape)
        for number in range(units):
            chosen: list[int | None] = [None] * self._unit
            if not alone[number]:
                chosen = self._unit_of(pairs.draw(), rng)
                members = [position for position, row in enumerate(chosen) if row is not None]
                draws[number, members] = draws[number, members[0]]
            for position, row in enumerate(chosen):
                rows[number, position] = fillers[position].draw() if row is None else row
        return Order(rows.ravel(), draws.ravel())

    def _unit_of(self, row: int, rng: np.random.Generator) -> list[int | None]:
        """Return a crop of each class, of the frame that the crop `row` shows; None without one."""
        members = self._members[self._pair_of[row]]
        if self._binary:
            real = int(members[self._real][0])
            return [real, row] if self._real == 0 else [row, real]
        return [int(crops[rng.integers(len(crops))]) if crops else None for crops in members]


def _partnered(samples: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return whether each crop has a partner: a crop with its `pair` and the other label."""
    is_fake = samples["label"] == "fake"
    other = np.where(
        is_fake,
        samples["pair"].isin(samples["pair"][~is_fake]),
        samples["pair"].isin(samples["pair"][is_fake]),
    )
    return np.asarray(other & (samples["pair"] != ""), np.bool_)


def _members(samples: pd.DataFrame, classes: Sequence[str]) -> dict[str, list[list[int]]]:
    """Return pair → for each class, the positions of its crops."""
    index = {name: i for i, name in enumerate(classes)}
    members: dict[str, list[list[int]]] = {}
    for row, name, pair in zip(samples.index, samples["class"], samples["pair"], strict=True):
        members.setdefault(pair, [[] for _ in classes])[index[name]].append(row)
    return members


# Crops, grouped level by level: arrays of positions, lists of such arrays, and so on.
_Tree: TypeAlias = "Positions | list[Any]"


def _tree(samples: pd.DataFrame, levels: Sequence[Sequence[str]]) -> _Tree:
    """Return the positions of samples, grouped by the columns of one level after the other."""
    if not levels:
        return samples.index.to_numpy(np.int64)
    groups: list[_Tree] = [
        _tree(samples.iloc[rows], levels[1:])
        for rows in samples.groupby(list(levels[0])).indices.values()
    ]
    return groups


class _Deck:
    """Draws crops from a tree in shuffled rounds: at each level, every child once a round."""

    def __init__(self, tree: _Tree, rng: np.random.Generator) -> None:
        self._tree, self._rng = tree, rng
        self._left: list[int] = []
        self._decks: dict[int, _Deck] = {}

    def draw(self) -> int:
        """Return the position of a crop."""
        if not self._left:
            self._left = self._rng.permutation(len(self._tree)).tolist()
        child = self._left.pop()
        if isinstance(self._tree, np.ndarray):
            return int(self._tree[child])
        if child not in self._decks:
            self._decks[child] = _Deck(self._tree[child], self._rng)
        return self._decks[child].draw()
