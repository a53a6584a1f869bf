"""ffpp-export: parse, call one function, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import values
from ffpp_tools.cli.options import option
from ffpp_tools.console import counted, log, print_json, print_line, progress

if TYPE_CHECKING:
    from ffpp_tools.exchange.boxes import ExportedBoxes


def export(
    manifest: Annotated[
        Path, typer.Argument(help="Manifest folder; for the format boxes, also a dataset folder.")
    ],
    kind: Annotated[
        str,
        option(
            panels.OUTPUT,
            "--format",
            about="imagefolder (a folder of images per class, for torchvision and Hugging Face), "
            "webdataset (tar files), croissant (metadata and a dataset card, without images), or "
            "boxes (a table without images, for ffpp-extract --boxes).",
            complete=values("imagefolder", "webdataset", "croissant", "boxes"),
            metavar="NAME",
        ),
    ],
    out: Annotated[
        Path,
        option(
            panels.OUTPUT,
            about="Folder to write to, new or empty; for croissant also the manifest's folder, for "
            "boxes also a file (.parquet).",
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
    """Write a manifest's crops and labels, its description or its boxes for other tools.

    Every exported image is compared with its recorded hash, and keeps the terms of its dataset.

    Example: ffpp-export data_manifests/videos --format imagefolder --out exported

    Example: ffpp-export dataset --format boxes --out boxes.parquet
    """
    from ffpp_tools.exchange import boxes
    from ffpp_tools.exchange.export import FORMATS, NOTICE, check_options, export_manifest
    from ffpp_tools.splits.manifest import Manifest

    options = {"copy": copy or None, "shard_size": shard_size, "seed": seed, "creator": creator}
    given = {name: value for name, value in options.items() if value is not None}
    check_options(kind, given)
    if kind == boxes.NAME:
        _told(boxes.export_boxes(manifest, out))
        return
    made = export_manifest(Manifest.read(manifest), kind, out, given, progress)
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


def _told(made: ExportedBoxes) -> None:
    """Print what a table of boxes holds."""
    print_line(
        f"exported the boxes of {counted(made.crops, 'crop')} in {counted(made.frames, 'frame')} "
        f"of {counted(made.clips, 'clip')}, without images: {made.path}"
    )
    if made.stills:
        print_line(f"{counted(made.stills, 'still')} left out: boxes are those of videos", "yellow")
    about = {"crops": made.crops, "frames": made.frames, "clips": made.clips}
    print_json({"file": made.path, "format": "boxes", **about, "stills_left_out": made.stills})
