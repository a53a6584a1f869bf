"""The run folder: everything needed to understand, judge and repeat one training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import tomli_w

from classify.errors import ClassifyError, RunError
from classify.models.file_checks import brief, loaded
from classify.training.run_folder import (
    environment_here,
    read_environment,
    read_log,
    restore_log,
    write_environment,
)
from classify.training.settings import TrainSettings, read_config
from ffpp_tools.errors import TableError
from ffpp_tools.extraction.any_media import read_settings
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.settings_file import read_sections, recorded_settings
from ffpp_tools.files import read_json, read_toml, sha256, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import format_versions
from ffpp_tools.store.schema import SPLITS

if TYPE_CHECKING:
    import keras

FACES = "faces.json"  # classes, and how the faces it was trained on were found and cropped
OLDER = "missing or damaged; a run of this version has it: train again"


@dataclass(frozen=True)
class Run:
    """A run folder on disk."""

    folder: Path
    settings: TrainSettings
    manifest_path: str  # of the manifest's folder, relative to the run folder
    manifest_sha256: str  # of its manifest.json, which holds the hashes of its CSV files

    @classmethod
    def of(cls, folder: Path, settings: TrainSettings, manifest: Manifest) -> Self:
        """A run that is to be, in `folder`, on a manifest."""
        path = _relative(manifest.folder, folder)
        return cls(folder, settings, path, manifest.sha256)

    def create(self) -> None:
        """Write environment.json and, last, config.toml, which says that a run is there."""
        more: dict[str, Any] = {}
        if self.settings.weights and Path(self.settings.weights).is_file():
            weights = Path(self.settings.weights)
            more["weights_sha256"] = sha256(weights)
            if weights.suffix == ".keras":
                more["weights_manifest_sha256"] = _manifest_behind(weights.resolve())
        write_environment(self.folder, {**environment_here(), **more})
        self.write()

    def write(self) -> None:
        """Write config.toml."""
        write_atomically(self.folder / "config.toml", self.config_for(self.folder).encode())

    def config_for(self, folder: Path, **changes: Any) -> str:
        """The config.toml that would train this run again from another folder.

        Args:
            folder: where it is to lie: paths in it start there.
            changes: settings that differ.
        """
        settings = replace(self.settings, **changes).table()
        if self.settings.weights and Path(self.settings.weights).is_file():
            settings["weights"] = _relative(Path(self.settings.weights), folder)
        manifest = self.folder.resolve() / self.manifest_path
        config = {
            "manifest": {"path": _relative(manifest, folder), "sha256": self.manifest_sha256},
            "training": settings,
        }
        return tomli_w.dumps(format_versions.with_format(format_versions.RUN, config))

    def keep_faces(self, faces: Mapping[str, Any]) -> None:
        """Write faces.json, what `faces_of` says: to do the same to videos away from the data."""
        text = json.dumps(format_versions.with_format(format_versions.SETTINGS, faces)) + "\n"
        write_atomically(self.folder / FACES, text.encode())

    def check_weights(self) -> None:
        """Refuse to start from another weights file than the one the run was made with.

        Raises:
            RunError: the file has changed.
        """
        noted = self.environment.get("weights_sha256")
        if noted and sha256(Path(str(self.settings.weights))) != noted:
            raise RunError(
                f"{self.settings.weights} is not what it was when {self.folder} was made"
            )

    @property
    def borrowed(self) -> str:
        """A sentence on weights of a network that may know people of this run's splits, or ""."""
        if "weights_manifest_sha256" not in self.environment:
            return ""
        if self.environment["weights_manifest_sha256"] == self.manifest_sha256:
            return "It started from a run on the same manifest."
        return (
            f"IT STARTED FROM {Path(str(self.settings.weights)).name} OF ANOTHER TRAINING, which "
            f"may have seen people of this split."
        )

    @property
    def environment(self) -> dict[str, Any]:
        """What environment.json says; nothing where it is gone or damaged."""
        return read_environment(self.folder)

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """The run in `folder`.

        Raises:
            RunError: no run there, or its configuration is damaged.
            FormatError: a newer release wrote it.
        """
        folder = Path(folder)
        path = folder / "config.toml"
        if not path.is_file():
            raise RunError(f"no run at {folder} (no config.toml); `classify train` makes one")
        try:
            settings, _ = read_config(path)
            manifest = read_toml(path)["manifest"]
            return cls(folder, settings, manifest["path"], manifest["sha256"])
        except ClassifyError as error:
            raise RunError(str(error)) from error
        except (KeyError, TypeError) as error:
            raise RunError(f"{path}: no {error} of the manifest; not a run's") from error

    @property
    def manifest(self) -> Manifest:
        """The manifest the run was trained on.

        Raises:
            RunError: it was made anew since, so that its test people may have been trained on.
            TableError: it is gone or damaged.
        """
        manifest = Manifest.read((self.folder.resolve() / self.manifest_path).resolve())
        if not self.is_of(manifest):
            raise RunError(
                f"{manifest.folder} has changed since {self.folder} was trained on it: its test "
                f"split may now hold people the network knows. Train again, or restore it."
            )
        return manifest

    def report_folder(self, split: str, name: str = "report") -> Path:
        """Where what is said of a split lies: `report`, and `report-val` for other splits.

        Raises:
            ClassifyError: an unknown split.
        """
        if split not in SPLITS:
            raise ClassifyError(f"unknown split {split!r}; choose from {', '.join(SPLITS[::-1])}")
        return self.folder / (name if split == "test" else f"{name}-{split}")

    def is_of(self, manifest: Manifest) -> bool:
        """Whether it was trained on this very manifest."""
        return manifest.sha256 == self.manifest_sha256

    @property
    def classes(self) -> dict[str, str]:
        """Class → "real" or "fake", in index order; also where the data is elsewhere.

        Raises:
            RunError: faces.json is gone or damaged.
        """
        return dict(self.faces["classes"])

    @property
    def faces(self) -> dict[str, Any]:
        """What `faces_of` said of the run's manifest.

        Raises:
            RunError: faces.json is gone or damaged.
            FormatError: a newer release wrote it.
        """
        path = self.folder / FACES
        try:
            found = {"classes": dict(read_json(path)["classes"]), **read_sections(path)}
            return {**found, "crop": dict(found["crop"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.folder / FACES}: {OLDER} ({error!r})") from error

    @property
    def face_settings(self) -> tuple[ClipSettings, StillSettings]:
        """How the faces were found and cropped that it was trained on.

        Raises:
            TableError: the file that tells is gone or damaged.
        """
        return read_settings(self.folder / FACES)

    @property
    def log(self) -> pd.DataFrame:
        """One row per finished epoch; columns as in `checkpoints.Epoch`.

        log.csv is made anew where it is not that of last.keras, or of fewer of its epochs.

        Raises:
            RunError: no epoch was finished yet.
        """
        restore_log(self.folder)
        return read_log(self.folder)

    @property
    def kept_epoch(self) -> int:
        """The epoch, counted from 1, that best.keras holds: that of the lowest `monitor`.

        Raises:
            RunError: no epoch was finished yet, or the log lacks what the epoch was chosen by.
        """
        log, monitor = self.log, self.settings.monitor
        if "val_loss" not in log:  # a refit, of which nothing is chosen
            return len(log)
        if monitor not in log or log[monitor].isna().all():
            raise RunError(f"{self.folder}/log.csv has no {monitor}, by which the epoch was chosen")
        return int(log[monitor].idxmin()) + 1

    @property
    def kept_row(self) -> dict[str, Any]:
        """What the log holds of the epoch that was kept.

        Raises:
            RunError: as `kept_epoch`.
        """
        return dict(self.log.loc[self.kept_epoch - 1])

    @property
    def checkpoint(self) -> Path:
        """The file of the epoch that was kept; of a refit, of its last one.

        Raises:
            RunError: no epoch was finished yet.
        """
        path = self.folder / "best.keras"
        if not path.exists():
            raise RunError(f"{path} is missing: no epoch of this run was finished; train again")
        return path

    @property
    def checkpoint_sha256(self) -> str:
        """The hash of that file.

        Raises:
            RunError: no epoch was finished yet.
        """
        return sha256(self.checkpoint)

    def best_model(self) -> keras.Model:
        """The network of that epoch.

        Raises:
            RunError: no epoch was finished yet, or the file is damaged or of another network.
        """
        model, side = load_model(self.checkpoint), self.settings.size
        if model.input_shape != (None, side, side, 3):
            raise RunError(
                f"{self.checkpoint} is not the network of this run: it takes {model.input_shape}, "
                f"and the run's takes pictures of {side} × {side}; restore it, or train again"
            )
        return model


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path.resolve(), folder.resolve())


def faces_of(manifest: Manifest) -> dict[str, Any]:
    """A manifest's classes, and how the faces of its dataset were found and cropped.

    What is settled for stills counts only where the manifest has some.

    Raises:
        TableError: the dataset's settings are gone or damaged.
    """
    settings = recorded_settings(manifest.root)
    if "crop" not in settings:
        raise TableError(f"{manifest.root}/settings.json is missing; extract the dataset again")
    if not any(there["stills"] for there in manifest.info["groups"].values()):
        settings.pop("stills", None)
    return {"classes": manifest.classes, **settings}


def load_model(path: Path, compiled: bool = False) -> keras.Model:
    """A network from a `.keras` file, whose code, if it holds any, is never run.

    Raises:
        RunError: the file is damaged, declares more than it holds, or would need code that Keras
            does not have.
    """
    try:
        return loaded(path, compiled)
    except Exception as error:  # a damaged archive leads Keras to any
        why = brief(error)
        raise RunError(f"{path}: not a Keras model that can be loaded safely ({why})") from error


def _manifest_behind(weights: Path) -> str:
    """The hash of the manifest that the run of a checkpoint was trained on; "" where unknown."""
    try:
        return Run.read(weights.parent).manifest_sha256
    except ClassifyError:
        return ""
