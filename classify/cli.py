"""The `classify` command: parse, call one function, print."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from classify import show
from classify.cli_studies import study_app, tune
from classify.errors import ClassifyError
from classify.gan.cli import gan_app
from classify.options import ManifestFolder, option
from classify.start import start_keras
from ffpp_tools.console import console, counted, progress, run_script, say
from ffpp_tools.errors import FfppError
from ffpp_tools.files import occupied

if TYPE_CHECKING:
    import keras

typer_app = typer.Typer(
    help="Train classifiers of face manipulation and judge them honestly.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def app() -> None:
    """The console script."""
    interrupted = "what was written before stands there"
    command = " ".join(sys.argv[1:3] if sys.argv[1:2] in (["gan"], ["study"]) else sys.argv[1:2])
    if command in ("train", "gan train"):
        interrupted = f"it goes on after its last finished epoch: classify {command} --resume RUN"
    elif command == "tune":
        interrupted = "it goes on where it was: classify tune --resume FOLDER"
    elif command in ("study backbones", "gan generate"):
        interrupted = "the same command goes on where it was"
    run_script(typer_app, (ClassifyError, FfppError), interrupted)


@typer_app.command()
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
    console.print(table)
    table = Table("--head", "layers before the probabilities", title="heads of backbones")
    for name, about in HEADS.items():
        table.add_row(name, about)
    console.print(table)


@typer_app.command()
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
        int | None, option("Epochs without a lower validation loss before stopping", 5)
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
    from classify.folder import new_folder
    from classify.runs import Run, best_epoch
    from classify.settings import TrainSettings, read_config
    from ffpp_tools.manifest import Manifest

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

    from classify import train as training
    from classify.backend import on_gpu
    from classify.display import Display

    if settings.mixed_precision and not on_gpu():
        say("mixed precision on a CPU is slower, not faster", style="yellow")
    callbacks: list[keras.callbacks.Callback] = []
    if tensorboard:
        if find_spec("tensorboard") is None:
            raise ClassifyError("--tensorboard needs the package tensorboard: pip install it")
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    say(f"run: {folder}")
    with Display(settings.epochs, settings.batch_size) as display:
        callbacks.append(display)
        if manifest is None:
            run = training.resume(folder, callbacks, progress)
        else:
            run = training.train(manifest, folder, settings, callbacks, progress)
    log = run.log
    best = best_epoch(log)
    shown = log.loc[best - 1].filter(regex="loss|accuracy")
    measures = ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
    say(f"kept epoch {best} of {len(log)} ({measures})")


@typer_app.command()
def report(
    run: Annotated[
        Path | None, typer.Argument(help="Run folder.", show_default="none: --predictions")
    ] = None,
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="Judge on this manifest: other compression, other data.",
            show_default="the run's own",
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Judge a CSV file of anybody's detector instead of a run: face_id or path, and "
            "p_fake or p_<class> for every class of --manifest."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With --predictions: where to.", show_default="<file>-report beside it"),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Also on the same crops, compressed, blurred, noisy."),
    ] = False,
) -> None:
    """Judge a run, or anybody's predictions: per manipulation, per frame and per clip.

    Example: classify report runs/b0

    Example: classify report runs/b0 --manifest data_manifests/videos-c23

    Example: classify report --predictions theirs.csv --manifest data_manifests/videos
    """
    from classify.report import make_report, report_on_file
    from classify.runs import Run
    from ffpp_tools.manifest import Manifest

    other = Manifest.read(manifest) if manifest else None
    if predictions:
        if run or robustness:
            raise ClassifyError("--predictions go with neither a run folder nor --robustness")
        if other is None:
            raise ClassifyError("--predictions need --manifest, which says what each face is")
        made = report_on_file(predictions, other, split, out)
    elif run is None:
        raise ClassifyError("name a run folder, or --predictions FILE")
    elif out:
        raise ClassifyError("--out goes with --predictions: a run's report lies in its folder")
    else:
        found = Run.read(run)
        start_keras()
        made = make_report(found, split, other, robustness, progress)
    show.report(made)


@typer_app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    paths: Annotated[list[Path], typer.Argument(help="Pictures, videos, or folders of them.")],
    every: Annotated[
        int | None,
        typer.Option(
            help="Look at every so many frames of a video.",
            show_default="as in the data it was trained on",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to.", show_default="<run>/predicted, or the next"),
    ] = None,
) -> None:
    """Say of pictures and videos whether the faces in them are fake, person by person.

    Example: classify predict runs/b0 video.mp4 photographs/
    """
    from classify import provenance
    from classify.folder import new_folder
    from classify.runs import Run
    from classify.verdict import classifier_of, find_media, verdict
    from classify.verdict_files import VerdictFiles

    found = Run.read(run)
    media = find_media(paths)
    folder = out or new_folder(run, "predicted")
    if occupied(folder):
        raise ClassifyError(f"{folder} is not empty: choose another --out")
    start_keras()
    classifier = classifier_of(found, every)
    said = provenance.of_verdicts(found, classifier.operating)
    files = VerdictFiles(folder, classifier, said)
    made = []
    for path in progress("looking")(media, len(media)):
        one = verdict(path, classifier)
        files.add(one)
        made.append(replace(one, faces=(), frames=one.frames[:0]))  # no more than is printed
    show.verdicts(made, said)
    say(f"verdicts: {folder}")
    if failed := [v for v in made if v.status == "unreadable"]:
        raise ClassifyError(
            f"{len(failed)} of {counted(len(made), 'file')} could not be read: {failed[0].error}"
        )


@typer_app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
) -> None:
    """Show where a network looks: Grad-CAM maps of faces of every class, and their means.

    Example: classify explain runs/b0
    """
    from classify import explain as explaining
    from classify import provenance
    from classify.explain_files import write_explanations
    from classify.operating import operating
    from classify.runs import Run

    found = Run.read(run)
    start_keras()
    folder = found.report_folder(split, "explain")
    made = explaining.explain(found, split)
    said = provenance.of_run(found, found.manifest, split, operating(found))
    write_explanations(folder, made, said)
    say(f"explained {counted(sum(e.looked for e in made), 'face')}: {folder / 'explain.html'}")


@typer_app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    on: Annotated[
        list[Path] | None,
        typer.Option(
            "--matrix", help="A manifest to judge every run on; say it again for every further one."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to.", show_default="comparison, or the next"),
    ] = None,
) -> None:
    """Put runs beside each other: accuracy, recall, AUC, size, speed; or runs by manifests.

    Example: classify compare runs/b0 runs/xception

    Example: classify compare runs/c23 runs/c40 --matrix manifests/c23 --matrix manifests/c40
    """
    from classify import compare as comparing
    from classify.compare_files import write_comparison, write_matrix
    from classify.folder import new_folder
    from classify.runs import Run
    from ffpp_tools.manifest import Manifest

    found = [Run.read(run) for run in runs]
    manifests = [Manifest.read(path) for path in on or []]
    folder = out or new_folder(Path(), "comparison")
    if occupied(folder):
        raise ClassifyError(f"{folder} is not empty: choose another --out")
    start_keras()
    if manifests:
        made = comparing.matrix(found, manifests)
        write_matrix(folder, made)
        show.matrix(made)
    else:
        compared = comparing.compare(found)
        write_comparison(folder, compared)
        show.comparison(compared)
    say(f"comparison: {folder}")


@typer_app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    kind: Annotated[
        str, typer.Option("--format", help="saved-model (TensorFlow) or litert (small devices).")
    ] = "saved-model",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to.", show_default="<run>/<format>, or the next"),
    ] = None,
) -> None:
    """Write a network for other programs, and check it in its own runtime.

    Example: classify export runs/b0 --format litert
    """
    from classify.folder import new_folder
    from classify.runs import Run

    found = Run.read(run)
    folder = out or new_folder(run, kind)
    start_keras()
    from classify.export import export as exported

    difference = exported(found, kind, folder)
    say(f"exported: {folder} (its probabilities are within {difference:.1e} of the network's)")


typer_app.command()(tune)
typer_app.add_typer(gan_app, name="gan")
typer_app.add_typer(study_app, name="study")
