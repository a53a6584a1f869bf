"""Hyperparameter search: every trial is a run of its own, evaluated on validation only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import tomli_w

from classify.data.augment import PRESETS
from classify.data.pack import ProgressFactory
from classify.errors import ClassifyError, LossError, RunError
from classify.evaluation.metrics import auc, log_loss, threshold_curve
from classify.evaluation.predict import score_split
from classify.models import chosen_arch
from classify.models.heads import HEADS
from classify.training import curves
from classify.training.run_folder import check_free
from classify.training.runs import Run, trained_classes
from classify.training.settings import TrainSettings, read_config
from ffpp_tools.files import delete_temporary_files, read_toml, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.locks import folder_lock

if TYPE_CHECKING:
    import keras_tuner

    from classify.training.train import DisplayFactory

COMMAND = "classify tune"
METHODS = ("random", "hyperband")
FACTOR = 3  # of Hyperband: the best third is trained again, for three times the epochs
RATES = (1e-4, 1e-2)  # range of learning rates, sampled log-uniformly
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
FREEZES = ("none", "all", "-10")  # of the backbone; -10: all but its last ten layers
OF_BACKBONES = ("head", "dropout", "freeze")
VARIED = ("learning_rate", "augment", *OF_BACKBONES)
SHOWN = 10  # number of trials that are printed
FAILED = "not-finite.txt"  # in the folder of a trial whose loss was not finite
CONFIG, TRIALS, BEST = "tune.toml", "trials.csv", "best.toml"
OBJECTIVE = "val_log_loss"


@dataclass(frozen=True)
class Search:
    """Search space and search method."""

    method: str = "random"
    trials: int = 20  # of a random search; with Hyperband the number follows from the epochs
    vary: tuple[str, ...] = VARIED  # settings; those that the network lacks are ignored
    seed: int = 0  # of the draws

    def __post_init__(self) -> None:
        """Validate the fields."""
        if self.method not in METHODS:
            raise ClassifyError(f"unknown method {self.method!r}; choose from {', '.join(METHODS)}")
        if unknown := [name for name in self.vary if name not in VARIED]:
            raise ClassifyError(
                f"{', '.join(unknown)} cannot be varied; choose from {', '.join(VARIED)}"
            )
        if self.trials < 1:
            raise ClassifyError(f"trials ({self.trials}) must be at least 1")
        if len(set(self.vary)) < len(self.vary):
            raise ClassifyError(f"{', '.join(self.vary)}: name each setting once")


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    trials: a row per trial, best first; columns trial, val_log_loss, val_accuracy, val_auc (fake
        against real), kept_epoch, epochs, seconds, and the settings that were varied. A trial
        whose loss was not finite has no metrics.
    """

    folder: Path
    trials: pd.DataFrame


def tune(
    manifest_folder: Path,
    folder: Path,
    base: TrainSettings,
    search: Search,
    watch: DisplayFactory | None = None,
    progress: ProgressFactory | None = None,
) -> SearchResult:
    """Search for the settings with the lowest log loss on the validation split.

    The log loss is that of the probabilities alone: the training loss also contains the head's
    regularisation, so it is not comparable between heads. The test split is not read.

    Args:
        manifest_folder: a folder written by `ffpp-split`.
        folder: the folder to create; `trials/0` and so on are run folders.
        base: all settings that are not varied; its epochs are the maximum for a trial.
        search: search space and method.
        watch: creates the display of a trial.
        progress: progress bar factory, see `pack.ProgressFactory`.

    Raises:
        ClassifyError: there is nothing to vary, the folder is not empty, or data or weights are
            unavailable.
        TableError: the manifest is missing, or its dataset has changed.
    """
    from classify.training.network import build_network, with_arch_defaults

    check_free(folder, COMMAND)
    manifest = Manifest.read(manifest_folder)
    _check(base, search)
    classes = trained_classes(manifest, base)
    build_network(with_arch_defaults(base), len(classes))  # fails before the folder exists
    config = Run.of(folder, base, manifest).config_for(folder)
    text = f"{config}\n{tomli_w.dumps({'search': asdict(search)})}"
    with folder_lock(folder, COMMAND):
        check_free(folder, COMMAND)  # another process may have been faster
        write_atomically(folder / CONFIG, text.encode())
        return _searched(folder, manifest_folder, base, search, watch, progress)


def resume(
    folder: Path, watch: DisplayFactory | None = None, progress: ProgressFactory | None = None
) -> SearchResult:
    """Resume an interrupted search; at most the current epoch of the current trial is lost.

    Raises:
        ClassifyError: the folder has no search, or its manifest has changed.
    """
    path = folder / CONFIG
    try:
        base, manifest_folder = read_config(path)
        config = read_toml(path)
        search = Search(**{**config["search"], "vary": tuple(config["search"]["vary"])})
        recorded = config["manifest"]["sha256"]
    except (ClassifyError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: not a search, or damaged ({error}); see `classify tune`"
        ) from error
    manifest = Manifest.read(manifest_folder or folder)
    if manifest.sha256 != recorded:
        raise RunError(
            f"{manifest.folder} has changed since the search began; start another search"
        )
    with folder_lock(folder, COMMAND):
        delete_temporary_files(folder)
        return _searched(folder, manifest.folder, base, search, watch, progress)


def applicable_settings(arch: str, vary: Sequence[str]) -> list[str]:
    """Return the settings of `vary` that the network has."""
    pretrained = chosen_arch(arch).pretrained
    return [name for name in vary if pretrained or name not in OF_BACKBONES]


def _check(base: TrainSettings, search: Search) -> None:
    if not applicable_settings(base.arch, search.vary):
        raise ClassifyError(f"{base.arch} has none of {', '.join(search.vary)}; nothing to search")
    if base.refit:
        raise ClassifyError("refit leaves no validation split for the search")
    if search.method == "hyperband" and "learning_rate" not in search.vary:
        raise ClassifyError(
            "Hyperband needs many different settings, but without learning_rate there are few: "
            "vary it too, or search with --method random"
        )
    if search.method == "hyperband" and (base.head_epochs or base.warmup_epochs):
        raise ClassifyError(
            "Hyperband starts with trials of one or two epochs, too short for head_epochs or "
            "warmup_epochs: omit them, or search with --method random"
        )


def _searched(
    folder: Path,
    manifest_folder: Path,
    base: TrainSettings,
    search: Search,
    watch: DisplayFactory | None,
    progress: ProgressFactory | None,
) -> SearchResult:
    from keras_tuner.errors import FatalError

    from classify.training.network import with_arch_defaults
    from classify.training.train import train_or_resume

    def objective(values: Mapping[str, Any], trial: str) -> float:
        settings = with_arch_defaults(base.changed(**values))
        if (folder / "trials" / trial / FAILED).exists():
            raise LossError(f"trial {trial}: the loss is not finite")
        run = train_or_resume(manifest_folder, folder / "trials" / trial, settings, watch, progress)
        return _validation_metrics(run)[OBJECTIVE]

    try:
        _tuner(folder, base, search, objective).search()
    except FatalError as stopped:  # the tuner lets no other error through
        raise stopped.__cause__ or stopped from None
    return _results(folder, base, search)


def _tuner(
    folder: Path,
    base: TrainSettings,
    search: Search,
    objective: Callable[[Mapping[str, Any], str], float],
) -> keras_tuner.engine.base_tuner.BaseTuner:
    """Return a tuner with one of keras-tuner's oracles, whose trials are runs.

    The oracle's own state is reset each time: its draws follow from the seed and the metrics of
    the trials, and finished trials are not trained again.
    """
    import keras_tuner
    from keras_tuner import errors, oracles

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):  # type: ignore[misc]
        def run_trial(self, trial: Any) -> dict[str, float]:
            values = dict(trial.hyperparameters.values)
            if "tuner/epochs" in values:
                values["epochs"] = values["tuner/epochs"]
            settings = {name: v for name, v in values.items() if not name.startswith("tuner/")}
            try:
                return {OBJECTIVE: objective(settings, trial.trial_id)}
            except LossError as error:
                raise errors.FailedTrialError(str(error)) from error
            except Exception as error:  # keras-tuner would continue with the next trial
                raise errors.FatalError(str(error)) from error

    space = keras_tuner.HyperParameters()
    for name in applicable_settings(base.arch, search.vary):
        _add(space, name)
    shared = {
        "objective": keras_tuner.Objective(OBJECTIVE, "min"),
        "hyperparameters": space,
        "seed": search.seed + 1,  # 0 would mean no seed
        "max_consecutive_failed_trials": sys.maxsize,  # they are reported in the table
    }
    if search.method == "hyperband":
        oracle = oracles.HyperbandOracle(max_epochs=base.epochs, factor=FACTOR, **shared)
    else:
        oracle = oracles.RandomSearchOracle(max_trials=search.trials, **shared)
    oracle.verbose = 0
    return Tuner(oracle, directory=str(folder), project_name="oracle", overwrite=True)


def _add(space: keras_tuner.HyperParameters, name: str) -> None:
    """Add the values of a setting to the search space."""
    if name == "learning_rate":
        low, high = RATES
        space.Float(name, low, high, sampling="log")
        return
    choices = {
        "augment": list(PRESETS),
        "head": list(HEADS),
        "dropout": list(DROPOUTS),
        "freeze": list(FREEZES),
    }
    space.Choice(name, choices[name])


def _validation_metrics(run: Run) -> dict[str, float]:
    """Compute the validation metrics of a trial."""
    scores = score_split(run, "val")
    weights = np.ones((1, len(scores)))
    return {
        OBJECTIVE: float(log_loss(scores.actual, scores.probabilities, weights)[0]),
        "val_accuracy": float(np.mean(scores.predicted == scores.actual)),
        "val_auc": float(auc(threshold_curve(scores.is_fake, scores.p_fake, weights))[0]),
    }


def _results(folder: Path, base: TrainSettings, search: Search) -> SearchResult:
    """Write trials.csv and best.toml.

    Raises:
        LossError: no trial had a finite loss.
    """
    names = applicable_settings(base.arch, search.vary)
    rows = []
    for path in sorted((folder / "trials").iterdir()):
        run = Run.read(path)
        row = {"trial": path.name, "epochs": run.settings.epochs}
        if not (path / FAILED).exists():
            seconds = run.log["seconds"].sum()
            row |= _validation_metrics(run) | {"kept_epoch": run.kept_epoch, "seconds": seconds}
        rows.append(row | {name: getattr(run.settings, name) for name in names})
    columns = [OBJECTIVE, "val_accuracy", "val_auc", "kept_epoch", "epochs", "seconds", *names]
    table = pd.DataFrame(rows, columns=["trial", *columns])
    table = table.sort_values([OBJECTIVE, "trial"], ignore_index=True)
    write_atomically(folder / TRIALS, table.to_csv(index=False).encode())
    if table[OBJECTIVE].isna().all():
        raise LossError(f"{folder}: no trial had a finite loss; see {TRIALS} there")
    figure = curves.trials(table.dropna(subset=OBJECTIVE), OBJECTIVE, names)
    write_atomically(folder / "trials.png", curves.image(figure, "png"))
    best = Run.read(folder / "trials" / table["trial"][0])
    write_atomically(folder / BEST, best.config_for(folder, epochs=base.epochs).encode())
    return SearchResult(folder, table)
