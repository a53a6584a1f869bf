"""`classify gan`: parse, call one function, print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from classify.cli.options import AUGMENTATIONS, Jit, MixedPrecision, RunFolder
from classify.cli.start_keras import start_keras
from classify.errors import ClassifyError
from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import values, values_of
from ffpp_tools.cli.options import ShowFaces, option
from ffpp_tools.console import counted, log, print_json, print_line, print_table, progress
from ffpp_tools.script import Command, Group, with_options

MEASURES = (
    *("generator_loss", "real_loss", "generated_loss"),
    *("real_accuracy", "generated_accuracy", "diversity"),
)

gan_app = typer.Typer(
    help="Train a DCGAN and generate faces, to train and test detectors on.",
    no_args_is_help=True,
    cls=Group,
)


def train(
    images: Annotated[
        Path | None,
        option(
            panels.DATA,
            about="Folder of face images, or a manifest, whose real training images are used.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(panels.OUTPUT, about="Run folder.", default="runs/dcgan, numbered if taken"),
    ] = None,
    resume: Annotated[
        Path | None,
        option(
            panels.STOPPING,
            about="Run folder of a training to resume. Only --epochs can be given with it.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        option(
            panels.NETWORK,
            about="Side of the images, in pixels: 16, 32, 64, 128 or 256.",
            default="128",
            complete=values_of("classify.gan.settings:SIZES"),
            metavar="N",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        option(
            panels.TRAINING,
            about="Total number of epochs, including those before --resume.",
            default="60",
            metavar="N",
            min=1,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        option(panels.TRAINING, about="Images per training step.", default="64", metavar="N"),
    ] = None,
    learning_rate: Annotated[
        float | None,
        option(
            panels.TRAINING,
            about="Learning rate of Adam, for both networks. The DCGAN study uses 0.002.",
            default="0.0002",
            metavar="X",
        ),
    ] = None,
    beta_1: Annotated[
        float | None,
        option(panels.TRAINING, about="β₁ of Adam.", default="0.5", metavar="X"),
    ] = None,
    filters: Annotated[
        int | None,
        option(
            panels.NETWORK,
            about="Filters of the layers next to the image. Deeper layers have more.",
            default="64",
            metavar="N",
        ),
    ] = None,
    latent: Annotated[
        int | None,
        option(panels.NETWORK, about="Dimension of the latent vector.", default="100", metavar="N"),
    ] = None,
    augment: Annotated[
        str | None,
        option(
            panels.AUGMENTATION,
            about="Augmentation of the real images: flip, none or another preset of train.",
            default="flip",
            complete=AUGMENTATIONS,
            metavar="NAME",
        ),
    ] = None,
    every: Annotated[
        int | None,
        option(
            panels.STOPPING,
            about="Save the generator every N epochs.",
            default="10",
            metavar="N",
        ),
    ] = None,
    mixed_precision: MixedPrecision = None,
    jit: Jit = None,
    seed: Annotated[
        int | None,
        option(
            panels.TRAINING,
            about="Random seed of weights, order, noise and flips.",
            default="0",
            metavar="N",
        ),
    ] = None,
) -> None:
    """Train a DCGAN: five samples and the losses per epoch, a saved generator every tenth epoch.

    Example: classify gan train --images dataset/faces/CelebA --out runs/dcgan

    Example: classify gan train --resume runs/dcgan --epochs 120
    """
    options = locals()
    from classify.gan.run import GanRun
    from classify.gan.settings import GanSettings
    from classify.training.run_folder import check_free, new_folder

    fields = GanSettings.__dataclass_fields__
    given = {name: options[name] for name in fields if options[name] is not None}
    if resume:
        if images or out or given.keys() - {"epochs"}:
            raise ClassifyError(
                "--resume keeps the run's own settings and can be given with --epochs only"
            )
        folder = resume
    elif images is None:
        raise ClassifyError("give a folder of face images with --images, or --resume RUN")
    else:
        folder = out or new_folder(Path("runs"), "dcgan")
    settings = GanRun.read(resume).settings if resume else replace(GanSettings(), **given)
    start_keras()
    from classify.gan import train as training
    from classify.training.display import Display

    if images:
        check_free(folder, training.COMMAND)
    log.keep(folder)
    print_line(f"run: {folder}")
    with Display(epochs or settings.epochs, settings.batch_size, MEASURES) as display:
        if images:
            run = training.train(images, folder, settings, [display], progress)
        else:
            run = training.resume(folder, epochs, [display])
    for remark in run.remarks():
        print_line(remark, style="yellow")
    print_line(f"samples and losses: {folder / 'epochs'}; generator: {folder / 'generator.keras'}")
    print_json(
        {"folder": folder, "generator": folder / "generator.keras", "remarks": run.remarks()}
    )


def generate(
    run: RunFolder,
    count: Annotated[
        int,
        option(
            panels.OUTPUT,
            about="Total number of faces, including those already in the folder.",
            metavar="N",
            min=1,
        ),
    ] = 64,
    out: Annotated[
        Path | None, option(panels.OUTPUT, about="Folder to write to.", default="<run>/generated")
    ] = None,
    epoch: Annotated[
        int | None,
        option(
            panels.NETWORK,
            about="Epoch whose saved generator to use.",
            default="the last",
            metavar="N",
            min=1,
        ),
    ] = None,
    seed: Annotated[
        int,
        option(panels.NETWORK, about="Random seed of the latent vectors.", metavar="N", min=0),
    ] = 0,
) -> None:
    """Write generated faces as PNG files. Run the same command again to resume.

    Example: classify gan generate runs/dcgan --count 29500 --out generated
    """
    from classify.gan.run import GanRun

    found = GanRun.read(run)
    folder = out or run / "generated"
    start_keras()
    from classify.gan.generate import generate as generated

    for remark in found.remarks(epoch):
        print_line(remark, style="yellow")
    generated(found, count, folder, epoch, seed, progress)
    log.keep(folder)
    print_line(f"{counted(count, 'generated face')}: {folder}")
    print_json({"folder": folder, "faces": count})


def report(
    run: RunFolder,
    weights: Annotated[
        str,
        option(
            panels.EVALUATION,
            about="Weights of EfficientNetB0 for the Fréchet distance: imagenet, or a file.",
            complete=values("imagenet"),
            metavar="NAME",
        ),
    ] = "imagenet",
    faces: ShowFaces = True,
) -> None:
    """Evaluate every saved generator: sample faces, their diversity, and distance to real faces.

    Example: classify gan report runs/dcgan
    """
    from classify.gan.run import GanRun

    found = GanRun.read(run)
    start_keras()
    from rich.table import Table

    from classify.gan.report import make_report
    from classify.reporting.formatting import number

    for remark in found.remarks():
        print_line(remark, style="yellow")
    made = make_report(found, weights, progress, faces=faces)
    table = Table("epochs", "diversity ÷ real", "Fréchet distance (EfficientNetB0)")
    for kept in made.kept:
        table.add_row(str(kept.epochs), number(kept.diversity), number(kept.distance))
    table.add_row("real images", "1", number(made.floor))
    print_table(table)
    log.keep(run / "report")
    print_line(f"report: {run / 'report/report.html'}")
    print_json({"folder": run / "report", "generators": made.table.to_dict("records")})


for _command in (train, generate, report):
    gan_app.command(cls=Command)(with_options(_command))
