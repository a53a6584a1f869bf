"""Configuration and manifest to a trained run folder."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from classify.augment import Augmentation, preset
from classify.backend import jit_compile
from classify.errors import ClassifyError
from classify.models import build, default_weights
from classify.pack import Packed, Progress, pack
from classify.runs import Run, TrainSettings, check_free
from ffpp_tools.files import sha256
from ffpp_tools.tables import Manifest


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled, augmented batches; the same seed gives the same batches in every run."""

    def __init__(
        self, data: Packed, classes: int, batch_size: int, augment: Augmentation | None, seed: int
    ) -> None:
        super().__init__()
        self._data = data
        self._targets = np.eye(classes, dtype=np.float32)[data.labels]
        self._batch_size = batch_size
        self._augment = augment
        self._seed = seed
        self._epoch = -1
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self._targets) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        start = index * self._batch_size
        rows = self._order[start : start + self._batch_size]
        images = self._data.images[rows]
        if self._augment is not None:
            images = self._augment(images, np.random.default_rng((self._seed, self._epoch, index)))
        return images, self._targets[rows]

    def on_epoch_end(self) -> None:
        """Shuffle anew."""
        self._epoch += 1
        rng = np.random.default_rng((self._seed, self._epoch))
        self._order = rng.permutation(len(self._targets))


class Checkpoints(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps last.keras, and best.keras by validation loss; a file is whole or not there."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._best = math.inf

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save under a temporary name, then rename."""
        temporary = self._folder / "saving.keras"
        self.model.save(temporary)
        if logs and logs["val_loss"] < self._best:
            self._best = logs["val_loss"]
            copy = self._folder / "copying.keras"
            shutil.copyfile(temporary, copy)
            copy.replace(self._folder / "best.keras")
        temporary.replace(self._folder / "last.keras")


def train(
    manifest_folder: Path,
    folder: Path,
    settings: TrainSettings = TrainSettings(),  # noqa: B008 (frozen)
    verbose: int | str = "auto",
    progress: Progress | None = None,
) -> Run:
    """Train a network on a manifest, as the paper does unless told otherwise.

    Adam; stops when the validation loss has not fallen for `patience` epochs; best.keras is
    the epoch with the lowest validation loss. The test split is not read.

    Args:
        manifest_folder: what `ffpp-split` wrote.
        folder: the run folder to make.
        settings: network, weights, and how to train.
        verbose: as `keras.Model.fit` takes it.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: a crop that is gone, weights that do not fit, a used folder, a training
            whose loss is never finite.
        TableError: no manifest there.
    """
    check_free(folder)
    manifest = Manifest.read(manifest_folder)
    settings = replace(settings, weights=settings.weights or default_weights(settings.arch))
    keras.utils.set_random_seed(settings.seed)
    classes = len(manifest.classes)
    # Everything that can fail for want of data or weights comes before the folder is made.
    augment = preset(settings.augment)
    model = _compiled(settings, classes)
    train_data, val_data = (
        pack(manifest, split, settings.size, progress) for split in ("train", "val")
    )
    run = Run(
        folder,
        settings,
        manifest_path=os.path.relpath(manifest_folder.resolve(), folder.resolve()),
        manifest_sha256=sha256(manifest_folder / "manifest.json"),
    )
    run.create()
    model.fit(
        Batches(train_data, classes, settings.batch_size, augment, settings.seed),
        validation_data=Batches(val_data, classes, settings.batch_size, None, settings.seed),
        epochs=settings.epochs,
        shuffle=False,
        verbose=verbose,
        callbacks=[
            keras.callbacks.CSVLogger(str(folder / "log.csv")),
            Checkpoints(folder),
            keras.callbacks.EarlyStopping("val_loss", mode="min", patience=settings.patience),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    if not (folder / "best.keras").exists():
        raise ClassifyError(
            f"{folder}: the validation loss was never finite; try a lower --learning-rate"
        )
    return run


def _compiled(settings: TrainSettings, classes: int) -> keras.Model:
    weights = settings.weights or "none"
    model = build(settings.arch, classes, settings.size, weights, settings.activation)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit_compile(),
    )
    return model
