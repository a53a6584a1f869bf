"""Studies of several networks by one recipe: each a run, and a comparison of them all."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from classify import compare as comparing
from classify import train as training
from classify.compare import Comparison
from classify.compare_files import write_comparison
from classify.errors import ClassifyError, DownloadError
from classify.models import ARCHITECTURES, chosen_arch
from classify.models.backbones import BACKBONES
from classify.pack import Progress
from classify.runs import Run
from classify.settings import TrainSettings
from classify.tune import Watch

# What the comparison of 29 backbones on the 140k faces (2022) trained all of them with.
RECIPE = TrainSettings(
    head="flatten-758-512-256",
    freeze="all",
    size=256,
    epochs=10,
    batch_size=256,
    learning_rate=0.0009,
    patience=3,
    augment="rotate-shift",
    fraction=0.1,
)


@dataclass(frozen=True)
class Study:
    """Runs by one recipe.

    comparison: None where there is but one.
    untrained: backbones whose weights could not be had, so that they kept random ones.
    """

    folder: Path
    runs: tuple[Run, ...]
    comparison: Comparison | None
    untrained: tuple[str, ...]


def study_backbones(
    manifest_folder: Path,
    folder: Path,
    archs: Sequence[str] = (),
    recipe: TrainSettings = RECIPE,
    weights: Path | None = None,
    watch: Watch | None = None,
    progress: Progress | None = None,
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
        ClassifyError: no such architecture, one without a backbone, or a folder with other runs.
        TableError: no manifest there, or its dataset has changed.
    """
    names = list(archs) or [a.name for a in ARCHITECTURES.values() if a.pretrained]
    for name in names:
        if not chosen_arch(name).pretrained:
            raise ClassifyError(f"{name} is no backbone: leave it out, or train it by itself")
    files = weight_files(weights) if weights else {}
    runs, untrained = [], []
    for name in names:
        settings = replace(recipe, arch=name, weights=str(files.get(name, "imagenet")))
        if (folder / name / "config.toml").exists():
            settings = replace(settings, weights=Run.read(folder / name).settings.weights)
        with watch(settings) if watch else contextlib.nullcontext() as shown:
            callbacks = [shown] if shown else []
            try:
                run = training.train_or_resume(
                    manifest_folder, folder / name, settings, callbacks, progress
                )
            except DownloadError:
                settings = replace(settings, weights="none")
                run = training.train_or_resume(
                    manifest_folder, folder / name, settings, callbacks, progress
                )
        runs.append(run)
        untrained += [name] if run.settings.weights == "none" else []
    comparison = None
    if len(runs) > 1:
        comparison = comparing.compare(runs)
        write_comparison(folder / "comparison", comparison)
    return Study(folder, tuple(runs), comparison, tuple(untrained))


def weight_files(folder: Path) -> dict[str, Path]:
    """Architecture → its weights file in a folder, by the names under which Keras publishes them.

    Raises:
        ClassifyError: no such folder, or two files for one network.
    """
    if not folder.is_dir():
        raise ClassifyError(f"{folder}: there is no such folder of weights")
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".h5", ".keras")):
        plain = re.sub(r"[^a-z0-9]", "", path.name.lower())
        fitting = [arch for arch in BACKBONES if plain.startswith(arch)]
        if not fitting:
            continue
        arch = max(fitting, key=len)  # resnet50v2 rather than resnet50
        if arch in found:
            raise ClassifyError(f"{path} and {found[arch].name} are both {arch}'s: keep one there")
        found[arch] = path
    return found
