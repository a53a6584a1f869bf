"""The run folder: everything needed to understand, judge and repeat one training."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import tomli_w

from classify.errors import RunError
from ffpp_tools.tables import Manifest, sha256, write_atomically

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TrainConfig:
    """All that decides a training; the defaults are the paper's."""

    manifest: str  # folder, relative to the run folder
    manifest_sha256: str  # of its manifest.json, which holds the hashes of its CSV files
    weights: str  # "imagenet", "none", or a file, relative to the run folder
    arch: str = "efficientnetb0"
    activation: str = "linear"
    size: int = 128
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.001
    patience: int = 5
    augment: str = "paper"
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """A run folder on disk."""

    folder: Path
    config: TrainConfig

    @classmethod
    def create(cls, folder: Path, config: TrainConfig) -> Run:
        """Make the folder and write config.toml and environment.json.

        Raises:
            RunError: the folder holds something already.
        """
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; a run never overwrites another: choose --out")
        run = cls(folder, config)
        write_atomically(folder / "config.toml", tomli_w.dumps(asdict(config)).encode())
        environment = json.dumps(_environment(), indent=2) + "\n"
        write_atomically(folder / "environment.json", environment.encode())
        return run

    @classmethod
    def read(cls, folder: Path) -> Run:
        """The run in `folder`.

        Raises:
            RunError: no run there, or its configuration is damaged.
        """
        path = folder / "config.toml"
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError as error:
            raise RunError(
                f"no run at {folder} (no config.toml); `classify train` makes one"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: not readable as TOML ({error})") from error
        if set(values) != {f.name for f in fields(TrainConfig)}:
            odd = ", ".join(sorted(set(values) ^ {f.name for f in fields(TrainConfig)}))
            raise RunError(f"{path}: keys missing or unknown ({odd}); written by another version?")
        return cls(folder, TrainConfig(**values))

    @property
    def manifest(self) -> Manifest:
        """The manifest the run was trained on.

        Raises:
            RunError: it was made anew since, so that its test people may have been trained on.
            TableError: it is gone or damaged.
        """
        manifest = Manifest.read(Path(os.path.normpath(self.folder / self.config.manifest)))
        if sha256(manifest.folder / "manifest.json") != self.config.manifest_sha256:
            raise RunError(
                f"{manifest.folder} has changed since {self.folder} was trained on it: its test "
                f"split may now hold people the network knows. Train again, or restore it."
            )
        return manifest

    @property
    def log(self) -> pd.DataFrame:
        """One row per epoch: epoch (from 0), loss, accuracy, val_loss, val_accuracy."""
        return pd.read_csv(self.folder / "log.csv")

    def best_model(self) -> keras.Model:
        """The checkpoint with the lowest validation loss.

        Raises:
            RunError: no epoch was finished, or the file is damaged.
        """
        import keras

        path = self.folder / "best.keras"
        if not path.exists():
            raise RunError(f"{path} is missing: no epoch of this run was finished; train again")
        try:
            return keras.models.load_model(path, compile=False)
        except (ValueError, OSError, KeyError) as error:
            raise RunError(f"{path}: not a readable Keras model ({error})") from error


def new_folder(parent: Path, name: str) -> Path:
    """`parent/name`, or the first of `name-2`, `name-3`, … that is free."""
    folder, number = parent / name, 2
    while folder.exists():
        folder, number = parent / f"{name}-{number}", number + 1
    return folder


def _environment() -> dict[str, Any]:
    """What the numbers of a run may depend on besides its configuration."""
    import platform
    from importlib.metadata import version

    import keras

    backend = keras.backend.backend()
    packages = ("keras", backend, "numpy", "opencv-python-headless", "scikit-learn", "pandas")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": keras.distribution.list_devices(),
        "backend": backend,
        "packages": {name: version(name) for name in packages},
    }
