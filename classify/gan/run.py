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
    images: str  # the folder of the pictures or of the manifest, relative to the run folder
    count: int  # of the pictures

    @property
    def source(self) -> Path:
        """The folder that the pictures came from."""
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
        """The same run with so many epochs."""
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
        """The run in `folder`.

        Raises:
            RunError: no run there, or its configuration is damaged.
        """
        path = folder / CONFIG
        try:
            config = format_versions.without_format(format_versions.RUN, path, read_toml(path))
            images = config["images"]
            settings = GanSettings(**config["gan"])
            return cls(folder, settings, str(images["path"]), int(images["count"]))
        except FileNotFoundError as error:
            raise RunError(
                f"no run at {folder} (no {CONFIG}); `classify gan train` makes one"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, ClassifyError) as error:
            raise RunError(f"{path}: not of a DCGAN, or damaged ({error!r})") from error

    def kept(self, epochs: int) -> Path:
        """Where the generator after so many epochs is kept."""
        return self.folder / "checkpoints" / f"generator-{epochs:04d}.keras"

    def generator(self, epochs: int | None = None) -> Path:
        """The file of the last generator, or of the one after so many epochs.

        Raises:
            RunError: there is none.
        """
        path = self.folder / "generator.keras" if epochs is None else self.kept(epochs)
        if not path.is_file():
            known = ", ".join(map(str, self.kept_epochs)) or "none"
            raise RunError(f"{path} is missing; generators are kept of the epochs {known}")
        return path

    @property
    def kept_epochs(self) -> list[int]:
        """After how many epochs generators were kept, ascending."""
        paths = self.folder.glob("checkpoints/generator-*.keras")
        return sorted(int(path.stem.split("-")[-1]) for path in paths)

    @property
    def log(self) -> pd.DataFrame:
        """One row per finished epoch, columns as in `watch.GanEpoch`.

        Raises:
            RunError: none was finished yet.
        """
        return read_log(self.folder)

    def remarks(self, epochs: int | None = None) -> list[str]:
        """What is wrong with it after so many epochs, None for the last, in sentences."""
        log = self.log
        row: dict[str, Any] = log.iloc[len(log) - 1 if epochs is None else epochs - 1].to_dict()
        return remarks(GanEpoch(**row))
