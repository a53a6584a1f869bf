"""Configuration and manifest to a trained run folder."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from classify.augment import Augmentation, preset
from classify.backend import jit_compile
from classify.errors import ClassifyError
from classify.models import build, default_weights
from classify.pack import Packed, pack
from classify.runs import Run, TrainConfig
from ffpp_tools.tables import Manifest, sha256


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


def train(manifest_folder: Path, folder: Path, verbose: int | str = "auto", **settings: Any) -> Run:
    """Train a network on a manifest, as the paper does unless told otherwise.

    Adam; stops when the validation loss has not fallen for `patience` epochs; best.keras is
    the epoch with the lowest validation loss. The test split is not read.

    Args:
        manifest_folder: what `ffpp-split` wrote.
        folder: the run folder to make.
        verbose: as `keras.Model.fit` takes it.
        **settings: fields of `TrainConfig` other than the manifest's; `weights` left out or
            None is "imagenet" for a backbone that has such weights, else "none".

    Raises:
        ClassifyError: bad settings, a crop that is gone, weights that do not fit, a used folder.
        TableError: no manifest there.
    """
    manifest = Manifest.read(manifest_folder)
    if settings.get("weights") is None:
        settings["weights"] = default_weights(settings.get("arch", TrainConfig.arch))
    config = TrainConfig(
        manifest=os.path.relpath(manifest_folder.resolve(), folder.resolve()),
        manifest_sha256=sha256(manifest_folder / "manifest.json"),
        **settings,
    )
    _check(config)
    keras.utils.set_random_seed(config.seed)
    classes = len(manifest.classes)
    # Everything that can fail for want of data or weights comes before the folder is made.
    model = build(config.arch, classes, config.size, config.weights, config.activation)
    parts = {split: pack(manifest, split, config.size) for split in ("train", "val")}
    augment = preset(config.augment)
    run = Run.create(folder, replace(config, weights=_portable(config.weights, folder)))
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit_compile(),
    )
    model.fit(
        Batches(parts["train"], classes, config.batch_size, augment, config.seed),
        validation_data=Batches(parts["val"], classes, config.batch_size, None, config.seed),
        epochs=config.epochs,
        shuffle=False,
        verbose=verbose,
        callbacks=[
            keras.callbacks.CSVLogger(str(folder / "log.csv")),
            Checkpoints(folder),
            keras.callbacks.EarlyStopping("val_loss", mode="min", patience=config.patience),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    return run


def _check(config: TrainConfig) -> None:
    for name, least in (("size", 32), ("epochs", 1), ("batch_size", 1), ("patience", 0)):
        if getattr(config, name) < least:
            raise ClassifyError(f"{name} ({getattr(config, name)}) must be at least {least}")
    if not config.learning_rate > 0:
        raise ClassifyError(f"learning_rate ({config.learning_rate}) must be above 0")


def _portable(weights: str, folder: Path) -> str:
    """A weights file's path from the run folder; names stay as they are."""
    return (
        os.path.relpath(Path(weights).resolve(), folder.resolve())
        if Path(weights).is_file()
        else weights
    )
