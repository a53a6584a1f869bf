"""The run folder: everything needed to understand, evaluate and repeat one training run."""

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
from classify.training.settings import BLENDED, TrainSettings, read_config
from ffpp_tools.extraction.any_media import read_settings
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.settings_file import read_sections, required_settings
from ffpp_tools.files import read_json, read_toml, sha256, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import format_versions
from ffpp_tools.store.schema import SPLITS

if TYPE_CHECKING:
    import keras

FACES = "faces.json"  # classes, and how the training faces were detected and cropped
OLDER = "missing or damaged, or the run is of an older version; train again"


@dataclass(frozen=True)
class Run:
    """A run folder on disk."""

    folder: Path
    settings: TrainSettings
    manifest_path: str  # of the manifest's folder, relative to the run folder
    manifest_sha256: str  # of its manifest.json, which holds the hashes of its CSV files

    @classmethod
    def of(cls, folder: Path, settings: TrainSettings, manifest: Manifest) -> Self:
        """Return a new run in `folder` on a manifest, without writing anything."""
        path = _relative(manifest.folder, folder)
        return cls(folder, settings, path, manifest.sha256)

    def create(self) -> None:
        """Write environment.json and, last, config.toml, which marks the folder as a run."""
        sources: dict[str, Any] = {}
        if self.settings.weights and Path(self.settings.weights).is_file():
            weights = Path(self.settings.weights)
            sources["weights_sha256"] = sha256(weights)
            if weights.suffix == ".keras":
                sources["weights_manifest_sha256"] = _training_manifest(weights.resolve())
        write_environment(self.folder, {**environment_here(), **sources})
        self.write()

    def write(self) -> None:
        """Write config.toml."""
        write_atomically(self.folder / "config.toml", self.config_for(self.folder).encode())

    def config_for(self, folder: Path, **changes: Any) -> str:
        """Return the config.toml that trains this run again from another folder.

        Args:
            folder: the folder of the file, to which its paths are relative.
            changes: settings to change.
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
        """Write faces.json, the result of `faces_of`: to crop new videos without the dataset."""
        text = json.dumps(format_versions.with_format(format_versions.SETTINGS, faces)) + "\n"
        write_atomically(self.folder / FACES, text.encode())

    def check_weights(self) -> None:
        """Check that the weights file is the one with which the run was created.

        Raises:
            RunError: the file has changed.
        """
        recorded = self.environment.get("weights_sha256")
        if recorded and sha256(Path(str(self.settings.weights))) != recorded:
            raise RunError(
                f"{self.settings.weights} has changed since {self.folder} was created; restore it, "
                f"or train another run"
            )

    @property
    def borrowed(self) -> str:
        """A sentence on initial weights that may have seen this run's identities, or ""."""
        if "weights_manifest_sha256" not in self.environment:
            return ""
        if self.environment["weights_manifest_sha256"] == self.manifest_sha256:
            return "It started from a run on the same manifest."
        return (
            f"IT STARTED FROM {Path(str(self.settings.weights)).name} OF ANOTHER TRAINING RUN, "
            f"which may have seen identities of this split."
        )

    @property
    def environment(self) -> dict[str, Any]:
        """The contents of environment.json; empty if it is missing or damaged."""
        return read_environment(self.folder)

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read the run in `folder`.

        Raises:
            RunError: the folder has no run, or its configuration is damaged.
            FormatError: a newer release wrote it.
        """
        folder = Path(folder)
        path = folder / "config.toml"
        if not path.is_file():
            raise RunError(f"no run at {folder} (no config.toml); `classify train` creates one")
        try:
            settings, _ = read_config(path)
            manifest = read_toml(path)["manifest"]
            return cls(folder, settings, manifest["path"], manifest["sha256"])
        except ClassifyError as error:
            raise RunError(str(error)) from error
        except (KeyError, TypeError) as error:
            raise RunError(f"{path}: not the configuration of a run (missing: {error})") from error

    @property
    def manifest(self) -> Manifest:
        """The manifest the run was trained on.

        Raises:
            RunError: the manifest has changed, so its test identities may have been trained on.
            TableError: the manifest is missing or damaged.
        """
        manifest = Manifest.read((self.folder.resolve() / self.manifest_path).resolve())
        if not self.is_of(manifest):
            raise RunError(
                f"{manifest.folder} has changed since {self.folder} was trained on it: its test "
                f"split may now contain identities seen in training. Train again, or restore it."
            )
        return manifest

    def report_folder(self, split: str, name: str = "report") -> Path:
        """Return the folder for results of a split: `report`, or `report-val` for other splits.

        Raises:
            ClassifyError: an unknown split.
        """
        if split not in SPLITS:
            raise ClassifyError(f"unknown split {split!r}; choose from {', '.join(SPLITS[::-1])}")
        return self.folder / (name if split == "test" else f"{name}-{split}")

    def is_of(self, manifest: Manifest) -> bool:
        """Return whether the run was trained on exactly this manifest."""
        return manifest.sha256 == self.manifest_sha256

    @property
    def classes(self) -> dict[str, str]:
        """Class → "real" or "fake", in index order; available without the dataset.

        Raises:
            RunError: faces.json is missing or damaged.
        """
        return dict(self.faces["classes"])

    @property
    def faces(self) -> dict[str, Any]:
        """The result of `faces_of` for the run's manifest.

        Raises:
            RunError: faces.json is missing or damaged.
            FormatError: a newer release wrote it.
        """
        path = self.folder / FACES
        try:
            faces = {"classes": dict(read_json(path)["classes"]), **read_sections(path)}
            return {**faces, "crop": dict(faces["crop"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.folder / FACES}: {OLDER} ({error!r})") from error

    @property
    def face_settings(self) -> tuple[ClipSettings, StillSettings]:
        """How the faces of the training data were detected and cropped.

        Raises:
            TableError: faces.json is missing or damaged.
        """
        return read_settings(self.folder / FACES)

    @property
    def log(self) -> pd.DataFrame:
        """One row per finished epoch; columns as in `checkpoints.Epoch`.

        log.csv is restored from last.keras if they differ by more than the last epoch.

        Raises:
            RunError: no epoch has finished.
        """
        restore_log(self.folder)
        return read_log(self.folder)

    @property
    def kept_epoch(self) -> int:
        """The epoch in best.keras, counted from 1: the one with the lowest `monitor`.

        Raises:
            RunError: no epoch has finished, or the log has no values of `monitor`.
        """
        log, monitor = self.log, self.settings.monitor
        if "val_loss" not in log:  # a refit, which selects no epoch
            return len(log)
        if monitor not in log or log[monitor].isna().all():
            raise RunError(f"{self.folder}/log.csv has no {monitor}, which selects the epoch")
        return int(log[monitor].idxmin()) + 1

    @property
    def kept_row(self) -> dict[str, Any]:
        """The row of the log for the epoch in best.keras.

        Raises:
            RunError: as `kept_epoch`.
        """
        return dict(self.log.loc[self.kept_epoch - 1])

    @property
    def checkpoint(self) -> Path:
        """The file of the selected epoch; of a refit, of the last one.

        Raises:
            RunError: no epoch has finished.
        """
        path = self.folder / "best.keras"
        if not path.exists():
            raise RunError(f"{path} is missing: no epoch of this run has finished; train again")
        return path

    @property
    def checkpoint_sha256(self) -> str:
        """The hash of `checkpoint`.

        Raises:
            RunError: no epoch has finished.
        """
        return sha256(self.checkpoint)

    def best_model(self) -> keras.Model:
        """Load the network of the selected epoch.

        Raises:
            RunError: no epoch has finished, or the file is damaged or has another network.
        """
        model, side = load_model(self.checkpoint), self.settings.size
        if model.input_shape != (None, side, side, 3):
            raise RunError(
                f"{self.checkpoint} is not the network of this run: its input is "
                f"{model.input_shape}, but the run's images are {side} × {side}; restore it, or "
                f"train again"
            )
        return model


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path.resolve(), folder.resolve())


def trained_classes(manifest: Manifest, settings: TrainSettings) -> dict[str, str]:
    """Return the classes of a network, class → "real" or "fake", in index order.

    They are the manifest's and, with `blend_class`, `BLENDED`; the order is alphabetical.

    Raises:
        ClassifyError: the setting of `blend_class` does not fit the manifest.
    """
    classes, folder = manifest.classes, manifest.folder
    if not settings.blend:
        return classes
    if "real" not in classes.values():
        raise ClassifyError(f"{folder} has no real crops, which blend requires; use another mode")
    binary = classes == {"fake": "fake", "real": "real"}
    if binary and settings.blend_class:
        raise ClassifyError(
            f"in {folder}, blended faces are fakes like all others: omit blend_class, or use a "
            f"manifest of several classes (mode videos)"
        )
    if binary:
        return classes
    if not settings.blend_class:
        remedy = "use a manifest of real and fake (mode binary)"
        if settings.blend < 1:
            remedy = f"add blend_class (--blend-class), or {remedy}"
        raise ClassifyError(
            f"{folder} has the classes {', '.join(classes)}, and a blended face is none of them: "
            f"{remedy}"
        )
    if BLENDED in classes:
        raise ClassifyError(f"{folder} has a class {BLENDED} of its own; blend_class adds this one")
    return dict(sorted({**classes, BLENDED: "fake"}.items()))


def faces_of(manifest: Manifest, settings: TrainSettings | None = None) -> dict[str, Any]:
    """Return a network's classes, and how the faces of its dataset were detected and cropped.

    The settings for stills are included only if the manifest has stills.

    Args:
        manifest: the manifest.
        settings: of the network, see `trained_classes`; None for the manifest's own classes.

    Raises:
        TableError: the dataset's settings are missing or damaged.
    """
    recorded = required_settings(manifest.root)
    if not any(counts["stills"] for counts in manifest.info["groups"].values()):
        recorded.pop("stills", None)
    classes = trained_classes(manifest, settings) if settings else manifest.classes
    return {"classes": classes, **recorded}


def load_model(path: Path, compiled: bool = False) -> keras.Model:
    """Load a network from a `.keras` file without running any code that the file contains.

    Raises:
        RunError: the file is damaged, declares more than it stores, or needs code that Keras does
            not have.
    """
    try:
        return loaded(path, compiled)
    except Exception as error:  # Keras may raise any exception for a damaged archive
        why = brief(error)
        raise RunError(f"{path}: not a Keras model that can be loaded safely ({why})") from error


def _training_manifest(weights: Path) -> str:
    """Return the hash of the manifest on which a checkpoint was trained, or "" if unknown."""
    try:
        return Run.read(weights.parent).manifest_sha256
    except ClassifyError:
        return ""
