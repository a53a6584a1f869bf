"""Train a DCGAN on images, in a run folder that can be resumed."""

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
from classify.gan.real_faces import ARRAY, GanBatches, find_images, load, packed
from classify.gan.run import GanRun
from classify.gan.settings import GanSettings
from classify.training import checkpoints, curves
from classify.training.run_folder import check_free, note_resumption
from ffpp_tools.files import delete_temporary_files, write_atomically
from ffpp_tools.store.incomplete import mark, unmark
from ffpp_tools.store.locks import folder_lock

COMMAND = "classify gan train"
# Files written before the first epoch has finished; until then, a folder may be started over.
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
    """Train a DCGAN on the images under a folder, or on the real ones of a manifest's train split.

    After every epoch, last.keras and log.csv contain all that `resume` needs, and five samples and
    the losses of the epoch's batches are written to `epochs/`.

    Args:
        source: the folder. The centre square of each image is used.
        folder: the run folder to create.
        settings: networks and training.
        callbacks: additional callbacks, such as `display.Display`.
        progress: progress bar factory, see `pack.ProgressFactory`.

    Raises:
        ClassifyError: there are too few images, one cannot be read, the folder is not empty, or a
            loss is not finite.
    """
    check_free(folder, COMMAND)
    paths = find_images(source)
    with folder_lock(folder, COMMAND):
        check_free(folder, COMMAND)  # another process may have been faster
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
    """Resume a training run after its last finished epoch, if requested for more epochs in total.

    The batches are those of an uninterrupted run. On the same CPU, the final weights are also the
    same, up to rounding.

    Raises:
        ClassifyError: the folder has no run, all epochs are finished, or a checkpoint is damaged.
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
                f"{folder}: all {len(done)} epochs are done; to train longer, pass for example "
                f"--epochs {2 * len(done)}"
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
    checkpointer = GanCheckpointer(run, model, batches, images, done)
    run.write()
    if done:
        note_resumption(run.folder, len(done))
        checkpointer.follow_last()
    model.fit(
        batches,
        initial_epoch=len(done),
        epochs=run.settings.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[checkpointer, *callbacks],
    )
    if checkpointer.failed:
        raise ClassifyError(
            f"{run.folder}: a loss is not finite in epoch {len(checkpointer.epochs) + 1}; try a "
            f"lower --learning-rate. The checkpoints of earlier epochs remain."
        )


class GanCheckpointer(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the log, checkpoints and samples of a DCGAN after every epoch."""

    def __init__(
        self,
        run: GanRun,
        model: Dcgan,
        batches: GanBatches,
        images: np.ndarray,
        epochs: list[GanEpoch],
    ) -> None:
        """Start after the given epochs."""
        super().__init__()
        self.epochs = epochs
        self.failed = False
        self._run = run
        self._gan = model
        self._batches = batches
        rng = np.random.default_rng(run.settings.seed)
        sample = rng.choice(len(images), min(WATCHED, len(images)), replace=False)
        self._real_diversity = diversity(images[np.sort(sample)])
        self._noise = rng.standard_normal((WATCHED, run.settings.latent), np.float32)
        self._losses: list[tuple[float, float]] = []
        self._started = 0.0

    def follow_last(self) -> None:
        """Update the generators and log.csv from last.keras, which is written first."""
        folder, done = self._run.folder, len(self.epochs)
        checkpoints.save(folder / "generator.keras", self._gan.generator)
        numbered = self._run.saved_generator(done)
        due = done % self._run.settings.every == 0 or done == self._run.settings.epochs
        if due and not numbered.exists():
            checkpoints.save(numbered, self._gan.generator)
        checkpoints.write_log(folder, self.epochs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Reset the timer and the losses."""
        self._started = time.perf_counter()
        self._batches.epoch = epoch
        self._losses = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Record both losses, which Keras reports as running means over the epoch."""
        self._losses.append(_both_losses(logs))
        if not all(map(math.isfinite, self._losses[-1])):
            self.failed = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Generate images from the constant noise, and write the log, samples and checkpoints."""
        if self.failed:
            return
        took = time.perf_counter() - self._started
        generated = generated_images(self._gan.generator, self._noise)
        generator_loss, discriminator_loss = _both_losses(logs)
        row = GanEpoch(
            epoch=epoch,
            generator_loss=generator_loss,
            discriminator_loss=discriminator_loss,
            real_accuracy=logs["real_accuracy"],
            generated_accuracy=logs["generated_accuracy"],
            diversity=diversity(generated) / self._real_diversity,
            images_per_second=round(len(self._losses) * self._batches.size / took, 2),
            seconds=round(took, 3),
        )
        self.epochs.append(row)
        logs["diversity"] = row.diversity  # for display callbacks
        self._draw(generated)
        checkpoints.save_last(self._run.folder, self._gan, self.epochs)
        self.follow_last()
        unmark(self._run.folder)

    def _draw(self, generated: np.ndarray) -> None:
        done = len(self.epochs)
        means = np.array(self._losses) * (np.arange(len(self._losses)) + 1)[:, None]
        losses = np.diff(means, axis=0, prepend=0)
        table = pd.DataFrame(losses, columns=["generator_loss", "discriminator_loss"])
        path = self._run.folder / "epochs" / f"{done:04d}.png"
        write_atomically(path.with_suffix(".csv"), table.to_csv(index_label="batch").encode())
        sheet = figures.epoch(done, generated[: figures.SAMPLES], table)
        write_atomically(path, curves.image(sheet, "png"))
        log = pd.DataFrame(self.epochs)
        write_atomically(
            self._run.folder / "learning.png", curves.image(figures.course(log), "png")
        )


def _both_losses(logs: dict[str, float]) -> tuple[float, float]:
    """Return the loss of the generator and that of the discriminator."""
    return logs["generator_loss"], logs["real_loss"] + logs["generated_loss"]
