"""`classify gan`: parse, call one function, print."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from classify.cli.options import option
from classify.cli.start_keras import start_keras
from classify.errors import ClassifyError
from ffpp_tools.cli.options import ShowFaces
from ffpp_tools.console import counted, log, print_json, print_line, print_table, progress
from ffpp_tools.script import with_options

MEASURES = (
    *("generator_loss", "real_loss", "generated_loss"),
    *("real_accuracy", "generated_accuracy", "diversity"),
)

gan_app = typer.Typer(
    help="Train a DCGAN and generate faces, to train and test detectors on.", no_args_is_help=True
)


def train(
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of face pictures, or a manifest, of which train's real ones are taken."
        ),
    ] = None,
    out: Annotated[Path | None, option("Run folder", "runs/dcgan, or the next")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this run; with --epochs, to so many in all."),
    ] = None,
    size: Annotated[
        int | None,
        option("Side of the pictures: 16, 32, 64, 128 or 256 pixels", "128"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How many in all.", show_default="60")
    ] = None,
    batch_size: Annotated[int | None, option("Pictures per step", "64")] = None,
    learning_rate: Annotated[
        float | None,
        option("Of Adam, for both networks; the DCGAN study has 0.002", "0.0002"),
    ] = None,
    beta_1: Annotated[float | None, option("Of Adam", "0.5")] = None,
    filters: Annotated[
        int | None,
        option("Of the layers next to the picture; deeper ones have more", "64"),
    ] = None,
    latent: Annotated[int | None, option("Numbers a picture is made from", "100")] = None,
    augment: Annotated[
        str | None,
        option("What happens to real pictures: flip, none or another preset of train", "flip"),
    ] = None,
    every: Annotated[int | None, option("Keep the generator every so many epochs", "10")] = None,
    mixed_precision: Annotated[
        bool | None, typer.Option(help="Compute in half precision: for GPUs.")
    ] = None,
    jit: Annotated[
        str | None,
        option("Compile the training step: auto, on or off", "auto"),
    ] = None,
    seed: Annotated[int | None, option("Of weights, order, noise and flips", "0")] = None,
) -> None:
    """Train a DCGAN: every epoch five samples and the losses, every tenth a generator to keep.

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
            raise ClassifyError("--resume keeps the run's own settings; it goes with --epochs only")
        folder = resume
    elif images is None:
        raise ClassifyError("name a folder of face pictures with --images, or --resume RUN")
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
    run: Annotated[Path, typer.Argument(help="Run folder of a DCGAN.")],
    count: Annotated[int, typer.Option(min=1, help="How many faces are to be there.")] = 64,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to.", show_default="<run>/generated")
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            min=1, help="The generator kept after so many epochs.", show_default="the last"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other faces.")] = 0,
) -> None:
    """Write generated faces as PNG files. The same command goes on where it was stopped.

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
    run: Annotated[Path, typer.Argument(help="Run folder of a DCGAN.")],
    weights: Annotated[
        str,
        typer.Option(
            help="Of EfficientNetB0, for the distance to real faces: imagenet, or a file."
        ),
    ] = "imagenet",
    faces: ShowFaces = True,
) -> None:
    """Judge every generator that was kept: its faces, their diversity, their distance to real ones.

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
    table.add_row("real pictures", "1", number(made.floor))
    print_table(table)
    log.keep(run / "report")
    print_line(f"report: {run / 'report/report.html'}")
    print_json({"folder": run / "report", "generators": [asdict(kept) for kept in made.kept]})


for _command in (train, generate, report):
    gan_app.command()(with_options(_command))
