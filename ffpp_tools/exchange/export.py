"""`ffpp-export`: a manifest's crops and rows, or its description, in a format of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffpp_tools.errors import FfppError, SettingsError, check_choice
from ffpp_tools.exchange import boxes, croissant, imagefolder, webdataset
from ffpp_tools.exchange.crops import Progress, crop_tables, no_progress
from ffpp_tools.files import delete_temporary_files, sync_to_disk, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.incomplete import delete, has_foreign_files, unmark, writing_folder

COMMAND = "ffpp-export"
ABOUT, NOTICE = "about.json", "NOTICE.txt"


@dataclass(frozen=True)
class Format:
    """A format: its module's functions, and the options that they take."""

    written: Callable[..., list[str]]  # (tables, options) → names of what `write` creates
    write: Callable[..., int]  # (tables, folder, options) → number of hard links
    layout: str  # of the files, for the terminal
    options: tuple[str, ...] = ()
    has_images: bool = True  # else it describes the manifest, and may be written to its folder


FORMATS = {
    "imagefolder": Format(
        imagefolder.written, imagefolder.write, imagefolder.LAYOUT, options=("copy",)
    ),
    "webdataset": Format(
        webdataset.written, webdataset.write, webdataset.LAYOUT, options=("shard_size", "seed")
    ),
    "croissant": Format(
        croissant.written,
        croissant.write,
        croissant.LAYOUT,
        options=("creator",),
        has_images=False,
    ),
}
NAMES = (*FORMATS, boxes.NAME)  # `boxes` has no crops, and is written by its own module


@dataclass(frozen=True)
class Exported:
    """An export that is complete."""

    folder: Path
    format: str
    samples: dict[str, int]  # split → number of samples
    linked: int  # number of crops that are hard links to the dataset's files
    categories: tuple[str, ...]
    has_images: bool


def export_manifest(
    manifest: Manifest,
    format: str,
    folder: Path,
    options: dict[str, Any] | None = None,
    progress: Progress = no_progress,
) -> Exported:
    """Write the crops and rows of a manifest, or its description, in a format of other tools.

    Every crop that is written is compared with its recorded hash. Nothing is left in `folder` if
    the export fails or is interrupted.

    Args:
        manifest: the manifest to export.
        format: a key of `FORMATS`.
        folder: the folder to create; the manifest's own for a format without images.
        options: option of the format → value; None for its default.
        progress: shows the progress over the crops of a split.

    Raises:
        SettingsError: the format is unknown, or does not have an option.
        TableError, CropError: the manifest or its dataset has changed, or a crop is missing.
        FfppError: the folder is not empty, or cannot be written to.
    """
    options = {name: value for name, value in (options or {}).items() if value is not None}
    check_choice("format", format, tuple(FORMATS))
    check_options(format, options)
    chosen = FORMATS[format]
    own = not chosen.has_images and folder.resolve() == manifest.folder.resolve()
    if not own and has_foreign_files(folder, COMMAND):
        raise FfppError(f"{folder} is not empty: choose another --out")
    tables = crop_tables(manifest, progress)
    samples = {table.split: len(table) for table in tables}
    categories = tuple(sorted(set().union(*manifest.info["categories"].values())))
    names = chosen.written(tables, **options)
    if chosen.has_images:
        names += [NOTICE, ABOUT]
    with writing_folder(folder, COMMAND, names):
        try:
            linked = chosen.write(tables, folder, **options)
            if chosen.has_images:
                sync_to_disk(folder)
                write_atomically(folder / NOTICE, notice(categories).encode())
                about = _about(manifest, format, samples, options)
                write_atomically(folder / ABOUT, (json.dumps(about, indent=2) + "\n").encode())
        except BaseException:
            for name in names:
                delete(folder / name)
            delete_temporary_files(folder)
            unmark(folder)
            raise
    return Exported(folder, format, samples, linked, categories, chosen.has_images)


def check_options(format: str, options: Iterable[str]) -> None:
    """Check that a format exists and has all options.

    Raises:
        SettingsError: it does not.
    """
    check_choice("format", format, NAMES)
    own = FORMATS[format].options if format in FORMATS else ()
    for name in options:
        if name not in own:
            owners = [other for other, f in FORMATS.items() if name in f.options]
            raise SettingsError(
                f"--{name.replace('_', '-')} is an option of the format {', '.join(owners)}, not "
                f"of {format}"
            )


def notice(categories: tuple[str, ...]) -> str:
    """Return the text of the notice on the terms of the images."""
    return (
        f"The images in this folder are crops of faces from {', '.join(categories)}.\n"
        "They show real people, unless they were drawn by ffpp-demo.\n"
        "\n"
        "The terms of the datasets that they come from apply to these copies as well: the\n"
        "FaceForensics Terms of Use, CelebA's agreement (non-commercial research only, no\n"
        "redistribution), and those of any other dataset named above. Do not publish this folder\n"
        "or pass it on unless these terms and the law allow it.\n"
    )


def _about(
    manifest: Manifest, format: str, samples: dict[str, int], options: dict[str, Any]
) -> dict[str, Any]:
    """Return what other programs need to know about the exported manifest."""
    return {
        "manifest": manifest.folder.resolve().name,
        "manifest_sha256": manifest.sha256,
        "summary": manifest.info["summary"],
        "format": format,
        "options": options,
        "classes": {name: index for index, name in enumerate(manifest.classes)},
        "labels": manifest.classes,
        "samples": samples,
    }
