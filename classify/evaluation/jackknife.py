"""All samples but those of one block, for every block: what a jackknife measures.

Written as weights, that is a row of ones and zeros for each block. Here it is never written: a sum
without a block is the sum less the block's, so that every block costs what its own samples do.
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

    >>> left_out = LeftOut(np.array([0, 1, 1]), 2)
    >>> (left_out @ np.array([10.0, 1.0, 2.0])).tolist(), left_out.sum(axis=1).tolist()
    ([3.0, 10.0], [2.0, 1.0])
    """

    blocks: Ints  # (n,) of each sample
    count: int  # of blocks, those without a sample included

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, at: tuple[slice, Ints | npt.NDArray[np.bool_]]) -> JackknifeWeights:
        """The weights of some samples, as an array's `[:, rows]`."""
        return JackknifeWeights(self.blocks[at[1]], self.count)

    def __matmul__(self, values: Floats) -> Floats:
        return np.asarray(values.sum() - self._of_blocks(values))

    def sum(self, axis: int) -> Floats:
        """How many samples are left without each block; `axis` is 1, as an array would need."""
        assert axis == 1
        return np.asarray(len(self.blocks) - self._of_blocks(None))

    def _of_blocks(self, values: Floats | None) -> npt.NDArray[np.float64]:
        return np.bincount(self.blocks, values, self.count).astype(float)


@dataclass(frozen=True)
class JackknifeCurve:
    """What is called fake at every threshold without each block; k thresholds and none at all.

    Thresholds are numbered from 0, where nothing is called fake, to k, where everything is.
    """

    fakes: _ClassCounts
    reals: _ClassCounts

    @classmethod
    def of(
        cls, fake: npt.NDArray[np.bool_], ends: Ints, left_out: JackknifeWeights
    ) -> JackknifeCurve:
        """The curves of samples that are sorted by falling score.

        Args:
            fake: (n,) what each sample is.
            ends: (k,) where each run of equal scores ends.
            left_out: of the samples in the same order.
        """
        run = 1 + np.searchsorted(ends, np.arange(len(fake)))

        def side(which: npt.NDArray[np.bool_]) -> _ClassCounts:
            return _ClassCounts(run[which], left_out.blocks[which], len(ends), left_out.count)

        return cls(side(fake), side(~fake))

    @property
    def last(self) -> int:
        """The number of the threshold at which everything is called fake."""
        return self.fakes.runs

    @property
    def both(self) -> npt.NDArray[np.bool_]:
        """Whether there are fakes and reals without each block."""
        return (self.fakes.left > 0) & (self.reals.left > 0)

    def rates(self, at: Ints) -> tuple[Floats, Floats]:
        """The shares of reals and of fakes that are called fake at a threshold for each block."""
        return self.reals.share(at), self.fakes.share(at)

    def auc(self) -> Floats:
        """Pairs of a fake and a real in order, of all pairs; a tie is half a pair in order.

        Of the matrix of pairs between blocks, a block's own row and column are left out.
        """
        fakes, reals = self.fakes, self.reals
        above = fakes.before(reals.run) + fakes.at(reals.run) / 2  # fakes above each real
        below = len(reals.run) - reals.before(fakes.run) - reals.at(fakes.run) / 2
        column, row = reals.of_blocks(above), fakes.of_blocks(below)
        own = reals.of_blocks(
            fakes.own(reals.block, reals.run - 1)
            + (fakes.own(reals.block, reals.run) - fakes.own(reals.block, reals.run - 1)) / 2
        )
        pairs = fakes.left * reals.left
        ordered = above.sum() - column - row + own
        return np.divide(ordered, pairs, where=pairs > 0, out=np.full(len(pairs), np.nan))

    def average_precision(self) -> Floats:
        """The mean precision at the thresholds of the fakes."""
        fakes, reals = self.fakes, self.reals
        at = np.flatnonzero(np.diff(fakes.called)) + 1  # thresholds that some fake reaches
        every, called = fakes.called[at], fakes.called[at] + reals.called[at]
        steps = np.diff(every, prepend=0)
        place = np.searchsorted(at, np.arange(fakes.runs + 1))  # of a threshold among these
        found = np.full(len(self.both), np.nan)
        for block in np.flatnonzero(self.both).tolist():
            own = np.bincount(place[fakes.runs_of(block)], minlength=len(at))
            real = np.bincount(place[reals.runs_of(block)], minlength=len(at) + 1)[: len(at)]
            true = every - np.cumsum(own)
            precision = true / np.maximum(called - (every - true) - np.cumsum(real), 1)
            found[block] = (steps - own) @ precision / fakes.left[block]
        return found


@dataclass(frozen=True)
class _ClassCounts:
    """The fakes, or the reals, of a curve."""

    run: Ints  # (m,) the threshold at which each is called fake, from 1, rising
    block: Ints  # (m,)
    runs: int  # thresholds
    count: int  # blocks

    @cached_property
    def called(self) -> Ints:
        """(runs + 1,) how many are called fake at each threshold, all blocks taken together."""
        return np.cumsum(np.bincount(self.run, minlength=self.runs + 1))

    @cached_property
    def left(self) -> Floats:
        """(count,) how many there are without each block."""
        return len(self.run) - np.diff(self._starts).astype(float)

    @cached_property
    def _keys(self) -> Ints:
        """(m,) block and threshold as one number, sorted."""
        return np.sort(self.block * (self.runs + 1) + self.run)

    @cached_property
    def _starts(self) -> Ints:
        """(count + 1,) where each block begins among the keys."""
        return np.searchsorted(self._keys, np.arange(self.count + 1) * (self.runs + 1))

    def runs_of(self, block: int) -> Ints:
        """The thresholds at which those of a block are called fake."""
        keys = self._keys[self._starts[block] : self._starts[block + 1]]
        return keys - block * (self.runs + 1)

    def before(self, run: Ints) -> Ints:
        """How many are called fake at the threshold before."""
        return self.called[run - 1]

    def at(self, run: Ints) -> Ints:
        """How many are called fake from this threshold on."""
        return self.called[run] - self.called[run - 1]

    def own(self, block: Ints, run: Ints) -> Ints:
        """How many of a block are called fake at a threshold."""
        key = block * (self.runs + 1) + run
        return np.searchsorted(self._keys, key, side="right") - self._starts[block]

    def of_blocks(self, values: Floats) -> Floats:
        """(count,) the sums of values, (m,), over the blocks."""
        return np.bincount(self.block, values, self.count).astype(float)

    def share(self, at: Ints) -> Floats:
        """The share that is called fake at a threshold for each block, without that block."""
        called = self.called[at] - self.own(np.arange(self.count), at)
        return np.divide(called, self.left, where=self.left > 0, out=np.zeros(self.count))
