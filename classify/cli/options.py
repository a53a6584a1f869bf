"""Command line options that several commands declare alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

ManifestFolder = Annotated[
    Path | None,
    typer.Option(help="Folder that ffpp-split wrote.", show_default="data_manifests/multiclass"),
]


def option(about: str, default: object) -> Any:
    """An option that is None where it is not given, and what then stands in its place.

    So it is told from one that was given: a configuration, or what `--resume` reads, goes between.
    """
    return typer.Option(help=f"{about}.", show_default=str(default))
