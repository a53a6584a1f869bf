"""The commands that train many networks: `classify tune` and `classify study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from classify.cli import printing
from classify.cli.options import ARCHS, BACKBONES, WEIGHTS, ManifestFolder
from classify.cli.start_keras import start_keras
from classify.errors import ClassifyError
from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import values
from ffpp_tools.cli.options import option
from ffpp_tools.console import log, print_json, print_line, progress
from ffpp_tools.script import Command, Group, with_options

study_app = typer.Typer(
    help="Train many networks with one recipe and compare them.", no_args_is_help=True, cls=Group
)


def tune(
    manifest: ManifestFolder = None,
    config: Annotated[
        Path | None,
        option(
            panels.DATA,
            about="TOML file with the settings that are not varied, such as a run's config.toml.",
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
    epochs: Annotated[
        int | None,
        option(
            panels.SEARCH,
            about="Maximum number of epochs per trial.",
            default="10",
            metavar="N",
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
    method: Annotated[
        str | None,
        option(
            panels.SEARCH,
            about="Search method: random or hyperband.",
            default="random",
            complete=values("random", "hyperband"),
            metavar="NAME",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        option(
            panels.SEARCH,
            about="Number of trials of a random search. Hyperband sets its own number.",
            default="20",
            metavar="N",
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        option(
            panels.SEARCH,
            about="Setting to search: learning_rate, augment, head, dropout or freeze. Can be "
            "repeated.",
            default="all that apply to the network",
            complete=values("learning_rate", "augment", "head", "dropout", "freeze"),
            metavar="NAME",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        option(
            panels.SEARCH,
            about="Random seed of the sampled settings.",
            default="0",
            metavar="N",
            min=0,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(
            panels.OUTPUT,
            about="Folder of the search.",
            default="runs/tune-<arch>, numbered if taken",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        option(
            panels.STOPPING,
            about="Folder of an interrupted search to resume. Takes no other settings.",
        ),
    ] = None,
) -> None:
    """Search for better settings on the validation split: a run per trial, a table and best.toml.

    Example: classify tune --manifest data_manifests/videos --arch efficientnetb0 --trials 20

    Example: classify train --config runs/tune-efficientnetb0/best.toml
    """
    from classify.search.tune import VARIED, Search
    from classify.training.run_folder import check_free, new_folder
    from classify.training.settings import TrainSettings, read_config
    from ffpp_tools.splits.manifest import Manifest

    given = {"arch": arch, "weights": weights, "epochs": epochs, "size": size}
    base, named = read_config(config) if config else (TrainSettings(), None)
    base = base.changed(**given)
    searched: dict[str, Any] = {"method": method, "trials": trials, "vary": vary, "seed": seed}
    others = (manifest, config, out, *given.values(), *searched.values())
    if resume and any(value is not None for value in others):
        raise ClassifyError("--resume keeps the search's own settings and takes no other options")
    searched["vary"] = tuple(vary or VARIED)
    search = Search(**{name: value for name, value in searched.items() if value is not None})
    folder = resume or out or new_folder(Path("runs"), f"tune-{base.arch}")
    source = manifest or named or Path("data_manifests/multiclass")
    if not resume:
        Manifest.read(source)  # errors are reported before Keras starts
    start_keras()
    from classify.search import tune as tuning
    from classify.training.display import training_display

    if not resume:
        check_free(folder, tuning.COMMAND)
    log.keep(folder)
    print_line(f"search: {folder}")
    if resume:
        found = tuning.resume(folder, training_display, progress)
    else:
        found = tuning.tune(source, folder, base, search, training_display, progress)
    printing.tuned(found)
    trials = found.trials.to_dict("records")
    print_json({"folder": folder, "best": folder / tuning.BEST, "trials": trials})


def backbones(
    manifest: Annotated[Path, option(panels.DATA, about="Manifest folder, written by ffpp-split.")],
    arch: Annotated[
        list[str] | None,
        option(
            panels.NETWORK,
            about="Backbone to train. Can be repeated.",
            default="all 28",
            complete=BACKBONES,
            metavar="NAME",
        ),
    ] = None,
    fraction: Annotated[
        float,
        option(
            panels.DATA,
            about="Fraction of each class to train and validate on.",
            metavar="X",
        ),
    ] = 0.1,
    weights: Annotated[
        Path | None,
        option(
            panels.NETWORK,
            about="Folder of weights files, named as Keras names them. A backbone whose weights "
            "are neither there nor downloadable gets random weights.",
            default="downloaded",
        ),
    ] = None,
    size: Annotated[
        int, option(panels.NETWORK, about="Side of the input, in pixels.", metavar="N")
    ] = 256,
    batch_size: Annotated[
        int, option(panels.TRAINING, about="Images per training step.", metavar="N")
    ] = 256,
    epochs: Annotated[
        int, option(panels.TRAINING, about="Maximum number of epochs.", metavar="N")
    ] = 10,
    seed: Annotated[
        int,
        option(
            panels.TRAINING,
            about="Random seed of weights, order and augmentation.",
            metavar="N",
            min=0,
        ),
    ] = 0,
    out: Annotated[
        Path,
        option(
            panels.OUTPUT,
            about="Folder of the study. Run the same command again to resume.",
        ),
    ] = Path("runs/backbones"),
) -> None:
    """Compare backbones by the recipe of the 2022 study: frozen, one head, a tenth of the data.

    The recipe is Adam 0.0009, head flatten-758-512-256, augmentation rotate-shift and patience 3.
    Each backbone is a run in OUT/<arch>; OUT/comparison compares them.

    Example: classify study backbones --manifest data_manifests/140k --arch mobilenet --arch vgg16
    """
    from dataclasses import replace

    from ffpp_tools.splits.manifest import Manifest

    Manifest.read(manifest)  # errors are reported before Keras starts
    start_keras()
    from classify.search.study import RECIPE, study_backbones
    from classify.training.display import training_display

    log.keep(out)
    recipe = replace(
        RECIPE, fraction=fraction, size=size, batch_size=batch_size, epochs=epochs, seed=seed
    )
    found = study_backbones(manifest, out, arch or (), recipe, weights, training_display, progress)
    if found.untrained:
        names = ", ".join(found.untrained)
        print_line(f"no pretrained weights for {names}: they stay random", style="yellow")
    for name, why in found.failed.items():
        print_line(f"{name} could not be trained: {why}", style="yellow")
    if found.comparison:
        printing.comparison(found.comparison)
    print_line(f"study: {out}")
    print_json({"folder": out, "untrained": found.untrained, "failed": found.failed})


study_app.command(cls=Command)(with_options(backbones))
