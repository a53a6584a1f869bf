"""Callbacks of a training: one keeps its state after every epoch, one watches the loss."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classify.data.batches import Batches
from classify.errors import LossError
from classify.training import checkpoints
from classify.training.checkpoints import Epoch
from classify.training.settings import TrainSettings, phases
from ffpp_tools.files import write_atomically
from ffpp_tools.store.incomplete import unmark

PLATEAU_PATIENCE = 2  # epochs without a lower value of the monitor before the rate falls
PLATEAU_FACTOR = 0.5


class Checkpointer(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the log and the checkpoints, and ends the training when validation stands still.

    All it decides follows from the epochs so far and the settings, and dropout is seeded anew for
    every epoch: that is why an interrupted training goes on as if nothing had been.
    """

    def __init__(
        self,
        folder: Path,
        settings: TrainSettings,
        network: keras.Model,
        epochs: list[Epoch],
        trainer: keras.Model | None = None,
    ) -> None:
        """Keep the state of a training.

        Args:
            folder: of the run.
            settings: of the run.
            network: what best.keras is to hold.
            epochs: those that are finished already.
            trainer: the same network with its optimizer, as after the last of them.
        """
        super().__init__()
        self.network = network
        self.epochs = epochs
        self.trainer = trainer
        self.batches: Batches | None = None  # what the present phase shows
        self.phases = phases(settings)
        self._folder = folder
        self._settings = settings
        self._started = self._trained = 0.0

    def has_ended(self) -> bool:
        """Whether nothing is left to train."""
        first, settings = self.phases[-1].first, self._settings
        return len(self.epochs) >= settings.epochs or checkpoints.stalled(
            self.epochs, first, settings.patience, settings.monitor
        )

    def follow_last(self) -> None:
        """Make best.keras and log.csv those of last.keras, which is written first."""
        if checkpoints.is_best(self.epochs, self._settings.monitor):
            checkpoints.save(self._folder / "best.keras", self.network)
        checkpoints.write_log(self._folder, self.epochs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set what would otherwise depend on the epochs this process has seen."""
        self._started, self._trained = time.perf_counter(), 0.0
        if self.batches is not None:
            self.batches.epoch = epoch
        states = [v for v in self.model.variables if v.path.endswith("seed_generator_state")]
        for number, state in enumerate(states):
            seeds = np.random.SeedSequence((self._settings.seed, epoch, number, 1))
            state.assign(seeds.generate_state(state.shape[0]).astype(state.dtype))
        if self._settings.schedule == "plateau":
            phase = next(p for p in self.phases if epoch < p.end)
            seen = [e for e in self.epochs if e.epoch >= phase.first]
            drops = checkpoints.plateau_drops(seen, PLATEAU_PATIENCE, self._settings.monitor)
            self.model.optimizer.learning_rate = phase.rate * PLATEAU_FACTOR**drops

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """The training part of the epoch is over."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log the epoch and save it, under temporary names first."""
        measured: dict[str, Any] = dict(logs or {})
        if not math.isfinite(measured["loss"]):
            return  # the guard tells, and what was good stays
        now = time.perf_counter()
        training = (self._trained or now) - self._started
        images = self.batches.shown if self.batches is not None else 0
        measures: dict[str, Any] = {name: measured.get(name) for name in checkpoints.MEASURES}
        row = Epoch(
            epoch=epoch,
            **measures,
            learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            images_per_second=round(images / training, 2),
            seconds=round(now - self._started, 3),
        )
        self.epochs.append(row)
        # Nothing goes on from the end: the optimizer's state, twice the weights, is left out.
        kept = self.network if self.has_ended() else self.model
        checkpoints.save_last(self._folder, kept, self.epochs)
        self.follow_last()
        unmark(self._folder)
        if self.has_ended():
            self.model.stop_training = True


class FiniteLossGuard(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops a training whose loss is no longer finite, and tells at which crops."""

    async_safe = True

    def __init__(self, batches: Batches, folder: Path) -> None:
        super().__init__()
        self._batches = batches
        self._folder = folder
        self._bad: int | None = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the mean loss so far, which one bad batch spoils for good."""
        if logs and not math.isfinite(logs["loss"]):
            self._bad = batch if self._bad is None else min(batch, self._bad)
            self.model.stop_training = True

    def check(self) -> None:
        """Raise what was seen.

        Raises:
            LossError: the loss of some batch was not finite; a file names its crops.
        """
        if self._bad is None:
            return
        epoch = self._batches.epoch
        names = self._batches.face_ids(epoch, self._bad)
        path = self._folder / "not-finite.txt"
        write_atomically(path, ("\n".join(names) + "\n").encode())
        raise LossError(
            f"the loss is not finite after batch {self._bad + 1} of epoch {epoch + 1}, "
            f"whose crops are {', '.join(names[:3])}, … (all {len(names)} in {path}). Try a lower "
            f"--learning-rate; without --mixed-precision if it is on. The epochs before are kept."
        )
