"""Jackknife weights and curves: for every block, all samples except those of the block.

As an array, the weights would have a row of ones and zeros per block. The array is never built: the
sum without a block is the total minus the sum of the block, so a block costs only its own samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class JackknifeWeights:
    """Weights, (count, n), that are 0 for the samples of a row's block and 1 for all others.

    >>> left_out = JackknifeWeights(np.array([0, 1, 1]), 2)
    >>> (left_out @ np.array([10.0, 1.0, 2.0])).tolist(), left_out.sum(axis=1).tolist()
    ([3.0, 10.0], [2.0, 1.0])
    """

    blocks: Ints  # (n,) block of each sample
    count: int  # number of blocks, including those without samples

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: tuple[slice, Ints | npt.NDArray[np.bool_]]) -> JackknifeWeights:
        """Select samples, as `[:, rows]` of an array does."""
        return JackknifeWeights(self.blocks[key[1]], self.count)

    def __matmul__(self, values: Floats) -> Floats:
        return np.asarray(values.sum() - self._block_sums(values))

    def sum(self, axis: int) -> Floats:
        """Count the samples without each block; `axis` must be 1, as for an array."""
        assert axis == 1
        return np.asarray(len(self.blocks) - self._block_sums(None))

    def _block_sums(self, values: Floats | None) -> npt.NDArray[np.float64]:
        return np.bincount(self.blocks, values, self.count).astype(float)


@dataclass(frozen=True)
class JackknifeCurve:
    """True and false positives at every threshold, without each block.

    Thresholds are indexed from 0, at which no sample is positive, to k, at which every sample is.
    """

    fakes: _ClassCounts
    reals: _ClassCounts

    @classmethod
    def of(
        cls, fake: npt.NDArray[np.bool_], ends: Ints, left_out: JackknifeWeights
    ) -> JackknifeCurve:
        """Compute the curves of samples sorted by descending score.

        Args:
            fake: (n,) whether each sample is fake.
            ends: (k,) index of the last sample of each run of equal scores.
            left_out: weights of the samples, in the same order.
        """
        run = 1 + np.searchsorted(ends, np.arange(len(fake)))

        def counts(selected: npt.NDArray[np.bool_]) -> _ClassCounts:
            return _ClassCounts(run[selected], left_out.blocks[selected], len(ends), left_out.count)

        return cls(counts(fake), counts(~fake))

    @property
    def last(self) -> int:
        """Index of the last threshold, at which every sample is positive."""
        return self.fakes.runs

    @property
    def has_both_classes(self) -> npt.NDArray[np.bool_]:
        """Whether there are fakes and reals without each block, (count,)."""
        return (self.fakes.remaining > 0) & (self.reals.remaining > 0)

    def rates(self, index: Ints) -> tuple[Floats, Floats]:
        """Return false and true positive rate without each block, at its threshold `index`."""
        return self.reals.share(index), self.fakes.share(index)

    def auc(self) -> Floats:
        """Compute the share of (fake, real) pairs in which the fake scores higher; a tie is half.

        Without a block, the row and the column of the block are subtracted from the total over the
        matrix of pairs between blocks; `own`, where they cross, is added back.
        """
        fakes, reals = self.fakes, self.reals
        # Fakes above each real, and reals below each fake.
        above = fakes.positives_before(reals.run) + fakes.new_positives(reals.run) / 2
        reals_above = reals.positives_before(fakes.run) + reals.new_positives(fakes.run) / 2
        below = len(reals.run) - reals_above
        column, row = reals.block_sums(above), fakes.block_sums(below)
        own_before = fakes.positives_of(reals.block, reals.run - 1)
        own_up_to = fakes.positives_of(reals.block, reals.run)
        own = reals.block_sums(own_before + (own_up_to - own_before) / 2)
        pairs = fakes.remaining * reals.remaining
        ordered = above.sum() - column - row + own
        return np.divide(ordered, pairs, where=pairs > 0, out=np.full(len(pairs), np.nan))

    def average_precision(self) -> Floats:
        """Compute the mean precision at the thresholds of the fakes."""
        fakes, reals = self.fakes, self.reals
        thresholds = np.flatnonzero(np.diff(fakes.positives)) + 1  # those with scores of fakes
        count = len(thresholds)
        all_true = fakes.positives[thresholds]
        all_positives = all_true + reals.positives[thresholds]
        steps = np.diff(all_true, prepend=0)
        # Position of every threshold of the curve in `thresholds`.
        position = np.searchsorted(thresholds, np.arange(fakes.runs + 1))
        values = np.full(len(self.has_both_classes), np.nan)
        for block in np.flatnonzero(self.has_both_classes).tolist():
            own = np.bincount(position[fakes.runs_of(block)], minlength=count)
            real = np.bincount(position[reals.runs_of(block)], minlength=count + 1)[:count]
            true = all_true - np.cumsum(own)
            positives = all_positives - (all_true - true) - np.cumsum(real)
            precision = true / np.maximum(positives, 1)
            values[block] = (steps - own) @ precision / fakes.remaining[block]
        return values


@dataclass(frozen=True)
class _ClassCounts:
    """The samples of one class, fake or real, of a curve."""

    run: Ints  # (m,) first threshold at which each sample is positive, from 1, ascending
    block: Ints  # (m,) block of each sample
    runs: int  # number of thresholds
    count: int  # number of blocks

    @cached_property
    def positives(self) -> Ints:
        """(runs + 1,) number of positives at each threshold, over all blocks."""
        return np.cumsum(np.bincount(self.run, minlength=self.runs + 1))

    @cached_property
    def remaining(self) -> Floats:
        """(count,) number of samples without each block."""
        return len(self.run) - np.diff(self._starts).astype(float)

    @cached_property
    def _keys(self) -> Ints:
        """(m,) block and threshold encoded as one number, sorted."""
        return np.sort(self.block * (self.runs + 1) + self.run)

    @cached_property
    def _starts(self) -> Ints:
        """(count + 1,) index of the first key of each block."""
        return np.searchsorted(self._keys, np.arange(self.count + 1) * (self.runs + 1))

    def runs_of(self, block: int) -> Ints:
        """Return the thresholds at which the samples of a block become positive."""
        keys = self._keys[self._starts[block] : self._starts[block + 1]]
        return keys - block * (self.runs + 1)

    def positives_before(self, run: Ints) -> Ints:
        """Count the positives at the previous threshold."""
        return self.positives[run - 1]

    def new_positives(self, run: Ints) -> Ints:
        """Count the samples that become positive at this threshold."""
        return self.positives[run] - self.positives[run - 1]

    def positives_of(self, block: Ints, run: Ints) -> Ints:
        """Count the positives of a block at a threshold."""
        key = block * (self.runs + 1) + run
        return np.searchsorted(self._keys, key, side="right") - self._starts[block]

    def block_sums(self, values: Floats) -> Floats:
        """Sum values, (m,), over each block: (count,)."""
        return np.bincount(self.block, values, self.count).astype(float)

    def share(self, index: Ints) -> Floats:
        """Return the share of positives without each block, at its threshold `index`."""
        positives = self.positives[index] - self.positives_of(np.arange(self.count), index)
        return np.divide(
            positives, self.remaining, where=self.remaining > 0, out=np.zeros(self.count)
        )
