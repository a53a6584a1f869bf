"""The run folder of a DCGAN."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w

from classify.errors import ClassifyError, RunError
from classify.gan.collapse import GanEpoch, remarks
from classify.gan.settings import GanSettings
from classify.training.run_folder import environment_here, read_log, write_environment
from ffpp_tools.files import read_toml, write_atomically
from ffpp_tools.store import format_versions

CONFIG = "config.toml"


@dataclass(frozen=True)
class GanRun:
    """A run folder on disk."""

    folder: Path
    settings: GanSettings
    images: str  # folder of the images or of the manifest, relative to the run folder
    count: int  # number of images

    @property
    def source(self) -> Path:
        """The folder of the images or of the manifest."""
        return (self.folder.resolve() / self.images).resolve()

    @classmethod
    def create(cls, folder: Path, settings: GanSettings, source: Path, count: int) -> GanRun:
        """Write config.toml and environment.json of a new run."""
        relative = os.path.relpath(source.resolve(), folder.resolve())
        run = cls(folder, settings, relative, count)
        write_environment(folder, environment_here())
        run.write()
        return run

    def until(self, epochs: int) -> GanRun:
        """Return the same run with another number of epochs."""
        return replace(self, settings=replace(self.settings, epochs=epochs))

    def write(self) -> None:
        """Write config.toml."""
        config = {
            "images": {"path": self.images, "count": self.count},
            "gan": self.settings.table(),
        }
        text = tomli_w.dumps(format_versions.with_format(format_versions.RUN, config))
        write_atomically(self.folder / CONFIG, text.encode())

    @classmethod
    def read(cls, folder: Path) -> GanRun:
        """Read the run in `folder`.

        Raises:
            RunError: the folder has no run, or its configuration is damaged.
        """
        path = folder / CONFIG
        try:
            config = format_versions.without_format(format_versions.RUN, path, read_toml(path))
            images = config["images"]
            settings = GanSettings(**config["gan"])
            return cls(folder, settings, str(images["path"]), int(images["count"]))
        except FileNotFoundError as error:
            raise RunError(
                f"no run at {folder} (no {CONFIG}); `classify gan train` creates one"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, ClassifyError) as error:
            raise RunError(f"{path}: not of a DCGAN, or damaged ({error!r})") from error

    def saved_generator(self, epochs: int) -> Path:
        """Return the file of the generator saved after this number of epochs."""
        return self.folder / "checkpoints" / f"generator-{epochs:04d}.keras"

    def generator(self, epochs: int | None = None) -> Path:
        """Return the file of the last generator, or of the one saved after `epochs`.

        Raises:
            RunError: the file does not exist.
        """
        path = self.folder / "generator.keras" if epochs is None else self.saved_generator(epochs)
        if not path.is_file():
            saved = ", ".join(map(str, self.kept_epochs)) or "none"
            raise RunError(f"{path} is missing; generators are saved for the epochs {saved}")
        return path

    @property
    def kept_epochs(self) -> list[int]:
        """The numbers of epochs after which generators were saved, ascending."""
        paths = self.folder.glob("checkpoints/generator-*.keras")
        return sorted(int(path.stem.split("-")[-1]) for path in paths)

    @property
    def log(self) -> pd.DataFrame:
        """One row per finished epoch, columns as in `collapse.GanEpoch`.

        Raises:
            RunError: no epoch has finished.
        """
        log = read_log(self.folder)
        if log.empty:
            raise RunError(f"{self.folder}: no epoch of this run has finished; train again")
        return log

    def remarks(self, epochs: int | None = None) -> list[str]:
        """Return warnings about the run after `epochs`, or after its last epoch, as sentences.

        Raises:
            RunError: the run has fewer epochs, or no epoch has finished.
        """
        log = self.log
        if epochs is not None and epochs > len(log):
            saved = ", ".join(map(str, self.kept_epochs)) or "none"
            raise RunError(f"{self.folder}: generators are saved for the epochs {saved}")
        row: dict[str, Any] = log.iloc[len(log) - 1 if epochs is None else epochs - 1].to_dict()
        return remarks(GanEpoch(**row))
