"""Training callbacks: checkpoints after every epoch, and a guard against non-finite losses."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classify.backend import seed_dropout
from classify.data.batches import Batches
from classify.errors import LossError
from classify.training import checkpoints
from classify.training.checkpoints import Epoch
from classify.training.network import averaged_weights, use_averaged_weights
from classify.training.settings import TrainSettings, phases
from ffpp_tools.files import write_atomically
from ffpp_tools.store.incomplete import unmark

PLATEAU_PATIENCE = 2  # epochs without a lower value of the monitor before the rate drops
PLATEAU_FACTOR = 0.5


class Checkpointer(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the log and the checkpoints after every epoch, and implements early stopping.

    All its decisions follow from the finished epochs and the settings, and dropout is reseeded in
    every epoch. An interrupted training run therefore resumes as if it had never stopped.

    With `TrainSettings.ema`, validation and best.keras use the moving averages of the weights.
    last.keras holds the weights and, in the optimizer, their averages. After the last epoch of a
    phase the averages become the weights: the next phase starts from them.
    """

    def __init__(
        self,
        folder: Path,
        settings: TrainSettings,
        network: keras.Model,
        epochs: list[Epoch],
        trainer: keras.Model | None = None,
    ) -> None:
        """Start after the given epochs.

        Args:
            folder: run folder.
            settings: settings of the run.
            network: the network to save as best.keras.
            epochs: the finished epochs.
            trainer: the same network with its optimizer, in its state after the last of them.
        """
        super().__init__()
        self.network = network
        self.epochs = epochs
        self.trainer = trainer
        self.batches: Batches | None = None  # whose epoch it sets
        self.phases = phases(settings)
        self._folder = folder
        self._settings = settings
        self._started = self._trained = 0.0
        self._validating = ExitStack()

    def has_ended(self) -> bool:
        """Return whether nothing is left to train."""
        first, settings = self.phases[-1].first, self._settings
        return len(self.epochs) >= settings.epochs or checkpoints.stalled(
            self.epochs, first, settings.patience, settings.monitor
        )

    def follow_last(self) -> None:
        """Update best.keras and log.csv from last.keras, which is written first."""
        if checkpoints.is_best(self.epochs, self._settings.monitor):
            with self._averaged():
                checkpoints.save(self._folder / "best.keras", self.network)
        checkpoints.write_log(self._folder, self.epochs)

    def _averaged(self) -> AbstractContextManager[None]:
        """Return a context in which the network has its averaged weights, if there are any.

        The last.keras of a run that has ended has no optimizer; its weights are the averages.
        """
        averages = self._settings.ema is not None and getattr(self.trainer, "optimizer", None)
        return averaged_weights(self.trainer) if averages else nullcontext()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set everything that would otherwise depend on the epochs run by this process."""
        self._started, self._trained = time.perf_counter(), 0.0
        if self.batches is not None:
            self.batches.epoch = epoch
            # For the display: all callbacks of a training run share their parameters.
            self.params["crops_per_epoch"] = self.batches.crops_per_epoch
        reseed = np.random.SeedSequence((self._settings.seed, epoch))
        seed_dropout(int(reseed.generate_state(1)[0]))
        states = [v for v in self.model.variables if v.path.endswith("seed_generator_state")]
        for number, state in enumerate(states):
            seeds = np.random.SeedSequence((self._settings.seed, epoch, number, 1))
            state.assign(seeds.generate_state(state.shape[0]).astype(state.dtype))
        if self._settings.schedule == "plateau":
            phase = next(p for p in self.phases if epoch < p.end)
            past = [e for e in self.epochs if e.epoch >= phase.first]
            drops = checkpoints.plateau_drops(past, PLATEAU_PATIENCE, self._settings.monitor)
            self.model.optimizer.learning_rate = phase.rate * PLATEAU_FACTOR**drops

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Note when the training part of the epoch ended, and validate the averaged weights."""
        self._trained = time.perf_counter()
        self._validating.enter_context(self._averaged())

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Continue with the weights as trained."""
        self._validating.close()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log the epoch and save it, under temporary names first."""
        values: dict[str, Any] = dict(logs or {})
        if not math.isfinite(values["loss"]):
            return  # FiniteLossGuard reports it; the last good checkpoint stays
        now = time.perf_counter()
        training = (self._trained or now) - self._started
        images = self.batches.crops_per_epoch if self.batches is not None else 0
        metrics: dict[str, Any] = {name: values.get(name) for name in checkpoints.MEASURES}
        row = Epoch(
            epoch=epoch,
            **metrics,
            learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            images_per_second=round(images / training, 2),
            seconds=round(now - self._started, 3),
        )
        self.epochs.append(row)
        if self._settings.ema is not None and (
            self.has_ended() or epoch + 1 in [phase.end for phase in self.phases]
        ):
            use_averaged_weights(self.model)
        # A finished run is never resumed: it is saved without the optimizer's state, which is twice
        # the size of the weights.
        model = self.network if self.has_ended() else self.model
        checkpoints.save_last(self._folder, model, self.epochs)
        self.follow_last()
        unmark(self._folder)
        if self.has_ended():
            self.model.stop_training = True


class FiniteLossGuard(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops a training run whose loss is not finite, and reports the crops of the batch."""

    async_safe = True

    def __init__(self, batches: Batches, folder: Path) -> None:
        super().__init__()
        self._batches = batches
        self._folder = folder
        self._bad_batch: int | None = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Check the running mean of the loss, which stays non-finite after one bad batch."""
        if logs and not math.isfinite(logs["loss"]):
            self._bad_batch = batch if self._bad_batch is None else min(batch, self._bad_batch)
            self.model.stop_training = True

    def check(self) -> None:
        """Raise an error if a loss was not finite.

        Raises:
            LossError: the loss of a batch was not finite; a file lists its crops.
        """
        if self._bad_batch is None:
            return
        epoch = self._batches.epoch
        names = self._batches.face_ids(epoch, self._bad_batch)
        path = self._folder / "not-finite.txt"
        write_atomically(path, ("\n".join(names) + "\n").encode())
        raise LossError(
            f"the loss is not finite after batch {self._bad_batch + 1} of epoch {epoch + 1}, "
            f"whose crops are {', '.join(names[:3])}, … (all {len(names)} in {path}). Try a lower "
            f"--learning-rate, or omit --mixed-precision. The checkpoints of earlier epochs remain."
        )
