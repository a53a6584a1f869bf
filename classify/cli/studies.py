"""The commands that train many networks: `classify tune` and `classify study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from classify.cli import printing
from classify.cli.options import ManifestFolder, option
from classify.cli.start_keras import start_keras
from classify.errors import ClassifyError
from ffpp_tools.console import log, print_json, print_line, progress
from ffpp_tools.script import with_options

study_app = typer.Typer(help="Train many networks by one recipe.", no_args_is_help=True)


def tune(
    manifest: ManifestFolder = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with settings that are not varied, as config.toml of a run."),
    ] = None,
    arch: Annotated[str | None, option("Network", "efficientnetb0")] = None,
    weights: Annotated[str | None, option("As in train", "imagenet where there is one")] = None,
    epochs: Annotated[int | None, option("The most that a trial is trained", "10")] = None,
    size: Annotated[int | None, option("Side of the input in pixels", "the network's")] = None,
    method: Annotated[str | None, option("random, or hyperband", "random")] = None,
    trials: Annotated[
        int | None, option("Of a random search; hyperband has its own number", "20")
    ] = None,
    vary: Annotated[
        list[str] | None,
        option(
            "A setting to search: learning_rate, augment, head, dropout, freeze; repeat it",
            "all that the network has",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of what is drawn.", show_default="0")
    ] = None,
    out: Annotated[Path | None, option("Folder", "runs/tune-<arch>, or the next")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this search, which was interrupted.")
    ] = None,
) -> None:
    """Search for better settings, on validation alone: a run per trial, a table, best.toml.

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
        raise ClassifyError(
            "--resume keeps the search's own settings: give it nothing but a folder"
        )
    searched["vary"] = tuple(vary or VARIED)
    search = Search(**{name: value for name, value in searched.items() if value is not None})
    folder = resume or out or new_folder(Path("runs"), f"tune-{base.arch}")
    source = manifest or named or Path("data_manifests/multiclass")
    if not resume:
        Manifest.read(source)  # what is wrong is told before Keras starts
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
    manifest: Annotated[Path, typer.Option(help="Folder that ffpp-split wrote.")],
    arch: Annotated[
        list[str] | None,
        typer.Option(help="A backbone; repeat it for more.", show_default="all 28"),
    ] = None,
    fraction: Annotated[
        float, typer.Option(help="Share of every class to train and validate on.")
    ] = 0.1,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Folder of weights files, called as Keras calls them. What cannot be had "
            "either way keeps random weights.",
            show_default="downloaded",
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the input in pixels.")] = 256,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 256,
    epochs: Annotated[int, typer.Option(help="At most so many.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and augmentation.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder; the same command goes on in it.")] = Path(
        "runs/backbones"
    ),
) -> None:
    """Compare backbones by the recipe of the 2022 study: frozen, one head, a tenth of the data.

    Adam 0.0009, head flatten-758-512-256, augmentation rotate-shift, patience 3. Each is a run in
    OUT/<arch>, and OUT/comparison compares them.

    Example: classify study backbones --manifest data_manifests/140k --arch mobilenet --arch vgg16
    """
    from dataclasses import replace

    from ffpp_tools.splits.manifest import Manifest

    Manifest.read(manifest)  # what is wrong is told before Keras starts
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
        print_line(
            f"no pretrained weights could be had for {names}: random features", style="yellow"
        )
    for name, why in found.failed.items():
        print_line(f"{name} could not be trained: {why}", style="yellow")
    if found.comparison:
        printing.comparison(found.comparison)
    print_line(f"study: {out}")
    print_json({"folder": out, "untrained": found.untrained, "failed": found.failed})


study_app.command()(with_options(backbones))
