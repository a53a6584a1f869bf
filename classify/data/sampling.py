"""Which crops are in which batch of an epoch, and which of them are augmented alike.

all        each crop once per epoch, in a new order
balanced   a random class, then one of its clips (a still counts as a clip), then one of its crops
pairs      units of an original's crop and its fakes of the same frame, cropped with the same window
in order   each crop once, always in the manifest's order, for evaluation
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.errors import ClassifyError

IN_ORDER = "in order"
CLIP = ["class", "category", "compression", "clip"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """The crops of consecutive batches."""

    rows: Ints  # (n,) positions of the crops
    draws: Ints  # (n,) crops with the same number are augmented alike
    blended: npt.NDArray[np.bool_]  # (n,) whether it is a blend of the crop before it

    def __getitem__(self, part: slice) -> Order:
        return Order(self.rows[part], self.draws[part], self.blended[part])


class Sampler(Protocol):
    """Chooses the crops of every epoch."""

    @property
    def batch_size(self) -> int:
        """Crops per batch; the last batch may be smaller."""

    @property
    def crops_per_epoch(self) -> int:
        """Crops in all batches of an epoch."""

    def order(self, rng: np.random.Generator) -> Order:
        """Return the crops of an epoch, batch after batch."""


@dataclass(frozen=True)
class InOrder:
    """Each crop once; with several devices, crops from the beginning pad the last batch."""

    count: int
    batch_size: int
    devices: int = 1

    @property
    def crops_per_epoch(self) -> int:
        """Crops in all batches of an epoch."""
        return self.count + (-self.count % self.batch_size if self.devices > 1 else 0)

    def order(self, rng: np.random.Generator) -> Order:
        """Return the crops in the manifest's order."""
        return _augmented_separately(np.resize(np.arange(self.count), self.crops_per_epoch))


@dataclass(frozen=True)
class Shuffled:
    """Each crop once; with several devices, crops that fill no batch wait for another epoch."""

    count: int
    batch_size: int
    devices: int = 1

    @property
    def crops_per_epoch(self) -> int:
        """Crops in all batches of an epoch."""
        return _full_batches(self.count, self.batch_size, self.devices)

    def order(self, rng: np.random.Generator) -> Order:
        """Return the crops in random order."""
        return _augmented_separately(np.resize(rng.permutation(self.count), self.crops_per_epoch))


class Balanced:
    """Classes, the clips of a class and the crops of a clip are equally likely."""

    def __init__(self, samples: pd.DataFrame, batch_size: int, devices: int = 1) -> None:
        self.batch_size = batch_size
        self.crops_per_epoch = _full_batches(len(samples), batch_size, devices)
        classes: dict[str, list[npt.NDArray[np.intp]]] = {}
        for (name, *_), positions in samples.groupby(CLIP).indices.items():
            classes.setdefault(name, []).append(positions)
        self._clips = list(classes.values())

    def order(self, rng: np.random.Generator) -> Order:
        """Return crops drawn with replacement."""
        return _augmented_separately(self.drawn(rng, self.crops_per_epoch))

    def drawn(self, rng: np.random.Generator, count: int) -> Ints:
        """Draw the positions of crops, with replacement."""
        drawn = np.empty(count, np.int64)
        for position, (for_class, for_clip, for_crop) in enumerate(rng.random((len(drawn), 3))):
            clips = self._clips[int(for_class * len(self._clips))]
            crops = clips[int(for_clip * len(clips))]
            drawn[position] = crops[int(for_crop * len(crops))]
        return drawn


class Paired:
    """Units of one crop of every class; an original and its fakes of one frame are augmented alike.

    In a unit, the crops of one pair differ in nothing but the manipulation. A class with several
    methods (fake, in a binary manifest) takes them in turn. A class without a crop of the pair is
    filled by another of its crops, if possible by one without a partner. The target identities take
    turns, then the clips of an identity, then the frames of a clip, each in a random order: neither
    a long clip nor one sampled more densely has more weight.
    """

    def __init__(
        self,
        samples: pd.DataFrame,
        batch_size: int,
        devices: int = 1,
        unpaired: float | None = None,
    ) -> None:
        """Find the pairs.

        Args:
            samples: the manifest's rows of the split.
            batch_size: the most crops in a batch; a batch has as many whole units as fit.
            devices: number of devices that share a batch.
            unpaired: share of the units whose crops have no partner; None for the share of the
                real crops that have none, in the classes that have pairs.

        Raises:
            ClassifyError: the split has no pairs, or a batch is too small for a unit.
        """
        samples = samples.reset_index(drop=True)
        real = samples["label"] == "real"
        pairs = samples["pair"]
        complete = set(pairs[real]) & set(pairs[~real]) - {""}
        if not complete:
            raise ClassifyError(
                "sampling pairs needs fakes that were cropped with the same window as their "
                "original, and the training split has none. Manifests have pairs if `ffpp-extract` "
                "found the originals of the fakes (not with --align), and if this release's "
                "`ffpp-split` wrote them; otherwise choose another --sampling."
            )
        paired = pairs.isin(complete)
        if unpaired is None:  # photographs that have a class of their own do not count
            counted = real & samples["class"].isin(samples["class"][paired])
            unpaired = float(1 - paired[counted].mean())
        self.unpaired = unpaired
        self._classes = sorted(samples["class_index"].unique())
        unit = len(self._classes)
        self.batch_size = _whole_units(unit, batch_size, devices)
        self.crops_per_epoch = math.ceil(len(samples) / self.batch_size) * self.batch_size
        samples["in_compression"] = samples["compression"] + "/" + samples["clip"]
        clips = ["class_index", "category", "in_compression"]
        self._members = _nested(samples[paired], ["pair", "class_index", "category"])
        originals = samples[paired & real]
        self._pairs = _nested(originals, ["target_id", "in_compression"], originals["pair"])
        self._all = _nested(samples, clips)
        self._unpaired = {**self._all, **_nested(samples[~paired], clips)}
        self._is_real = samples.groupby("class_index")["label"].first() == "real"

    def order(self, rng: np.random.Generator) -> Order:
        """Return the units of an epoch."""
        count = self.crops_per_epoch // len(self._classes)
        is_unpaired = rng.permutation(count) < round(self.unpaired * count)
        pairs = _turns(self._pairs, rng)
        evenly = {name: _Evenly(parts, rng) for name, parts in self._all.items()}
        any_crop, unpaired_crop = (
            {
                (name, category): _turns(crops[name].get(category, clips), rng)
                for name, categories in self._all.items()
                for category, clips in categories.items()
            }
            for crops in (self._all, self._unpaired)
        )
        rows = np.empty((count, len(self._classes)), np.int64)
        draws = np.arange(rows.size).reshape(rows.shape)
        for unit in range(count):
            members = {} if is_unpaired[unit] else self._members[next(pairs)]
            for column, name in enumerate(self._classes):
                if name in members:
                    crops = members[name][evenly[name].choose(members[name])]
                    rows[unit, column] = crops[rng.integers(len(crops))]
                    draws[unit, column] = rows.size + unit
                elif is_unpaired[unit] and not self._is_real[name]:
                    # A few fakes without a partner must not stand for all methods.
                    rows[unit, column] = next(any_crop[name, evenly[name].choose(self._all[name])])
                else:
                    category = evenly[name].choose(self._unpaired[name])
                    rows[unit, column] = next(unpaired_crop[name, category])
        return Order(rows.ravel(), draws.ravel(), np.zeros(rows.size, bool))


class _Evenly:
    """Chooses among the categories of a class so that all are chosen equally often."""

    def __init__(self, categories: Iterable[str], rng: np.random.Generator) -> None:
        self._chosen = dict.fromkeys(categories, 0)
        self._rng = rng

    def choose(self, available: Iterable[str]) -> str:
        """Return the available category that was chosen least often; of several, a random one."""
        fewest = min(self._chosen[name] for name in available)
        ties = [name for name in available if self._chosen[name] == fewest]
        name = ties[self._rng.integers(len(ties))] if len(ties) > 1 else ties[0]
        self._chosen[name] += 1
        return name


def sampler(
    sampling: str,
    samples: pd.DataFrame,
    batch_size: int,
    devices: int = 1,
    unpaired: float | None = None,
) -> Sampler:
    """Return the sampler of a split.

    Args:
        sampling: one of `settings.Sampling`, or `IN_ORDER`.
        samples: the manifest's rows of the split.
        batch_size: crops per batch.
        devices: number of devices that share a batch; several devices need full batches.
        unpaired: as in `Paired`.

    Raises:
        ClassifyError: the sampling is unknown, `batch_size` does not suit the devices or the units
            of pairs, or there are no pairs.
    """
    if batch_size % devices:
        raise ClassifyError(f"batch_size ({batch_size}) must be a multiple of {devices} devices")
    match sampling:
        case "all":
            return Shuffled(len(samples), batch_size, devices)
        case "balanced":
            return Balanced(samples, batch_size, devices)
        case "pairs":
            return Paired(samples, batch_size, devices, unpaired)
        case "in order":
            return InOrder(len(samples), batch_size, devices)
        case _:
            raise ClassifyError(f"unknown sampling {sampling!r}")


def _whole_units(unit: int, batch_size: int, devices: int) -> int:
    """Return the most crops in a batch of whole units that the devices can share.

    Raises:
        ClassifyError: none fits.
    """
    least = math.lcm(unit, devices)
    if batch_size < least:
        raise ClassifyError(
            f"batch_size ({batch_size}) must be at least {least} with sampling pairs: an original "
            f"and its fakes, one crop of every class, stay together"
        )
    return batch_size // least * least


def _full_batches(count: int, batch_size: int, devices: int) -> int:
    """Return the number of crops per epoch: with several devices, those of full batches."""
    return count if devices == 1 else max(count - count % batch_size, batch_size)


def _augmented_separately(rows: Ints) -> Order:
    """Return an order in which every crop has an augmentation of its own."""
    return Order(rows, np.arange(len(rows)), np.zeros(len(rows), bool))


def _nested(table: pd.DataFrame, keys: Sequence[str], leaves: pd.Series | None = None) -> Any:
    """Group rows by the first key, those of a group by the second, and so on.

    Returns:
        A nested dictionary; the innermost values are lists of the leaves, or of the index.
    """
    values = (table.index.to_series() if leaves is None else leaves).tolist()
    nested: dict[Any, Any] = {}
    for *outer, last, value in zip(*(table[key].tolist() for key in keys), values, strict=True):
        inner = nested
        for key in outer:
            inner = inner.setdefault(key, {})
        inner.setdefault(last, []).append(value)
    return nested


def _turns(nested: Any, rng: np.random.Generator) -> Iterator[Any]:
    """Yield leaves without end: the keys of every level take turns, in rounds of random order."""
    if isinstance(nested, list):
        return _rounds(nested, rng)
    parts = [_turns(inner, rng) for inner in nested.values()]
    return (next(part) for part in _rounds(parts, rng))


def _rounds(items: Sequence[Any], rng: np.random.Generator) -> Iterator[Any]:
    """Yield all items in random order, again and again."""
    while True:
        yield from (items[i] for i in rng.permutation(len(items)))
