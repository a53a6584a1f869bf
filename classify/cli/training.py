"""`classify archs` and `classify train`: parse, call one function, print."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from classify.cli.options import ManifestFolder, option
from classify.cli.start_keras import start_keras
from classify.errors import ClassifyError
from ffpp_tools.console import log, print_json, print_line, print_table, progress

if TYPE_CHECKING:
    import keras


def archs() -> None:
    """List the networks that can be trained, and the heads to put on them.

    Example: classify archs
    """
    from classify.models import ARCHITECTURES
    from classify.models.heads import HEADS

    columns = ("--arch", Column("parameters", justify="right"), "pixels", "head", "origin")
    table = Table(*columns, title="networks (parameters: of backbones without head)")
    for a in ARCHITECTURES.values():
        table.add_row(a.name, f"{a.parameters:,}", str(a.size), a.head or "its own", a.origin)
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


def train(
    manifest: ManifestFolder = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with settings, as config.toml of a run; options override it."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder.", show_default="runs/<arch>-<mode>, or the next"),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run, which was interrupted.")
    ] = None,
    arch: Annotated[
        str | None, option("Network; `classify archs` lists them", "efficientnetb0")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="imagenet, noisy-student, none or a file.",
            show_default="imagenet where there is one",
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="Layers on top of a backbone; `classify archs` lists them.",
            show_default="the network's",
        ),
    ] = None,
    output: Annotated[str | None, option("softmax, or sigmoid for two classes", "softmax")] = None,
    channels: Annotated[str | None, option("rgb, or one of r, g, b", "rgb")] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Dropout rate, instead of the head's own.")
    ] = None,
    activation: Annotated[
        str | None, option("Activation of the baseline's hidden layers: linear or relu", "linear")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the input in pixels.", show_default="the network's")
    ] = None,
    freeze: Annotated[
        str | None,
        option("Freeze all, none or the first N layers of the backbone; -N: all but N", "none"),
    ] = None,
    freeze_batch_norm: Annotated[
        bool | None, typer.Option(help="Keep the backbone's batch normalisation as it is.")
    ] = None,
    head_epochs: Annotated[
        int | None, option("Train the head alone so many epochs first, then as --freeze says", 0)
    ] = None,
    fine_tuning_rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate after --head-epochs.", show_default="a tenth of --learning-rate"
        ),
    ] = None,
    epochs: Annotated[int | None, option("At most so many, the head's included", 10)] = None,
    batch_size: Annotated[int | None, option("Images per step, over all devices", 64)] = None,
    learning_rate: Annotated[float | None, option("Learning rate of Adam", 0.001)] = None,
    schedule: Annotated[
        str | None, option("Course of the learning rate: constant, cosine or plateau", "constant")
    ] = None,
    warmup_epochs: Annotated[
        float | None, option("Epochs in which the rate rises from zero, for cosine", 0)
    ] = None,
    patience: Annotated[
        int | None, option("Epochs without a lower --monitor before stopping", 5)
    ] = None,
    monitor: Annotated[
        str | None,
        option(
            "What chooses the epoch and stops: val_log_loss, or val_loss with its penalties",
            "val_log_loss",
        ),
    ] = None,
    augment: Annotated[
        str | None, option("paper, paper-text, rotate-shift, flip, robust or none", "paper")
    ] = None,
    class_weights: Annotated[
        bool | None, typer.Option(help="Weigh the loss so that every class counts the same.")
    ] = None,
    fraction: Annotated[
        float | None, option("Share of every class to train and validate on", 1.0)
    ] = None,
    sampling: Annotated[
        str | None, option("all, or balanced: by class, then clip, then crop", "all")
    ] = None,
    refit: Annotated[
        bool | None, typer.Option(help="Train on val too and keep the last epoch.")
    ] = None,
    mixed_precision: Annotated[
        bool | None, typer.Option(help="Compute in half precision: for GPUs.")
    ] = None,
    jit: Annotated[str | None, option("Compile the training step: auto, on or off", "auto")] = None,
    seed: Annotated[
        int | None, option("Seed of weights, order, dropout and augmentation", 0)
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard into the run folder.")
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
            raise ClassifyError("--resume keeps the run's own settings: give it nothing but a run")
        settings, folder, manifest = Run.read(resume).settings, resume, None
    else:
        settings, named = read_config(config) if config else (TrainSettings(), None)
        settings = settings.changed(**given)
        manifest = manifest or named or Path("data_manifests/multiclass")
        mode = Manifest.read(manifest).info["mode"]
        folder = out or new_folder(Path("runs"), f"{settings.arch}-{mode}")
    start_keras()
    import keras

    from classify.backend import on_gpu
    from classify.reporting.formatting import number
    from classify.training import train as training
    from classify.training.display import Display

    if settings.mixed_precision and not on_gpu():
        print_line("mixed precision on a CPU is slower, not faster", style="yellow")
    callbacks: list[keras.callbacks.Callback] = []
    if tensorboard:
        if find_spec("tensorboard") is None:
            raise ClassifyError("--tensorboard needs the package tensorboard: pip install it")
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    if manifest is not None:
        check_free(folder, training.COMMAND)
    log.keep(folder)
    print_line(f"run: {folder}")
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
    """Why there are fewer epochs than were asked for.

    >>> _ended_early(6, 30, "val_log_loss", 5)
    'ended after 6 of 30 epochs, since val_log_loss had not fallen for 5 (--patience)'
    """
    since = f"since {monitor} had not fallen for {max(patience, 1)} (--patience)"
    return f"ended after {epochs} of {asked} epochs, {since}"
