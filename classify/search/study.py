"""Studies of several networks by one recipe: each a run, and a comparison of them all."""

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

# What the comparison of 29 backbones on the 140k faces (2022) trained all of them with.
RECIPE = TrainSettings(
    head="flatten-758-512-256",
    freeze="all",
    size=256,
    epochs=10,
    batch_size=256,
    learning_rate=0.0009,
    patience=3,
    monitor="val_loss",  # as there; this head has no penalties, so that it is the log loss
    augment="rotate-shift",
    fraction=0.1,
)


@dataclass(frozen=True)
class Study:
    """Runs by one recipe.

    comparison: None where there is but one.
    untrained: backbones whose weights could not be had, so that they kept random ones.
    failed: architecture → why it could not be trained.
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
    """Train backbones by one recipe, each in `folder/<arch>`, and compare them.

    The same call goes on where it was stopped: what is trained is not trained again.

    Args:
        manifest_folder: what `ffpp-split` wrote.
        folder: where to.
        archs: which; all of the 2022 study where none is named.
        recipe: how, but for architecture and weights.
        weights: a folder of weights files without top, called after their networks as Keras calls
            them (`resnet50_weights_…_notop.h5`). What is not there is downloaded, and what cannot
            be had is trained on random features.
        watch: shows a training.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: no such architecture, one without a backbone, a folder with other runs, or
            none of them could be trained.
        TableError: no manifest there, or its dataset has changed.
    """
    names = list(dict.fromkeys(archs)) or [a.name for a in ARCHITECTURES.values() if a.pretrained]
    for name in names:
        if not chosen_arch(name).pretrained:
            raise ClassifyError(f"{name} is no backbone: leave it out, or train it by itself")
    files = weight_files(weights) if weights else {}
    runs: list[Run] = []
    failed: dict[str, str] = {}
    for name in names:
        file = files.get(name)
        settings = replace(recipe, arch=name, weights=str(file) if file else "imagenet")
        try:
            runs.append(_trained(manifest_folder, folder / name, settings, watch, progress))
        except (LossError, ModelError) as error:  # the others have their turn
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
    """The run of a backbone; of random features where its weights cannot be downloaded."""
    if (folder / "config.toml").exists() and settings.weights == "imagenet":
        settings = replace(settings, weights=Run.read(folder).settings.weights)
    elif settings.weights == "imagenet":
        try:
            return train_or_resume(manifest_folder, folder, settings, watch, progress)
        except DownloadError:
            settings = replace(settings, weights="none")
    return train_or_resume(manifest_folder, folder, settings, watch, progress)


def weight_files(folder: Path) -> dict[str, Path]:
    """Architecture → its weights file in a folder, by the names under which Keras publishes them.

    Raises:
        ClassifyError: no such folder, or two files for one network.
    """
    if not folder.is_dir():
        raise ClassifyError(f"{folder}: there is no such folder of weights")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        plain = re.sub(r"[^a-z0-9]", "", path.name.lower())
        if not ("notop" in plain or path.name.endswith((".weights.h5", ".keras"))):
            continue  # of the whole network, or no weights
        for arch in BACKBONES:
            if not re.match(rf"{arch}(?!v\d)", plain):  # resnet50v2 is no resnet50
                continue
            if arch in found:
                raise ClassifyError(f"{path}: {found[arch].name} is {arch}'s too; keep one there")
            found[arch] = path
    return found
