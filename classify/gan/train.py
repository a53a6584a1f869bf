"""Pictures to a trained DCGAN, in a run folder that can be gone on with."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from classify.backend import dtype_policy
from classify.data.pack import ProgressFactory
from classify.errors import ClassifyError, RunError
from classify.gan import figures
from classify.gan.collapse import WATCHED, GanEpoch, diversity
from classify.gan.dcgan import Dcgan, build_dcgan, compile_for_here
from classify.gan.generate import generated_images
from classify.gan.real_faces import ARRAY, GanBatches, find_pictures, load, packed
from classify.gan.run import GanRun
from classify.gan.settings import GanSettings
from classify.training import checkpoints, curves
from classify.training.run_folder import check_free, note_resumption
from ffpp_tools.files import delete_temporary_files, write_atomically
from ffpp_tools.store.incomplete import mark, unmark
from ffpp_tools.store.locks import folder_lock

COMMAND = "classify gan train"
# What is there before the first epoch is finished; without one, a folder may be begun anew.
BEGINNING = (
    ARRAY,
    f"{Path(ARRAY).stem}.tmp",
    "environment.json",
    "config.toml",
    "epochs",
    "learning.png",
)


def train(
    source: Path,
    folder: Path,
    settings: GanSettings = GanSettings(),  # noqa: B008 (frozen)
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: ProgressFactory | None = None,
) -> GanRun:
    """Train a DCGAN on the pictures below a folder, or on the real ones of a manifest's train.

    After every epoch last.keras and log.csv tell all that `resume` needs, and `epochs/` gets five
    samples and the losses of its batches.

    Args:
        source: the folder. Of each picture the square in the middle is taken.
        folder: the run folder to make.
        settings: networks and how to train.
        callbacks: further ones, such as `display.Display`.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: too few pictures, one that cannot be read, a used folder, a loss that is not
            finite.
    """
    check_free(folder, COMMAND)
    paths = find_pictures(source)
    with folder_lock(folder, COMMAND):
        check_free(folder, COMMAND)  # nobody has been quicker
        mark(folder, COMMAND, BEGINNING)
        packed(paths, settings.size, folder / ARRAY, progress)
        run = GanRun.create(folder, settings, source, len(paths))
        with dtype_policy(settings.mixed_precision):
            model = build_dcgan(settings)
        _fit(run, model, [], callbacks)
    return run


def resume(
    folder: Path,
    epochs: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> GanRun:
    """Go on with a training after its last finished epoch, to more epochs in all if asked to.

    It shows what it would have shown, batch for batch, and on the same CPU ends with the weights
    that it would have had, up to rounding.

    Raises:
        ClassifyError: no run there, one that has all its epochs, or a damaged checkpoint.
    """
    run = GanRun.read(folder)
    with folder_lock(folder, COMMAND):
        delete_temporary_files(folder, folder / "checkpoints", folder / "epochs")
        return _resumed(run, epochs, callbacks)


def _resumed(
    run: GanRun, epochs: int | None, callbacks: Sequence[keras.callbacks.Callback]
) -> GanRun:
    folder = run.folder
    with dtype_policy(run.settings.mixed_precision):
        model, done = checkpoints.read_last(folder, GanEpoch)
        if epochs is not None and epochs < len(done):
            raise RunError(f"{folder}: has {len(done)} epochs already; it cannot end at {epochs}")
        run = run.until(run.settings.epochs if epochs is None else epochs)
        if len(done) >= run.settings.epochs:
            raise RunError(
                f"{folder}: all {len(done)} epochs are done; --epochs {2 * len(done)} would train "
                f"it as long again"
            )
        if model is None:
            model = build_dcgan(run.settings)
        else:
            compile_for_here(model, run.settings, model.optimizer)
    _fit(run, model, done, callbacks)
    return run


def _fit(
    run: GanRun,
    model: Dcgan,
    done: list[GanEpoch],
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    images = load(run.folder / ARRAY, run.settings.size)
    batches = GanBatches(images, run.settings)
    keeper = GanCheckpointer(run, model, batches, images, done)
    run.write()
    if done:
        note_resumption(run.folder, len(done))
        keeper.follow_last()
    model.fit(
        batches,
        initial_epoch=len(done),
        epochs=run.settings.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[keeper, *callbacks],
    )
    if keeper.failed:
        raise ClassifyError(
            f"{run.folder}: a loss is not finite in epoch {len(keeper.epochs) + 1}; try a lower "
            f"--learning-rate. The epochs before are kept."
        )


class GanCheckpointer(keras.callbacks.Callback):  # type: ignore[misc]
    """Watches a DCGAN, and writes log, checkpoints and samples after every epoch."""

    def __init__(
        self,
        run: GanRun,
        model: Dcgan,
        batches: GanBatches,
        images: np.ndarray,
        epochs: list[GanEpoch],
    ) -> None:
        """Keep the state of a training that has finished these epochs."""
        super().__init__()
        self.epochs = epochs
        self.failed = False
        self._run = run
        self._gan = model
        self._batches = batches
        rng = np.random.default_rng(run.settings.seed)
        some = rng.choice(len(images), min(WATCHED, len(images)), replace=False)
        self._real_diversity = diversity(images[np.sort(some)])
        self._noise = rng.standard_normal((WATCHED, run.settings.latent), np.float32)
        self._losses: list[tuple[float, float]] = []
        self._started = 0.0

    def follow_last(self) -> None:
        """Make the generators and log.csv those of last.keras, which is written first."""
        folder, done = self._run.folder, len(self.epochs)
        checkpoints.save(folder / "generator.keras", self._gan.generator)
        kept = self._run.kept(done)
        due = done % self._run.settings.every == 0 or done == self._run.settings.epochs
        if due and not kept.exists():
            checkpoints.save(kept, self._gan.generator)
        checkpoints.write_log(folder, self.epochs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start counting anew."""
        self._started = time.perf_counter()
        self._batches.epoch = epoch
        self._losses = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Note both losses, which Keras gives as means over the epoch so far."""
        self._losses.append(_both_losses(logs))
        if not all(map(math.isfinite, self._losses[-1])):
            self.failed = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Look at the same noise's pictures again, and write everything down."""
        if self.failed:
            return
        took = time.perf_counter() - self._started
        made = generated_images(self._gan.generator, self._noise)
        generator_loss, discriminator_loss = _both_losses(logs)
        row = GanEpoch(
            epoch=epoch,
            generator_loss=generator_loss,
            discriminator_loss=discriminator_loss,
            real_accuracy=logs["real_accuracy"],
            generated_accuracy=logs["generated_accuracy"],
            diversity=diversity(made) / self._real_diversity,
            images_per_second=round(len(self._losses) * self._batches.size / took, 2),
            seconds=round(took, 3),
        )
        self.epochs.append(row)
        logs["diversity"] = row.diversity  # for whoever shows it
        self._draw(made)
        checkpoints.save_last(self._run.folder, self._gan, self.epochs)
        self.follow_last()
        unmark(self._run.folder)

    def _draw(self, made: np.ndarray) -> None:
        done = len(self.epochs)
        means = np.array(self._losses) * (np.arange(len(self._losses)) + 1)[:, None]
        losses = np.diff(means, axis=0, prepend=0)
        table = pd.DataFrame(losses, columns=["generator_loss", "discriminator_loss"])
        path = self._run.folder / "epochs" / f"{done:04d}.png"
        write_atomically(path.with_suffix(".csv"), table.to_csv(index_label="batch").encode())
        sheet = figures.epoch(done, made[: figures.SAMPLES], table)
        write_atomically(path, curves.image(sheet, "png"))
        log = pd.DataFrame(self.epochs)
        write_atomically(
            self._run.folder / "learning.png", curves.image(figures.course(log), "png")
        )


def _both_losses(logs: dict[str, float]) -> tuple[float, float]:
    """The generator's and the discriminator's."""
    return logs["generator_loss"], logs["real_loss"] + logs["generated_loss"]
