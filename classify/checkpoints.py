"""What a training leaves behind after every epoch, so that it can be stopped and go on."""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from classify.errors import RunError
from classify.runs import load_model
from ffpp_tools.files import write_atomically

LOG = "log.csv"


@dataclass(frozen=True)
class Epoch:
    """A row of log.csv."""

    epoch: int  # from 0
    loss: float
    accuracy: float
    val_loss: float | None  # None without a validation split
    val_accuracy: float | None
    learning_rate: float  # at the epoch's end
    images_per_second: float  # of the training part
    seconds: float  # of the whole epoch


def write_log(folder: Path, epochs: list[Epoch]) -> None:
    """Write log.csv."""
    write_atomically(folder / LOG, _csv(epochs))


def _csv(epochs: list[Epoch]) -> bytes:
    table = pd.DataFrame([asdict(epoch) for epoch in epochs])
    if epochs[-1].val_loss is None:
        table = table.drop(columns=["val_loss", "val_accuracy"])
    return table.to_csv(index=False, lineterminator="\n").encode()


def save_best(folder: Path, network: keras.Model) -> None:
    """Write best.keras, without the optimizer's state: to predict with."""
    temporary = folder / "saving-best.keras"
    network.save(temporary)
    _replace(temporary, folder / "best.keras")


def save_last(folder: Path, trainer: keras.Model, epochs: list[Epoch]) -> None:
    """Write last.keras: network, optimizer and, as one more member of the archive, the log.

    The log in it is that of the very epoch: what goes on from the file can never meet another's.
    """
    temporary = folder / "saving-last.keras"
    trainer.save(temporary)
    with zipfile.ZipFile(temporary, "a") as archive:
        archive.writestr(LOG, _csv(epochs))
    _replace(temporary, folder / "last.keras")


def read_last(folder: Path) -> tuple[keras.Model | None, list[Epoch]]:
    """The compiled network of the last finished epoch, and the epochs up to it.

    Without last.keras, no epoch was finished: None and an empty list.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / "last.keras"
    if not path.exists():
        return None, []
    try:
        with zipfile.ZipFile(path) as archive:
            table = pd.read_csv(io.BytesIO(archive.read(LOG)))
        unvalidated = {} if "val_loss" in table else {"val_loss": None, "val_accuracy": None}
        rows: list[dict[str, Any]] = table.to_dict("records")
        epochs = [Epoch(**{**unvalidated, **row}) for row in rows]
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: damaged ({error}); train anew in another folder") from error
    with warnings.catch_warnings():
        # Keras only warns of an optimizer whose state does not fit, and starts it anew.
        warnings.filterwarnings("error", "Skipping variable loading for optimizer", UserWarning)
        return load_model(path, compiled=True), epochs


def is_best(epochs: list[Epoch]) -> bool:
    """Whether the last epoch is the one to keep: its validation loss is the lowest so far.

    Without validation every epoch is kept in its turn.
    """
    losses = _losses(epochs)
    return math.isfinite(losses[-1]) and all(not loss <= losses[-1] for loss in losses[:-1])


def stalled(epochs: list[Epoch], first: int, patience: int) -> bool:
    """Whether the validation loss has not fallen for `patience` epochs since epoch `first`."""
    losses = _losses([epoch for epoch in epochs if epoch.epoch >= first])
    if not losses or epochs[-1].val_loss is None:
        return False
    lowest = min(range(len(losses)), key=lambda i: (math.isnan(losses[i]), losses[i]))
    return len(losses) - 1 - lowest >= max(patience, 1)


def plateau_drops(epochs: list[Epoch], patience: int) -> int:
    """How often the validation loss stood still for `patience` epochs, counted anew after each."""
    drops, waited, lowest = 0, 0, math.inf
    for loss in _losses(epochs):
        if loss < lowest:
            lowest, waited = loss, 0
        else:  # also where it is not a number
            waited += 1
        if waited >= patience:
            drops, waited = drops + 1, 0
    return drops


def _losses(epochs: list[Epoch]) -> list[float]:
    """The validation losses; without validation, falling ones, so that the last is the best."""
    return [-float(e.epoch) if e.val_loss is None else e.val_loss for e in epochs]


def _replace(temporary: Path, path: Path) -> None:
    """Give a written file its name: the disk has all of it, or the name stays with the old."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
