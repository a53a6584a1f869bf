"""Checkpoints and log, written after every epoch so that training can be resumed."""

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

# Metrics of an epoch, by their names in the logs of Keras's callbacks.
MEASURES = ("loss", "log_loss", "accuracy", "val_loss", "val_log_loss", "val_accuracy")
Row = TypeVar("Row", bound=Any)  # dataclass of a row of the log


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """A row of log.csv."""

    epoch: int  # from 0
    loss: float  # the minimised loss, with penalties and class weights
    log_loss: float | None = None  # of the probabilities alone; None in older logs
    accuracy: float
    val_loss: float | None = None  # None without a validation split
    val_log_loss: float | None = None
    val_accuracy: float | None = None
    learning_rate: float  # at the end of the epoch
    images_per_second: float  # of the training part
    seconds: float  # of the whole epoch


def write_log(folder: Path, epochs: Sequence[Row]) -> None:
    """Write log.csv: a row per epoch, without columns that are empty."""
    write_atomically(folder / LOG, _csv(epochs))


def _csv(epochs: Sequence[Row]) -> bytes:
    table = pd.DataFrame([asdict(epoch) for epoch in epochs])
    table = table.drop(columns=[name for name, v in asdict(epochs[-1]).items() if v is None])
    return table.to_csv(index=False, lineterminator="\n").encode()


def save(path: Path, network: keras.Model) -> None:
    """Write a network for prediction, without the optimizer's state."""
    with _saving(path) as temporary:
        network.save(temporary)


def save_last(folder: Path, trainer: keras.Model, epochs: Sequence[Row]) -> None:
    """Write last.keras: network, optimizer and, as an extra member of the archive, the log.

    The file holds the log of the same epoch, so a resumed run cannot pair it with another log.
    """
    with _saving(folder / "last.keras") as temporary:
        trainer.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(LOG, _csv(epochs))


def read_last(folder: Path, row: type[Row]) -> tuple[keras.Model | None, list[Row]]:
    """Return the compiled network of the last finished epoch, and the epochs up to it.

    Returns None and an empty list if there is no last.keras: no epoch has finished.

    Args:
        folder: run folder.
        row: dataclass of the log's rows.

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
        raise RunError(f"{path}: damaged ({error}); train again in another folder") from error
    with warnings.catch_warnings():
        # Keras only warns if the optimizer's state does not fit, and resets it.
        warnings.filterwarnings("error", "Skipping variable loading for optimizer", UserWarning)
        return load_model(path, compiled=True), epochs


def is_best(epochs: list[Epoch], monitor: str) -> bool:
    """Return whether the last epoch is the best so far: its `monitor` is the lowest.

    Without validation, every epoch is the best when it ends.
    """
    losses = _losses(epochs, monitor)
    return math.isfinite(losses[-1]) and all(not loss <= losses[-1] for loss in losses[:-1])


def stalled(epochs: list[Epoch], first: int, patience: int, monitor: str) -> bool:
    """Return whether `monitor` has not fallen for `patience` epochs since epoch `first`."""
    losses = _losses([epoch for epoch in epochs if epoch.epoch >= first], monitor)
    if not losses or epochs[-1].val_loss is None:
        return False
    lowest = min(range(len(losses)), key=lambda i: (math.isnan(losses[i]), losses[i]))
    return len(losses) - 1 - lowest >= max(patience, 1)


def plateau_drops(epochs: list[Epoch], patience: int, monitor: str) -> int:
    """Count how often `monitor` did not fall for `patience` epochs, restarting after each drop."""
    drops, waited, lowest = 0, 0, math.inf
    for loss in _losses(epochs, monitor):
        if loss < lowest:
            lowest, waited = loss, 0
        else:  # also if it is NaN
            waited += 1
        if waited >= patience:
            drops, waited = drops + 1, 0
    return drops


def _losses(epochs: list[Epoch], monitor: str) -> list[float]:
    """Return the values of `monitor`; without validation, falling values: the last is the best."""
    if any(e.val_loss is None for e in epochs):
        return [-float(e.epoch) for e in epochs]
    values = [getattr(e, monitor) for e in epochs]
    return [math.nan if value is None else float(value) for value in values]


def _saving(path: Path) -> AbstractContextManager[Path]:
    """As `atomic_replacement`, with a temporary name whose suffix tells Keras the format."""
    return atomic_replacement(path, f"saving-{secrets.token_hex(8)}-{path.name}")
