"""What a training leaves behind after every epoch, so that it can be stopped and go on."""

from __future__ import annotations

import io
import math
import secrets
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import keras
import pandas as pd

from classify.errors import ModelError, RunError
from classify.models.file_checks import archive_of
from classify.training.run_folder import LOG
from classify.training.runs import load_model
from ffpp_tools.files import atomic_replacement, write_atomically

# What Keras measures of an epoch, by the names of its callbacks' logs.
MEASURES = ("loss", "log_loss", "accuracy", "val_loss", "val_log_loss", "val_accuracy")
Row = TypeVar("Row", bound=Any)  # a dataclass: what is logged of an epoch


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """A row of log.csv."""

    epoch: int  # from 0
    loss: float  # what was minimised: with penalties and class weights
    log_loss: float | None = None  # of the probabilities alone; None in logs that are older than it
    accuracy: float
    val_loss: float | None = None  # None without a validation split
    val_log_loss: float | None = None
    val_accuracy: float | None = None
    learning_rate: float  # at the epoch's end
    images_per_second: float  # of the training part
    seconds: float  # of the whole epoch


def write_log(folder: Path, epochs: Sequence[Row]) -> None:
    """Write log.csv: a row per epoch, without the columns that say nothing."""
    write_atomically(folder / LOG, _csv(epochs))


def _csv(epochs: Sequence[Row]) -> bytes:
    table = pd.DataFrame([asdict(epoch) for epoch in epochs])
    table = table.drop(columns=[name for name, v in asdict(epochs[-1]).items() if v is None])
    return table.to_csv(index=False, lineterminator="\n").encode()


def save(path: Path, network: keras.Model) -> None:
    """Write a network, without an optimizer's state: to predict with."""
    with _saving(path) as temporary:
        network.save(temporary)


def save_last(folder: Path, trainer: keras.Model, epochs: Sequence[Row]) -> None:
    """Write last.keras: network, optimizer and, as one more member of the archive, the log.

    The log in it is that of the very epoch: what goes on from the file can never meet another's.
    """
    with _saving(folder / "last.keras") as temporary:
        trainer.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(LOG, _csv(epochs))


def read_last(folder: Path, row: type[Row]) -> tuple[keras.Model | None, list[Row]]:
    """The compiled network of the last finished epoch, and the epochs up to it.

    Without last.keras, no epoch was finished: None and an empty list.

    Args:
        folder: of the run.
        row: what the log has a row of per epoch.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / "last.keras"
    if not path.exists():
        return None, []
    try:
        with archive_of(path) as archive:
            table = pd.read_csv(io.BytesIO(archive.read(LOG)))
        epochs = [row(**values) for values in table.to_dict("records")]
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile, ModelError) as error:
        raise RunError(f"{path}: damaged ({error}); train anew in another folder") from error
    with warnings.catch_warnings():
        # Keras only warns of an optimizer whose state does not fit, and starts it anew.
        warnings.filterwarnings("error", "Skipping variable loading for optimizer", UserWarning)
        return load_model(path, compiled=True), epochs


def is_best(epochs: list[Epoch], monitor: str) -> bool:
    """Whether the last epoch is the one to keep: its `monitor` is the lowest so far.

    Without validation every epoch is kept in its turn.
    """
    losses = _losses(epochs, monitor)
    return math.isfinite(losses[-1]) and all(not loss <= losses[-1] for loss in losses[:-1])


def stalled(epochs: list[Epoch], first: int, patience: int, monitor: str) -> bool:
    """Whether `monitor` has not fallen for `patience` epochs since epoch `first`."""
    losses = _losses([epoch for epoch in epochs if epoch.epoch >= first], monitor)
    if not losses or epochs[-1].val_loss is None:
        return False
    lowest = min(range(len(losses)), key=lambda i: (math.isnan(losses[i]), losses[i]))
    return len(losses) - 1 - lowest >= max(patience, 1)


def plateau_drops(epochs: list[Epoch], patience: int, monitor: str) -> int:
    """How often `monitor` stood still for `patience` epochs, counted anew after each drop."""
    drops, waited, lowest = 0, 0, math.inf
    for loss in _losses(epochs, monitor):
        if loss < lowest:
            lowest, waited = loss, 0
        else:  # also where it is not a number
            waited += 1
        if waited >= patience:
            drops, waited = drops + 1, 0
    return drops


def _losses(epochs: list[Epoch], monitor: str) -> list[float]:
    """The values of `monitor`; without validation, falling ones, so that the last is the best."""
    if any(e.val_loss is None for e in epochs):
        return [-float(e.epoch) for e in epochs]
    values = [getattr(e, monitor) for e in epochs]
    return [math.nan if value is None else float(value) for value in values]


def _saving(path: Path) -> AbstractContextManager[Path]:
    """As `atomic_replacement`, by a name with the suffix that Keras knows the format by."""
    return atomic_replacement(path, f"saving-{secrets.token_hex(8)}-{path.name}")
