"""Settings of a training run, and the TOML file that holds them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from classify.data.augment import PRESETS
from classify.errors import ClassifyError
from classify.models import ARCHITECTURES
from classify.models.stride import check_stride
from classify.training import recipes
from ffpp_tools.files import read_toml
from ffpp_tools.store import format_versions

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TABLES = ("manifest", "training", "search")  # of a config.toml written by a run or a search
BLENDED = "Blended"  # the class of blended faces, if they have one: fake, and no crop's category
Schedule = Literal["constant", "cosine", "plateau"]
Sampling = Literal["all", "balanced", "pairs"]
Jit = Literal["auto", "on", "off"]
Monitor = Literal["val_log_loss", "val_loss"]
Tta = Literal["none", "flip", "auto"]
# Settings in which a run does not differ from its recipe: those of the data and of the machine.
NOT_COMPARED = ("recipe", "weights", "seed", "mixed_precision", "jit")
# Setting → its value in a run's or a search's config.toml that is older than the setting. Any other
# missing setting has its default.
ABSENT = {"monitor": "val_loss"}


@dataclass(frozen=True)
class TrainSettings:
    """All settings of a training run except its data.

    The defaults are those of the paper, except for `monitor`: the paper monitors the validation
    loss, most of which is the penalties of its head.

    Settings that are None take the architecture's default (`training.network.with_arch_defaults`).
    """

    arch: str = "efficientnetb0"
    weights: str | None = None  # "imagenet", "noisy-student", "none" or a file
    head: str | None = None  # a name from `heads.HEADS`
    output: str = "softmax"  # or "sigmoid": one probability, for two classes
    channels: str = "rgb"  # or r, g or b, which then replaces all three
    dropout: float | None = None  # replaces the head's own rates
    activation: str = "linear"  # of the baseline's hidden layers
    size: int | None = None  # side of the input, in pixels
    stride: int | None = None  # end the backbone at features of 1 / stride of the input's side
    freeze: str = "none"  # "all", or a number of layers of the backbone, as in a slice
    freeze_batch_norm: bool = False  # do not update the backbone's batch statistics
    head_epochs: int = 0  # number of first epochs that train only the head
    fine_tuning_rate: float | None = None  # after head_epochs; None: learning_rate / 10
    epochs: int = 10  # maximum, including head_epochs
    batch_size: int = 64
    learning_rate: float = 0.001  # of Adam
    schedule: Schedule = "constant"  # of the rate: constant, cosine or plateau
    warmup_epochs: float = 0.0  # of a cosine schedule: the rate rises from zero
    patience: int = 5  # epochs without a lower value of `monitor` before stopping
    monitor: Monitor = "val_log_loss"  # selects the epoch; "val_loss" includes the penalties
    augment: str = "paper"  # a name from `augment.PRESETS`
    class_weights: bool = False  # give all classes the same total weight in the loss
    fraction: float = 1.0  # of the crops of every class, in training and validation
    sampling: Sampling = "all"  # "balanced": by class, clip and crop; "pairs": with the original
    unpaired: float | None = None  # share of units without pairs, of `pairs`; None: the data's
    blend: float = 0.0  # share of blended real faces among the fake crops of training
    blend_class: bool = False  # blends are a class of their own, for several classes
    ema: float | None = None  # momentum of the weights' moving average; None: no averaging
    tta: Tta = "none"  # or "flip": predict the mean of a crop and its mirror image; "auto": on val
    refit: bool = False  # train on val too and keep the last epoch, without selection
    mixed_precision: bool = False  # compute in half precision, for GPUs
    jit: Jit = "auto"  # "on" or "off": compile the training step
    seed: int = 0  # of weights, order, dropout and augmentation
    recipe: str = recipes.DEFAULT  # a record; `of_recipe` applies a recipe

    def __post_init__(self) -> None:
        """Validate the fields."""
        least = {"size": 32, "epochs": 1, "batch_size": 1, "patience": 0}
        choices = {
            "schedule": get_args(Schedule),
            "sampling": get_args(Sampling),
            "jit": get_args(Jit),
            "monitor": get_args(Monitor),
            "tta": get_args(Tta),
        }
        check_fields(
            self,
            least | {"head_epochs": 0, "warmup_epochs": 0},
            choices | {"augment": tuple(PRESETS)},
        )
        for name in ("learning_rate", "fine_tuning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ClassifyError(f"{name} ({value}) must be a number above 0")
        check_stride(self.stride)
        if not re.fullmatch(r"none|all|-?\d+", self.freeze):
            raise ClassifyError(f"freeze ({self.freeze}) must be all, none or a number of layers")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ClassifyError(f"dropout ({self.dropout}) must be from 0 to below 1")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ClassifyError(f"ema ({self.ema}) must be above 0 and below 1")
        if not 0 < self.fraction <= 1:
            raise ClassifyError(f"fraction ({self.fraction}) must be above 0 and at most 1")
        if not 0 <= self.blend <= 1:
            raise ClassifyError(f"blend ({self.blend}) must be from 0 to 1")
        if self.blend == 1 and self.sampling == "pairs":
            raise ClassifyError(
                "blend 1 trains on real faces and their blends alone, without pairs: use sampling "
                "balanced, or a lower blend"
            )
        if self.blend_class and not self.blend:
            raise ClassifyError("blend_class requires blend, the share of blended faces")
        if self.blend_class and self.blend == 1:
            raise ClassifyError(
                "blend 1 trains on real faces and their blends alone, so that no other class is "
                "learned: use a manifest of real and fake (mode binary) without blend_class, or a "
                "lower blend"
            )
        if self.blend == 1 and self.batch_size % 2:
            raise ClassifyError(
                f"blend 1 fills batches with pairs: batch_size ({self.batch_size}) must be even"
            )
        if self.blend and self.batch_size < 4:
            raise ClassifyError(f"blend requires a batch_size ({self.batch_size}) of at least 4")
        if self.head_epochs >= self.epochs:
            raise ClassifyError(
                f"head_epochs ({self.head_epochs}) must be below epochs ({self.epochs})"
            )
        if self.warmup_epochs and self.schedule != "cosine":
            raise ClassifyError("warmup_epochs requires schedule cosine")
        shortest = min(phase.end - phase.first for phase in phases(self))
        if not self.warmup_epochs < shortest:
            raise ClassifyError(
                f"warmup_epochs ({self.warmup_epochs}) must be below the epochs of a phase "
                f"({shortest})"
            )
        if self.fine_tuning_rate and not self.head_epochs:
            raise ClassifyError("fine_tuning_rate requires head_epochs")
        if self.class_weights and self.sampling != "all":
            raise ClassifyError(
                f"class_weights and sampling {self.sampling} both balance the classes: use one"
            )
        if self.unpaired is not None and not 0 <= self.unpaired < 1:
            raise ClassifyError(f"unpaired ({self.unpaired}) must be from 0 to below 1")
        if self.unpaired is not None and self.sampling != "pairs":
            raise ClassifyError("unpaired requires sampling pairs")
        if self.refit and self.schedule == "plateau":
            raise ClassifyError("a refit has no validation loss, which schedule plateau requires")

    @classmethod
    def of_recipe(cls, name: str, **changes: Any) -> TrainSettings:
        """Return the settings of a recipe, with changes.

        Settings of a backbone that the recipe fixes are ignored for a network without one.

        Args:
            name: a name from `recipes.names`, or the path of a .toml file.
            changes: settings that differ from the recipe's.

        Raises:
            ClassifyError: there is no such recipe, or a setting is invalid; the message names the
                file if it is the recipe's.
        """
        recipe = _checked_recipe(name)
        arch = changes.get("arch") or recipe.settings.get("arch", cls.arch)
        fixed = recipe.for_arch(arch)
        settings = settings_of({**fixed, "recipe": recipe.name}, recipe.source)
        try:
            return settings.changed(**changes)
        except ClassifyError as error:
            raise ClassifyError(f"{error}{_of_recipe_too(str(error), recipe, changes)}") from error

    @property
    def differing_from_recipe(self) -> list[str]:
        """The settings with other values than in this release's recipe of that name.

        Settings of the data and the machine (`NOT_COMPARED`) are not compared. Empty if the recipe
        is not part of this release, but a file.
        """
        if self.recipe not in recipes.names():
            return []
        recipe = recipes.read(self.recipe)
        of_arch = ARCHITECTURES.get(self.arch)
        defaults = {"size": of_arch.size, "head": of_arch.head} if of_arch else {}
        expected = {**asdict(TrainSettings()), **defaults, **recipe.for_arch(self.arch)}
        actual = {k: defaults.get(k) if v is None else v for k, v in asdict(self).items()}
        return [k for k, v in expected.items() if k not in NOT_COMPARED and actual[k] != v]

    def table(self) -> dict[str, Any]:
        """Return the settings as a TOML table, without those that are None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def changed(self, **given: Any) -> TrainSettings:
        """Return a copy with the given settings changed, except those that are None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs that train the same layers."""

    first: int
    end: int  # the first epoch after it
    freeze: str
    freeze_batch_norm: bool
    rate: float


def phases(settings: TrainSettings) -> list[Phase]:
    """Return the phases: the head alone, if requested, then all layers that `freeze` leaves free.

    After a phase for the head, batch normalisation stays in inference mode: the head was trained
    with the pretrained statistics.
    """
    tuning = settings.fine_tuning_rate or settings.learning_rate / 10
    if not settings.head_epochs:
        frozen, rate = settings.freeze_batch_norm, settings.learning_rate
        return [Phase(0, settings.epochs, settings.freeze, frozen, rate)]
    return [
        Phase(0, settings.head_epochs, "all", True, settings.learning_rate),
        Phase(settings.head_epochs, settings.epochs, settings.freeze, True, tuning),
    ]


def read_config(
    path: Path, changes: Mapping[str, Any] = MappingProxyType({})
) -> tuple[TrainSettings, Path | None]:
    """Read the settings and the manifest's path from a TOML file, such as a run's config.toml.

    A file that a run or a search wrote holds all settings, and its `recipe` only says where they
    came from. In any other file, `recipe` names the recipe of the settings that the file does not
    contain.

    Args:
        path: the file.
        changes: settings that replace those of the file; `recipe` is a name or a path as for
            `TrainSettings.of_recipe`.

    Returns:
        The table `training`, and `path` of the table `manifest` if there is one; paths in the file
        are relative to its folder. Settings that are newer than the run or the search get the value
        with which it was trained (`ABSENT`).

    Raises:
        ClassifyError: the file is missing or not TOML, keys or values are invalid, or `changes`
            have a recipe and the file is a run's.
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
            f"{path}: unknown {', '.join(unknown)}; settings belong in the table [training]"
        )
    training, manifest = config.get("training", {}), config.get("manifest", {})
    if not isinstance(manifest, dict):
        raise ClassifyError(f"{path}: manifest must be a table with a path")
    if not isinstance(training, dict):
        raise ClassifyError(f"{path}: training must be a table")
    if "sha256" in manifest:  # written by a run or a search
        if "recipe" in changes:
            raise ClassifyError(
                f"{path} holds all settings of a run, so a recipe would change nothing; omit "
                f"--recipe or --config"
            )
        training = {**ABSENT, **training}
    else:
        recipe = _recipe(training, changes, path)
        of_recipe = recipe.settings.get("arch", TrainSettings.arch)
        arch = changes.get("arch") or training.get("arch", of_recipe)
        training = {**recipe.for_arch(str(arch)), **training, "recipe": recipe.name}
    settings = settings_of(training, path)
    settings = settings.changed(**{k: v for k, v in changes.items() if k != "recipe"})
    manifest_path = manifest.get("path")
    return settings, path.parent / manifest_path if isinstance(manifest_path, str) else None


def _recipe(training: Mapping[str, Any], changes: Mapping[str, Any], path: Path) -> recipes.Recipe:
    """Return the recipe that changes or, if they have none, the settings of a file name.

    Raises:
        ClassifyError: there is no such recipe, or it is invalid.
    """
    if "recipe" in changes:
        return _checked_recipe(changes["recipe"])
    try:
        return _checked_recipe(str(training.get("recipe", recipes.DEFAULT)), path.parent)
    except ClassifyError as error:
        raise ClassifyError(f"{path}: {error}") from error


def _checked_recipe(name: str, folder: Path = Path()) -> recipes.Recipe:
    """Read a recipe, and check all its settings, whether the network has them or not.

    Raises:
        ClassifyError: there is no such recipe, or it is invalid; the message names its file.
    """
    recipe = recipes.read(name, folder)
    settings_of(recipe.settings, recipe.source)
    return recipe


def _of_recipe_too(error: str, recipe: recipes.Recipe, changes: Mapping[str, Any]) -> str:
    """Return which of the settings in an error the recipe has set, or ""."""
    named = {
        name: value
        for name, value in recipe.settings.items()
        if re.search(rf"\b{name}\b", error) and changes.get(name) is None
    }
    if not named:
        return ""
    values = ", ".join(f"{name} = {value}" for name, value in named.items())
    return f". The recipe {recipe.name} has {values}: set a value that fits"


def settings_of(table: Mapping[str, Any], path: Path) -> TrainSettings:
    """Return the settings in a table of a TOML file; a weights file is relative to its folder.

    Raises:
        ClassifyError: keys are unknown, or values are invalid.
    """
    known = [field.name for field in fields(TrainSettings)]
    if unknown := [key for key in table if key not in known]:
        raise ClassifyError(
            f"{path}: unknown {', '.join(unknown)} in the settings of training; choose from "
            f"{', '.join(known)}"
        )
    values: dict[str, Any] = {k: str(v) if k == "freeze" else v for k, v in table.items()}
    try:
        settings = TrainSettings(**values)
    except ClassifyError as error:
        raise ClassifyError(f"{path}: {error}") from error
    if settings.weights in (None, *recipes.WEIGHTS):
        return settings
    return replace(settings, weights=str((path.parent.resolve() / str(settings.weights)).resolve()))


def check_fields(
    settings: DataclassInstance,
    least: Mapping[str, float],
    choices: Mapping[str, Sequence[str]],
) -> None:
    """Check types, minima and choices of settings.

    Args:
        settings: with a field `seed`, which must be from 0 to below 2**32.
        least: field → minimum.
        choices: field → allowed values.

    Raises:
        ClassifyError: a value is invalid; the message names its field.
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


_TYPES = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


def _check_type(name: str, annotation: str, value: object) -> None:
    kind, _, none = annotation.partition(" | ")
    kind = kind if kind in _TYPES else "str"  # a Literal, whose choices are checked by name
    fits = _TYPES[kind]
    if value is None and none:
        return
    if not isinstance(value, fits) or (isinstance(value, bool) and kind != "bool"):
        raise ClassifyError(f"{name} ({value!r}) must be of type {kind}")
