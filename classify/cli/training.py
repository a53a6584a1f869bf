"""`classify archs` and `classify train`: parse, call one function, print."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Column, Table

from classify.cli.options import (
    ARCHS,
    AUGMENTATIONS,
    WEIGHTS,
    Jit,
    ManifestFolder,
    MixedPrecision,
)
from classify.cli.start_keras import start_keras
from classify.errors import ClassifyError
from classify.training import recipes as training_recipes
from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import values, values_of
from ffpp_tools.cli.options import option
from ffpp_tools.console import counted, log, print_json, print_line, print_table, progress

if TYPE_CHECKING:
    import keras

MANY = 0.1  # share of enlarged crops that is remarked upon


def archs() -> None:
    """List the networks that can be trained, and the heads for backbones.

    Example: classify archs
    """
    from classify.models import ARCHITECTURES
    from classify.models.heads import HEADS

    parameters = Column("parameters", justify="right")
    columns = ("--arch", parameters, "pixels", "at least", "head", "origin")
    table = Table(*columns, title="networks (parameters: of backbones without head)")
    for a in ARCHITECTURES.values():
        sizes = (str(a.size), str(a.least))
        table.add_row(a.name, f"{a.parameters:,}", *sizes, a.head or "its own", a.origin)
    print_table(table)
    table = Table("--head", "layers before the probabilities", title="heads of backbones")
    for name, about in HEADS.items():
        table.add_row(name, about)
    print_table(table)
    networks = [
        {field: value for field, value in asdict(a).items() if field != "layers"}
        for a in ARCHITECTURES.values()
    ]
    print_json({"networks": networks, "heads": HEADS})


def recipes() -> None:
    """List the recipes of `classify train`, and the settings that each fixes.

    Example: classify recipes
    """
    listed = [training_recipes.read(name) for name in training_recipes.names()]
    table = Table("--recipe", "about", "settings", title="recipes for training")
    for recipe in listed:
        settings = [f"{name} {_toml_value(value)}" for name, value in recipe.settings.items()]
        table.add_row(recipe.name, recipe.about, ", ".join(settings))
    print_table(table)
    shown = [{"name": r.name, "about": r.about, "settings": dict(r.settings)} for r in listed]
    print_json({"recipes": shown})


def _toml_value(value: object) -> str:
    """Return the value of a setting as it is written in a TOML file, without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def train(
    manifest: ManifestFolder = None,
    config: Annotated[
        Path | None,
        option(
            panels.DATA,
            about="TOML file with settings, such as a run's config.toml. Options override it.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        option(
            panels.TRAINING,
            about="Settings by name, or a TOML file: paper, generalise or blended; `classify "
            "recipes` lists what each sets. Options override it; the defaults in this help are "
            "those of paper.",
            default=training_recipes.DEFAULT,
            complete=values_of("classify.training.recipes:names"),
            metavar="NAME",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(panels.OUTPUT, about="Run folder.", default="runs/<arch>-<mode>, numbered if taken"),
    ] = None,
    resume: Annotated[
        Path | None,
        option(
            panels.STOPPING,
            about="Run folder of an interrupted training to resume. Takes no other settings.",
        ),
    ] = None,
    arch: Annotated[
        str | None,
        option(
            panels.NETWORK,
            about="Network architecture; `classify archs` lists them.",
            default="efficientnetb0",
            complete=ARCHS,
            metavar="NAME",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        option(
            panels.NETWORK,
            about="Initial weights: imagenet, noisy-student, none (random) or a file.",
            default="imagenet, if the network has them",
            complete=WEIGHTS,
            metavar="NAME",
        ),
    ] = None,
    head: Annotated[
        str | None,
        option(
            panels.NETWORK,
            about="Layers on top of a backbone; `classify archs` lists them.",
            default="the network's own",
            complete=values_of("classify.models.heads:HEADS"),
            metavar="NAME",
        ),
    ] = None,
    output: Annotated[
        str | None,
        option(
            panels.NETWORK,
            about="Output layer: softmax, or sigmoid for two classes.",
            default="softmax",
            complete=values_of("classify.models:OUTPUTS"),
            metavar="NAME",
        ),
    ] = None,
    channels: Annotated[
        str | None,
        option(
            panels.NETWORK,
            about="Colour channels of the input: rgb, r, g or b.",
            default="rgb",
            complete=values_of("classify.models:CHANNELS"),
            metavar="NAME",
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        option(
            panels.NETWORK,
            about="Dropout rate of the head, from 0 to below 1.",
            default="the head's own",
            metavar="X",
        ),
    ] = None,
    activation: Annotated[
        str | None,
        option(
            panels.NETWORK,
            about="Activation of the baseline network's hidden layers: linear or relu.",
            default="linear",
            complete=values_of("classify.models:ACTIVATIONS"),
            metavar="NAME",
        ),
    ] = None,
    size: Annotated[
        int | None,
        option(
            panels.NETWORK,
            about="Side of the input, in pixels.",
            default="the network's own",
            metavar="N",
        ),
    ] = None,
    stride: Annotated[
        int | None,
        option(
            panels.NETWORK,
            about="End the backbone before its features get coarser than one per N pixels: 4, 8 "
            "or 16; 32 for the whole backbone.",
            default="the whole backbone",
            metavar="N",
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        option(
            panels.FINE_TUNING,
            about="Backbone layers to freeze: all, none, the first N, or -N for all but the last "
            "N.",
            default="none",
            complete=values("all", "none"),
            metavar="LAYERS",
        ),
    ] = None,
    freeze_batch_norm: Annotated[
        bool | None,
        option(
            panels.FINE_TUNING, about="Keep the backbone's batch normalization in inference mode."
        ),
    ] = None,
    head_epochs: Annotated[
        int | None,
        option(
            panels.FINE_TUNING,
            about="Number of initial epochs that train only the head. --freeze applies after them.",
            default="0",
            metavar="N",
        ),
    ] = None,
    fine_tuning_rate: Annotated[
        float | None,
        option(
            panels.FINE_TUNING,
            about="Learning rate after --head-epochs.",
            default="a tenth of --learning-rate",
            metavar="X",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        option(
            panels.TRAINING,
            about="Maximum number of epochs, including --head-epochs.",
            default="10",
            metavar="N",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        option(
            panels.TRAINING,
            about="Images per training step, over all devices; at most, with --sampling pairs.",
            default="64",
            metavar="N",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        option(panels.TRAINING, about="Learning rate of Adam.", default="0.001", metavar="X"),
    ] = None,
    schedule: Annotated[
        str | None,
        option(
            panels.TRAINING,
            about="Learning rate schedule: constant, cosine or plateau.",
            default="constant",
            complete=values_of("classify.training.settings:Schedule"),
            metavar="NAME",
        ),
    ] = None,
    warmup_epochs: Annotated[
        float | None,
        option(
            panels.TRAINING,
            about="Epochs of linear warm-up from zero, for --schedule cosine.",
            default="0",
            metavar="X",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        option(
            panels.STOPPING,
            about="Early stopping: number of epochs without a lower --monitor.",
            default="5",
            metavar="N",
        ),
    ] = None,
    monitor: Annotated[
        str | None,
        option(
            panels.STOPPING,
            about="Metric for early stopping and the best checkpoint: val_log_loss, or val_loss, "
            "which includes the weight penalties.",
            default="val_log_loss",
            complete=values_of("classify.training.settings:Monitor"),
            metavar="NAME",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        option(
            panels.AUGMENTATION,
            about="Augmentation preset: paper, paper-text, rotate-shift, mild, flip, robust or "
            "none.",
            default="paper",
            complete=AUGMENTATIONS,
            metavar="NAME",
        ),
    ] = None,
    class_weights: Annotated[
        bool | None,
        option(
            panels.TRAINING,
            about="Weight the loss so that every class counts the same. Manifests are balanced "
            "already.",
        ),
    ] = None,
    fraction: Annotated[
        float | None,
        option(
            panels.DATA,
            about="Fraction of each class to train and validate on, above 0 and up to 1.",
            default="1.0",
            metavar="X",
        ),
    ] = None,
    sampling: Annotated[
        str | None,
        option(
            panels.DATA,
            about="Crops per epoch: all, balanced (sampled by class, then clip, then crop), or "
            "pairs (every original with its fakes of the same frame).",
            default="all",
            complete=values_of("classify.training.settings:Sampling"),
            metavar="HOW",
        ),
    ] = None,
    unpaired: Annotated[
        float | None,
        option(
            panels.DATA,
            about="With --sampling pairs, the share of units without pairs, from 0 to below 1.",
            default="their share of the real crops",
            metavar="X",
        ),
    ] = None,
    blend: Annotated[
        float | None,
        option(
            panels.DATA,
            about="Share of blended real faces among the fakes of training, from 0 to 1; at 1, "
            "training has only real faces and their blends.",
            default="0",
            metavar="SHARE",
        ),
    ] = None,
    blend_class: Annotated[
        bool | None,
        option(
            panels.DATA,
            about="Make blended faces a class of their own, in a manifest of several classes.",
        ),
    ] = None,
    ema: Annotated[
        float | None,
        option(
            panels.TRAINING,
            about="Momentum of a moving average of the weights, such as 0.99, which validation and "
            "the checkpoint use.",
            default="no averaging",
            metavar="X",
        ),
    ] = None,
    tta: Annotated[
        str | None,
        option(
            panels.STOPPING,
            about="Predictions: none (of the crop), flip (mean of the crop and its mirror image), "
            "or auto (chosen on the validation split).",
            default="none",
            complete=values_of("classify.training.settings:Tta"),
            metavar="HOW",
        ),
    ] = None,
    refit: Annotated[
        bool | None,
        option(
            panels.STOPPING, about="Train on the train and val splits, and keep the last epoch."
        ),
    ] = None,
    mixed_precision: MixedPrecision = None,
    jit: Jit = None,
    seed: Annotated[
        int | None,
        option(
            panels.TRAINING,
            about="Random seed of weights, order, dropout and augmentation.",
            default="0",
            metavar="N",
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        option(
            panels.OUTPUT,
            "--tensorboard",
            about="Write TensorBoard logs to the run folder.",
        ),
    ] = False,
) -> None:
    """Train a network on a manifest.

    Example: classify train --manifest data_manifests/videos --arch efficientnetb0 --out runs/b0

    Example: classify train --config runs/b0/config.toml --seed 1 --out runs/b0-seed-1
    """
    options = locals()
    from classify.training.run_folder import check_free, new_folder
    from classify.training.runs import Run
    from classify.training.settings import TrainSettings, read_config
    from ffpp_tools.splits.manifest import Manifest

    fields = TrainSettings.__dataclass_fields__
    given = {name: options[name] for name in fields if options[name] is not None}
    if resume:
        if given or manifest or config or out:
            raise ClassifyError("--resume keeps the run's own settings and takes no other options")
        settings, folder, manifest = Run.read(resume).settings, resume, None
    else:
        if config:
            settings, named = read_config(config, given)
        else:
            name = given.pop("recipe", training_recipes.DEFAULT)
            settings, named = TrainSettings.of_recipe(name, **given), None
        manifest = manifest or named or Path("data_manifests/multiclass")
        mode = Manifest.read(manifest).info["mode"]
        folder = out or new_folder(Path("runs"), f"{settings.arch}-{mode}")
    start_keras()
    import keras

    from classify.backend import on_gpu
    from classify.data.crop_sizes import enlarged_share
    from classify.models import chosen_arch
    from classify.reporting.formatting import number, percent
    from classify.training import train as training
    from classify.training.display import Display

    if settings.mixed_precision and not on_gpu():
        print_line("mixed precision on a CPU is slower, not faster", style="yellow")
    callbacks: list[keras.callbacks.Callback] = []
    if tensorboard:
        if find_spec("tensorboard") is None:
            raise ClassifyError(
                "--tensorboard needs the package tensorboard: pip install tensorboard"
            )
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    if manifest is not None:
        check_free(folder, training.COMMAND)
    log.keep(folder)
    print_line(f"run: {folder}")
    if manifest is not None:
        size = settings.size or chosen_arch(settings.arch).size
        if (share := enlarged_share(Manifest.read(manifest), "train", size)) >= MANY:
            print_line(
                f"{percent(share)} % of the training crops are smaller than {size} pixels and are "
                f"enlarged: a smaller --size would be faster and lose no detail"
            )
    with Display(settings.epochs, settings.batch_size) as display:
        callbacks.append(display)
        if manifest is None:
            run = training.resume(folder, callbacks, progress)
        else:
            run = training.train(manifest, folder, settings, callbacks, progress)
    trained, best = run.log, run.kept_epoch
    shown = trained.loc[best - 1].filter(regex="loss|accuracy").dropna()
    measures = ", ".join(f"{name} {number(value)}" for name, value in shown.items())
    if len(trained) < run.settings.epochs:
        asked = run.settings
        print_line(_ended_early(len(trained), asked.epochs, asked.monitor, asked.patience))
    print_line(f"kept epoch {best} of {len(trained)} ({measures})")
    kept = {"epochs": len(trained), "kept_epoch": best}
    print_json({"folder": folder, "checkpoint": run.checkpoint, **kept, **shown.to_dict()})


def _ended_early(epochs: int, asked: int, monitor: str, patience: int) -> str:
    """Why training stopped before the last epoch.

    >>> _ended_early(6, 30, "val_log_loss", 5)
    'early stopping after 6 of 30 epochs: no lower val_log_loss for 5 epochs (--patience)'
    """
    epochs_without = counted(max(patience, 1), "epoch")
    return (
        f"early stopping after {epochs} of {asked} epochs: no lower {monitor} for "
        f"{epochs_without} (--patience)"
    )
