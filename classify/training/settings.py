"""What decides a training besides its data, and the TOML file that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classify.data.augment import PRESETS
from classify.errors import ClassifyError
from ffpp_tools.files import read_toml
from ffpp_tools.store import format_versions

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TABLES = ("manifest", "training", "search")  # of config.toml: a run's, or a search's
SCHEDULES = ("constant", "cosine", "plateau")
SAMPLINGS = ("all", "balanced")
JIT = ("auto", "on", "off")
MONITORS = ("val_log_loss", "val_loss")
# Setting → what its absence means in the config.toml of a run or a search that is older than the
# setting. The absence of any other setting means its default.
ABSENT = {"monitor": "val_loss"}


@dataclass(frozen=True)
class TrainSettings:
    """All that decides a training besides its data.

    The defaults are the paper's, but for `monitor`: the paper follows the validation loss, of which
    the penalties of its head are the greater part.

    Settings that are None are set by the architecture (`training.network.with_arch_defaults`).
    """

    arch: str = "efficientnetb0"
    weights: str | None = None  # "imagenet", "noisy-student", "none" or a file
    head: str | None = None  # a name from `heads.HEADS`
    output: str = "softmax"  # or "sigmoid": one probability, for two classes
    channels: str = "rgb"  # or one of r, g, b, in place of all three
    dropout: float | None = None  # instead of the head's own
    activation: str = "linear"  # of the baseline's hidden layers
    size: int | None = None  # side of the input, in pixels
    freeze: str = "none"  # "all", or so many layers of the backbone, counted as in a slice
    freeze_batch_norm: bool = False  # keep the backbone's statistics as they are
    head_epochs: int = 0  # first epochs, in which the head alone is trained
    fine_tuning_rate: float | None = None  # of the epochs after them; None: learning_rate / 10
    epochs: int = 10  # at most, those of the head included
    batch_size: int = 64
    learning_rate: float = 0.001  # of Adam
    schedule: str = "constant"  # of the rate: constant, cosine or plateau
    warmup_epochs: float = 0.0  # in which a cosine's rate rises from zero
    patience: int = 5  # epochs without a lower value of `monitor` before stopping
    monitor: str = "val_log_loss"  # what chooses the epoch; "val_loss" has the penalties in it
    augment: str = "paper"  # a name from `augment.PRESETS`
    class_weights: bool = False  # every class counts the same in the loss
    fraction: float = 1.0  # of the crops of every class, for training and validation alike
    sampling: str = "all"  # or "balanced": by class, clip and crop
    refit: bool = False  # train on val too and keep the last epoch; nothing is selected
    mixed_precision: bool = False  # compute in half precision, for GPUs
    jit: str = "auto"  # "on" or "off": compile the training step
    seed: int = 0  # of weights, order, dropout and augmentation

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        least = {"size": 32, "epochs": 1, "batch_size": 1, "patience": 0}
        choices = {"schedule": SCHEDULES, "sampling": SAMPLINGS, "jit": JIT, "monitor": MONITORS}
        check_fields(
            self,
            least | {"head_epochs": 0, "warmup_epochs": 0},
            choices | {"augment": tuple(PRESETS)},
        )
        for name in ("learning_rate", "fine_tuning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ClassifyError(f"{name} ({value}) must be above 0")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ClassifyError(f"dropout ({self.dropout}) must be from 0 to below 1")
        if not 0 < self.fraction <= 1:
            raise ClassifyError(f"fraction ({self.fraction}) must be above 0 and at most 1")
        if self.head_epochs >= self.epochs:
            raise ClassifyError(
                f"head_epochs ({self.head_epochs}) leave none of {self.epochs} epochs for the rest"
            )
        if self.warmup_epochs and self.schedule != "cosine":
            raise ClassifyError("warmup_epochs belong to schedule cosine")
        shortest = min(phase.end - phase.first for phase in phases(self))
        if not self.warmup_epochs < shortest:
            raise ClassifyError(
                f"warmup_epochs ({self.warmup_epochs}) must be below the {shortest} that follow"
            )
        if self.fine_tuning_rate and not self.head_epochs:
            raise ClassifyError("fine_tuning_rate is for after head_epochs; say learning_rate")
        if self.class_weights and self.sampling == "balanced":
            raise ClassifyError("class_weights and sampling balanced do the same: take one")
        if self.refit and self.schedule == "plateau":
            raise ClassifyError("a refit has no validation loss for schedule plateau to follow")

    def table(self) -> dict[str, Any]:
        """As a table of TOML, which has no word for None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def changed(self, **given: Any) -> TrainSettings:
        """These settings with those that are not None put over them."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class Phase:
    """Epochs in which the same layers are trained."""

    first: int
    end: int  # the first epoch after it
    freeze: str
    freeze_batch_norm: bool
    rate: float


def phases(settings: TrainSettings) -> list[Phase]:
    """The head alone, if that is asked for, and then what `freeze` leaves free.

    After a head, batch normalisation stays in inference mode: its statistics are the pretrained
    ones, and the new weights rest on them.
    """
    tuning = settings.fine_tuning_rate or settings.learning_rate / 10
    if not settings.head_epochs:
        frozen, rate = settings.freeze_batch_norm, settings.learning_rate
        return [Phase(0, settings.epochs, settings.freeze, frozen, rate)]
    return [
        Phase(0, settings.head_epochs, "all", True, settings.learning_rate),
        Phase(settings.head_epochs, settings.epochs, settings.freeze, True, tuning),
    ]


def read_config(path: Path) -> tuple[TrainSettings, Path | None]:
    """The settings and the manifest that a TOML file names, such as a run's config.toml.

    Returns:
        The table `training`, and `path` of the table `manifest` if there is one; paths in the file
        start from its folder. Settings that a run or a search is older than are as it was
        trained (`ABSENT`).

    Raises:
        ClassifyError: no such file, not TOML, or keys and values that are not known.
        FormatError: a newer release wrote it.
    """
    try:
        config = read_toml(path)
    except OSError as error:
        raise ClassifyError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ClassifyError(f"{path}: not readable as TOML ({error})") from error
    config = format_versions.without_format(format_versions.RUN, path, config)
    if unknown := [key for key in config if key not in TABLES]:
        raise ClassifyError(
            f"{path}: {', '.join(unknown)} is not known there; settings stand in a table [training]"
        )
    training, manifest = config.get("training", {}), config.get("manifest", {})
    if not isinstance(manifest, dict):
        raise ClassifyError(f"{path}: manifest is a table with a path")
    written = "sha256" in manifest and isinstance(training, dict)  # by a run or a search
    settings = settings_of({**ABSENT, **training} if written else training, path)
    found = manifest.get("path")
    return settings, (path.parent / found) if isinstance(found, str) else None


def settings_of(table: Mapping[str, Any], path: Path) -> TrainSettings:
    """Settings from a table of a TOML file at `path`, from whose folder a weights file is found.

    Raises:
        ClassifyError: unknown keys, or values that are not allowed.
    """
    known = [field.name for field in fields(TrainSettings)]
    if not isinstance(table, Mapping):
        raise ClassifyError(f"{path}: training is a table")
    if unknown := [key for key in table if key not in known]:
        raise ClassifyError(
            f"{path}: [training] knows no {', '.join(unknown)}; it knows {', '.join(known)}"
        )
    values: dict[str, Any] = {k: str(v) if k == "freeze" else v for k, v in table.items()}
    try:
        settings = TrainSettings(**values)
    except ClassifyError as error:
        raise ClassifyError(f"{path}: {error}") from error
    if settings.weights in (None, "imagenet", "noisy-student", "none"):
        return settings
    return replace(settings, weights=str((path.parent.resolve() / str(settings.weights)).resolve()))


def check_fields(
    settings: DataclassInstance,
    least: Mapping[str, float],
    choices: Mapping[str, Sequence[str]],
) -> None:
    """Refuse values of the wrong type, numbers below their least, words that are not known.

    Args:
        settings: with a field `seed`, which becomes a generator's: from 0 to below 2**32.
        least: field → its smallest value.
        choices: field → its words.

    Raises:
        ClassifyError: it names the field.
    """
    for field in fields(settings):
        _check_type(field.name, str(field.type), getattr(settings, field.name))
    for name, at_least in {**least, "seed": 0}.items():
        value = getattr(settings, name)
        if value is not None and not value >= at_least:
            raise ClassifyError(f"{name} ({value}) must be at least {at_least}")
    for name, known in choices.items():
        value = getattr(settings, name)
        if value not in known:
            raise ClassifyError(f"unknown {name} {value!r}; choose from {', '.join(known)}")
    if settings.seed >= 2**32:  # type: ignore[attr-defined]
        raise ClassifyError(f"seed ({settings.seed}) must be below 2**32")  # type: ignore[attr-defined]


def _check_type(name: str, wanted: str, value: object) -> None:
    kind, _, rest = wanted.partition(" | ")
    fits = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}[kind]
    if value is None and rest:
        return
    if not isinstance(value, fits) or (isinstance(value, bool) and kind != "bool"):
        raise ClassifyError(f"{name} ({value!r}) must be of type {kind}")
