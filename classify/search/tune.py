"""A search for better settings: every trial is a run of its own, judged on validation alone."""

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
from classify.training.runs import Run
from classify.training.settings import TrainSettings, read_config
from ffpp_tools.files import delete_temporary_files, read_toml, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.locks import folder_lock

if TYPE_CHECKING:
    import keras_tuner

    from classify.training.train import DisplayFactory

COMMAND = "classify tune"
METHODS = ("random", "hyperband")
FACTOR = 3  # of Hyperband: a third of the settings is trained again, for three times the epochs
RATES = (1e-4, 1e-2)  # learning rates that are tried, evenly by their logarithm
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
FREEZES = ("none", "all", "-10")  # of the backbone; the last: all but ten layers
OF_BACKBONES = ("head", "dropout", "freeze")
VARIED = ("learning_rate", "augment", *OF_BACKBONES)
SHOWN = 10  # trials that are printed
FAILED = "not-finite.txt"  # in the folder of a trial that `train` gave up
CONFIG, TRIALS, BEST = "tune.toml", "trials.csv", "best.toml"
OBJECTIVE = "val_log_loss"


@dataclass(frozen=True)
class Search:
    """What is searched, and how."""

    method: str = "random"
    trials: int = 20  # of a random search; Hyperband has as many as follow from the epochs
    vary: tuple[str, ...] = VARIED  # settings; those the network does not have are left alone
    seed: int = 0  # of the draws

    def __post_init__(self) -> None:
        """Refuse what is not known."""
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
    """A search that has come to its end.

    trials: a row per trial, best first; columns trial, val_log_loss, val_accuracy, val_auc (fake
        against real), kept_epoch, epochs, seconds, and the settings that were varied. A trial
        whose loss was not finite has no figures.
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

    The log loss is that of the probabilities alone: the loss that training reports holds what a
    head's regularisation adds, and could not be compared between heads. The test split is not read.

    Args:
        manifest_folder: what `ffpp-split` wrote.
        folder: the folder to make: `trials/0` and so on are run folders.
        base: all that is not varied; its epochs are the most that a trial is trained.
        search: what is varied, and how often.
        watch: shows a trial while it is trained.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: nothing to vary, a used folder, or data or weights that cannot be had.
        TableError: no manifest there, or its dataset has changed.
    """
    from classify.training.network import build_network, with_arch_defaults

    check_free(folder, COMMAND)
    manifest = Manifest.read(manifest_folder)
    _check(base, search)
    build_network(with_arch_defaults(base), len(manifest.classes))  # fails before there is a folder
    own = Run.of(folder, base, manifest).config_for(folder)
    text = f"{own}\n{tomli_w.dumps({'search': asdict(search)})}"
    with folder_lock(folder, COMMAND):
        check_free(folder, COMMAND)  # nobody has been quicker
        write_atomically(folder / CONFIG, text.encode())
        return _searched(folder, manifest_folder, base, search, watch, progress)


def resume(
    folder: Path, watch: DisplayFactory | None = None, progress: ProgressFactory | None = None
) -> SearchResult:
    """Go on with a search that was interrupted; the trial in hand loses at most an epoch.

    Raises:
        ClassifyError: no search there, or its manifest has changed.
    """
    path = folder / CONFIG
    try:
        base, manifest_folder = read_config(path)
        config = read_toml(path)
        search = Search(**{**config["search"], "vary": tuple(config["search"]["vary"])})
        known = config["manifest"]["sha256"]
    except (ClassifyError, KeyError, TypeError) as error:
        raise RunError(f"{path}: no search, or damaged ({error}); see `classify tune`") from error
    manifest = Manifest.read(manifest_folder or folder)
    if manifest.sha256 != known:
        raise RunError(f"{manifest.folder} has changed since the search began; search anew")
    with folder_lock(folder, COMMAND):
        delete_temporary_files(folder)
        return _searched(folder, manifest.folder, base, search, watch, progress)


def applicable_settings(arch: str, vary: Sequence[str]) -> list[str]:
    """Those of some settings that a network has."""
    pretrained = chosen_arch(arch).pretrained
    return [name for name in vary if pretrained or name not in OF_BACKBONES]


def _check(base: TrainSettings, search: Search) -> None:
    if not applicable_settings(base.arch, search.vary):
        raise ClassifyError(f"{base.arch} has none of {', '.join(search.vary)}; nothing to search")
    if base.refit:
        raise ClassifyError("refit leaves no validation split to search by")
    if search.method == "hyperband" and "learning_rate" not in search.vary:
        raise ClassifyError(
            "Hyperband draws many settings, and without learning_rate there are few to draw: vary "
            "it too, or search with --method random"
        )
    if search.method == "hyperband" and (base.head_epochs or base.warmup_epochs):
        raise ClassifyError(
            "Hyperband begins with trials of an epoch or two, which leave no room for head_epochs "
            "or warmup_epochs: leave them out, or search with --method random"
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

    def measured(values: Mapping[str, Any], trial: str) -> float:
        settings = with_arch_defaults(base.changed(**values))
        if (folder / "trials" / trial / FAILED).exists():
            raise LossError(f"trial {trial}: the loss is not finite")
        run = train_or_resume(manifest_folder, folder / "trials" / trial, settings, watch, progress)
        return _figures(run)[OBJECTIVE]

    try:
        _tuner(folder, base, search, measured).search()
    except FatalError as stopped:  # only such errors come through it
        raise stopped.__cause__ or stopped from None
    return _results(folder, base, search)


def _tuner(
    folder: Path,
    base: TrainSettings,
    search: Search,
    measured: Callable[[Mapping[str, Any], str], float],
) -> keras_tuner.engine.base_tuner.BaseTuner:
    """Keras-tuner's oracle with trials of ours.

    Its own state is begun anew each time: what it draws follows from the seed and from what the
    trials were worth, and those that are done are not trained again.
    """
    import keras_tuner
    from keras_tuner import errors, oracles

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):  # type: ignore[misc]
        def run_trial(self, trial: Any) -> dict[str, float]:
            values = dict(trial.hyperparameters.values)
            if "tuner/epochs" in values:
                values["epochs"] = values["tuner/epochs"]
            own = {name: v for name, v in values.items() if not name.startswith("tuner/")}
            try:
                return {OBJECTIVE: measured(own, trial.trial_id)}
            except LossError as error:
                raise errors.FailedTrialError(str(error)) from error
            except Exception as error:  # keras-tuner would go on to the next trial
                raise errors.FatalError(str(error)) from error

    space = keras_tuner.HyperParameters()
    for name in applicable_settings(base.arch, search.vary):
        _add(space, name)
    objective = keras_tuner.Objective(OBJECTIVE, "min")
    shared = {
        "objective": objective,
        "hyperparameters": space,
        "seed": search.seed + 1,  # it takes 0 for none
        "max_consecutive_failed_trials": sys.maxsize,  # they are told of in the table
    }
    if search.method == "hyperband":
        oracle = oracles.HyperbandOracle(max_epochs=base.epochs, factor=FACTOR, **shared)
    else:
        oracle = oracles.RandomSearchOracle(max_trials=search.trials, **shared)
    oracle.verbose = 0
    return Tuner(oracle, directory=str(folder), project_name="oracle", overwrite=True)


def _add(space: keras_tuner.HyperParameters, name: str) -> None:
    """Add what a setting is tried with."""
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


def _figures(run: Run) -> dict[str, float]:
    """What a trial is worth on validation."""
    scores = score_split(run, "val")
    once = np.ones((1, len(scores)))
    return {
        OBJECTIVE: float(log_loss(scores.actual, scores.probabilities, once)[0]),
        "val_accuracy": float(np.mean(scores.predicted == scores.actual)),
        "val_auc": float(auc(threshold_curve(scores.is_fake, scores.p_fake, once))[0]),
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
            row |= _figures(run) | {"kept_epoch": run.kept_epoch, "seconds": seconds}
        rows.append(row | {name: getattr(run.settings, name) for name in names})
    columns = [OBJECTIVE, "val_accuracy", "val_auc", "kept_epoch", "epochs", "seconds", *names]
    table = pd.DataFrame(rows, columns=["trial", *columns])
    table = table.sort_values([OBJECTIVE, "trial"], ignore_index=True)
    write_atomically(folder / TRIALS, table.to_csv(index=False).encode())
    if table[OBJECTIVE].isna().all():
        raise LossError(f"{folder}: no trial had a finite loss; see {TRIALS} there")
    drawn = curves.trials(table.dropna(subset=OBJECTIVE), OBJECTIVE, names)
    write_atomically(folder / "trials.png", curves.image(drawn, "png"))
    best = Run.read(folder / "trials" / table["trial"][0])
    write_atomically(folder / BEST, best.config_for(folder, epochs=base.epochs).encode())
    return SearchResult(folder, table)
