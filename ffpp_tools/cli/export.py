"""ffpp-export: parse, call one function, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import values
from ffpp_tools.cli.options import option
from ffpp_tools.console import counted, log, print_json, print_line, progress


def export(
    manifest: Annotated[Path, typer.Argument(help="Manifest folder.")],
    kind: Annotated[
        str,
        option(
            panels.OUTPUT,
            "--format",
            about="imagefolder (a folder of images per class, for torchvision and Hugging Face), "
            "webdataset (tar files) or croissant (metadata and a dataset card, without images).",
            complete=values("imagefolder", "webdataset", "croissant"),
            metavar="NAME",
        ),
    ],
    out: Annotated[
        Path,
        option(
            panels.OUTPUT,
            about="Folder to write to, new or empty; for croissant also the manifest's folder.",
        ),
    ],
    copy: Annotated[
        bool,
        option(
            panels.OUTPUT,
            "--copy",
            about="Copy the crops instead of creating hard links (imagefolder only).",
        ),
    ] = False,
    shard_size: Annotated[
        int | None,
        option(
            panels.OUTPUT,
            about="Number of samples per tar file (webdataset only).",
            default="1000",
            metavar="N",
            min=1,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        option(
            panels.OUTPUT,
            about="Random seed of the order of the samples (webdataset only).",
            default="0",
            metavar="N",
            min=0,
        ),
    ] = None,
    creator: Annotated[
        str | None,
        option(
            panels.OUTPUT,
            about="Person or organisation that made the manifest (croissant only).",
            default="not stated",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Write a manifest's crops and labels, or its description, in a format of other tools.

    Every crop is compared with its recorded hash. The images keep the terms of their datasets.

    Example: ffpp-export data_manifests/videos --format imagefolder --out exported
    """
    from ffpp_tools.exchange.export import FORMATS, NOTICE, export_manifest
    from ffpp_tools.splits.manifest import Manifest

    options = {
        "copy": copy or None,
        "shard_size": shard_size,
        "seed": seed,
        "creator": creator,
    }
    made = export_manifest(Manifest.read(manifest), kind, out, options, progress)
    log.keep(out)
    counts = ", ".join(f"{n} in {split}" for split, n in made.samples.items())
    linked = f" ({counted(made.linked, 'hard link')})" if made.linked else ""
    verb = "exported" if made.has_images else "described"
    print_line(f"{verb} {counts}{linked}: {out}/{FORMATS[kind].layout}")
    if made.has_images:
        print_line(
            f"images of people from {', '.join(made.categories)}: the terms of these datasets "
            f"apply to the copies as well ({out / NOTICE})",
            "yellow",
        )
    print_json({"folder": out, "format": kind, "samples": made.samples, "linked": made.linked})
