"""Options and completions shared by several `classify` commands.

An option that is None was not given on the command line, so that the value in a configuration
file, or in the run that `--resume` names, applies. The help only describes its default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import SPLITS, values, values_of
from ffpp_tools.cli.options import option

ARCHS = values_of("classify.models:ARCHITECTURES")
BACKBONES = values_of("classify.models.backbones:BACKBONES")
AUGMENTATIONS = values_of("classify.data.augment:PRESETS")
JIT = values_of("classify.training.settings:Jit")
WEIGHTS = values("imagenet", "noisy-student", "none")

RunFolder = Annotated[Path, typer.Argument(help="Run folder.")]
ManifestFolder = Annotated[
    Path | None,
    option(
        panels.DATA,
        about="Manifest folder, written by ffpp-split.",
        default="data_manifests/multiclass",
    ),
]
Split = Annotated[
    str,
    option(
        panels.DATA,
        about="Split of the manifest: test, val or train.",
        complete=SPLITS,
        metavar="SPLIT",
    ),
]
MixedPrecision = Annotated[
    bool | None,
    option(panels.MACHINE, about="Compute in half precision. Faster on GPUs, slower on CPUs."),
]
Jit = Annotated[
    str | None,
    option(
        panels.MACHINE,
        about="Compile the training step: auto, on or off.",
        default="auto",
        complete=JIT,
        metavar="WHEN",
    ),
]
