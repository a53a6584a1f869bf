"""The `classify` command: parse, call one function, print."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from classify.errors import ClassifyError
from ffpp_tools.console import console, progress, run_script, say
from ffpp_tools.errors import FfppError

if TYPE_CHECKING:
    import pandas as pd

    from classify.report import Report

typer_app = typer.Typer(
    help="Train classifiers of face manipulation and judge them honestly.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def app() -> None:
    """The console script."""
    interrupted = "a training leaves its finished epochs' best.keras and last.keras"
    run_script(typer_app, (ClassifyError, FfppError), interrupted)


@typer_app.command()
def train(
    manifest: Annotated[Path, typer.Option(help="Folder that ffpp-split wrote.")] = Path(
        "data_manifests/multiclass"
    ),
    arch: Annotated[
        str, typer.Option(help="baseline, sepconv or efficientnetb0.")
    ] = "efficientnetb0",
    weights: Annotated[
        str | None,
        typer.Option(help="imagenet, none or a file [default: imagenet where there is one]."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder [default: runs/<arch>-<mode>, or the next].")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per step.")] = 64,
    size: Annotated[int, typer.Option(min=32, help="Side of the input in pixels.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = 0.001,
    patience: Annotated[
        int, typer.Option(min=0, help="Epochs without a lower validation loss before stopping.")
    ] = 5,
    augment: Annotated[str, typer.Option(help="paper, paper-text or none.")] = "paper",
    activation: Annotated[
        str, typer.Option(help="Of the baseline's hidden layers: linear or relu.")
    ] = "linear",
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and augmentation.")] = 0,
) -> None:
    """Train a network on a manifest.

    Example: classify train --manifest data_manifests/videos --arch efficientnetb0 --out runs/b0
    """
    from ffpp_tools.tables import Manifest

    mode = Manifest.read(manifest).info["mode"]
    _start_keras()
    from classify.report import best_epoch
    from classify.runs import TrainSettings, new_folder
    from classify.train import train as run_training

    settings = TrainSettings(
        arch=arch,
        weights=weights,
        activation=activation,
        size=size,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        augment=augment,
        seed=seed,
    )
    folder = out or new_folder(Path("runs"), f"{arch}-{mode}")
    verbose = "auto" if console.is_terminal else 2
    run = run_training(manifest, folder, settings, verbose, progress("packing crops"))
    log = run.log
    best = best_epoch(log)
    loss, accuracy = log.loc[best - 1, ["val_loss", "val_accuracy"]]
    say(f"best of {len(log)} epochs: {best} (validation loss {loss:.4f}, accuracy {accuracy:.3f})")
    say(f"run: {run.folder}")


@typer_app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
) -> None:
    """Judge a run: confusion per manipulation, per frame and per clip.

    Example: classify report runs/b0
    """
    from classify.report import make_report
    from classify.runs import Run

    found = Run.read(run)
    _start_keras()
    made = make_report(found, split)
    _print_report(made)
    say(f"report: {made.folder / 'report.html'}")


def _start_keras() -> None:
    """Import Keras and say what it runs on, in one line instead of TensorFlow's ten.

    With TF_CPP_MIN_LOG_LEVEL set, TensorFlow's own words come through.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)
        os.close(silence)
    try:
        import keras

        from classify.backend import devices

        found = devices()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    backend = keras.backend.backend()
    say(f"Keras {keras.__version__} with {backend} on {', '.join(found)}", style="dim")


def _print_report(report: Report) -> None:
    from classify.report import cell, number

    say(report.provenance, style="bold")
    for a in report.shortcuts:
        alone = f"{number(a.auc)} ({number(a.auc_scaled)} at 128 pixels)"
        say(f"  cheap properties alone: AUC {alone}, {a.question}")
    for j in report.judgements:
        say(
            f"\nper {j.unit}: {j.samples} {j.unit}s, accuracy {number(j.accuracy)}, "
            f"AUC fake against real {number(j.auc)}"
        )
        percent = j.percent.map(cell)
        _print_table("per cent of each actual class, N/A for none", "actual ╲ predicted", percent)
        per_class = j.per_class.astype(object)
        for name in ("precision", "recall", "f1"):
            per_class[name] = j.per_class[name].map(number)
        _print_table("per class", "class", per_class)
        shown = j.by_category.set_index("category").astype(object)
        shown["called_fake_percent"] = (
            j.by_category["called_fake_percent"].map("{:.1f}".format).to_numpy()
        )
        shown["auc_against_youtube"] = j.by_category["auc_against_youtube"].map(number).to_numpy()
        _print_table("per manipulation, and per kind of real", "category", shown)


def _print_table(title: str, corner: str, cells: pd.DataFrame) -> None:
    names = [corner, *(str(c).replace("_", " ") for c in cells.columns)]
    table = Table(*(Column(name, overflow="fold") for name in names), title=title)
    for name, row in cells.iterrows():
        table.add_row(str(name), *(str(value) for value in row))
    console.print(table)
