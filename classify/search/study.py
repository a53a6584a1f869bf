"""Studies that train several networks with one recipe, each in a run, and compare them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from classify.data.pack import ProgressFactory
from classify.errors import ClassifyError, DownloadError, LossError, ModelError
from classify.evaluation import compare as comparing
from classify.evaluation.compare import Comparison
from classify.models import ARCHITECTURES, chosen_arch
from classify.models.backbones import BACKBONES
from classify.reporting.compare_files import write_comparison
from classify.training.runs import Run
from classify.training.settings import TrainSettings
from classify.training.train import DisplayFactory, train_or_resume

# The recipe of the comparison of 29 backbones on the 140k faces (2022).
RECIPE = TrainSettings(
    head="flatten-758-512-256",
    freeze="all",
    size=256,
    epochs=10,
    batch_size=256,
    learning_rate=0.0009,
    patience=3,
    monitor="val_loss",  # as in the study; this head has no penalties, so this is the log loss
    augment="rotate-shift",
    fraction=0.1,
)


@dataclass(frozen=True)
class Study:
    """Runs trained with one recipe.

    comparison: None for a single run.
    untrained: backbones whose weights were unavailable, so that they kept random ones.
    failed: architecture → reason why it could not be trained.
    """

    folder: Path
    runs: tuple[Run, ...]
    comparison: Comparison | None
    untrained: tuple[str, ...]
    failed: dict[str, str]


def study_backbones(
    manifest_folder: Path,
    folder: Path,
    archs: Sequence[str] = (),
    recipe: TrainSettings = RECIPE,
    weights: Path | None = None,
    watch: DisplayFactory | None = None,
    progress: ProgressFactory | None = None,
) -> Study:
    """Train backbones with one recipe, each in `folder/<arch>`, and compare them.

    The same call resumes where it stopped: finished runs are not trained again.

    Args:
        manifest_folder: a folder written by `ffpp-split`.
        folder: output folder.
        archs: architectures to train; if empty, all of the 2022 study.
        recipe: all settings except architecture and weights.
        weights: a folder of weights files without top, with Keras's file names
            (`resnet50_weights_…_notop.h5`). Missing files are downloaded; if that fails, the
            backbone is trained with random features.
        watch: creates the display of a training run.
        progress: progress bar factory, see `pack.ProgressFactory`.

    Raises:
        ClassifyError: an architecture is unknown or has no backbone, the folder holds other runs,
            or no backbone could be trained.
        TableError: the manifest is missing, or its dataset has changed.
    """
    names = list(dict.fromkeys(archs)) or [a.name for a in ARCHITECTURES.values() if a.pretrained]
    for name in names:
        if not chosen_arch(name).pretrained:
            raise ClassifyError(
                f"{name} is not a backbone: omit it, or train it with `classify train`"
            )
    files = weight_files(weights) if weights else {}
    runs: list[Run] = []
    failed: dict[str, str] = {}
    for name in names:
        file = files.get(name)
        settings = replace(recipe, arch=name, weights=str(file) if file else "imagenet")
        try:
            runs.append(_trained(manifest_folder, folder / name, settings, watch, progress))
        except (LossError, ModelError) as error:  # continue with the other backbones
            failed[name] = str(error)
    if not runs:
        raise ClassifyError(f"no backbone could be trained; {names[0]}: {failed[names[0]]}")
    untrained = tuple(run.settings.arch for run in runs if run.settings.weights == "none")
    comparison = None
    if len(runs) > 1:
        comparison = comparing.compare(runs)
        write_comparison(folder / "comparison", comparison)
    return Study(folder, tuple(runs), comparison, untrained, failed)


def _trained(
    manifest_folder: Path,
    folder: Path,
    settings: TrainSettings,
    watch: DisplayFactory | None,
    progress: ProgressFactory | None,
) -> Run:
    """Train a backbone, with random features if its weights cannot be downloaded."""
    if (folder / "config.toml").exists() and settings.weights == "imagenet":
        settings = replace(settings, weights=Run.read(folder).settings.weights)
    elif settings.weights == "imagenet":
        try:
            return train_or_resume(manifest_folder, folder, settings, watch, progress)
        except DownloadError:
            settings = replace(settings, weights="none")
    return train_or_resume(manifest_folder, folder, settings, watch, progress)


def weight_files(folder: Path) -> dict[str, Path]:
    """Return architecture → weights file of a folder, according to Keras's file names.

    Raises:
        ClassifyError: the folder does not exist, or has two files for one network.
    """
    if not folder.is_dir():
        raise ClassifyError(f"{folder}: the folder of weights does not exist")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        plain = re.sub(r"[^a-z0-9]", "", path.name.lower())
        if not ("notop" in plain or path.name.endswith((".weights.h5", ".keras"))):
            continue  # weights of a whole network, or not a weights file
        for arch in BACKBONES:
            if not re.match(rf"{arch}(?!v\d)", plain):  # resnet50v2 is not resnet50
                continue
            if arch in files:
                raise ClassifyError(
                    f"{path}: {files[arch].name} is also a file of {arch}; keep one of them there"
                )
            files[arch] = path
    return files
