"""Options shared by several ffpp-* commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import Completer, values, values_of
from ffpp_tools.errors import SettingsError
from ffpp_tools.script import option_names

CPUS = os.cpu_count() or 1


def option(
    panel: str,
    *names: str,
    about: str,
    default: bool | str = True,
    complete: Completer | None = None,
    metavar: str | None = None,
    **limits: Any,
) -> Any:
    """An option of a panel of the help.

    Args:
        panel: a name from `panels`.
        names: if they differ from the parameter's.
        about: what the value is, and its unit.
        default: a description of the default; True shows the value itself.
        complete: the values that a shell offers.
        metavar: what the help shows for the value, instead of its type.
        limits: `min` and `max` of a number.
    """
    return typer.Option(
        *names,
        help=about,
        show_default=default,
        autocompletion=complete,
        metavar=metavar,
        rich_help_panel=panel,
        **limits,
    )


Data = Annotated[
    Path | None,
    typer.Argument(
        help="Folder of FaceForensics++, Celeb-DF or DFDC.",
        show_default="$FFPP_DATA, else ./data/FaceForensics++",
    ),
]
ShowFaces = Annotated[bool, option(panels.OUTPUT, about="Show face images on the pages it writes.")]
Processes = Annotated[
    int,
    option(panels.MACHINE, "--workers", about="Number of worker processes.", metavar="N", min=1),
]
Out = Annotated[
    Path, option(panels.OUTPUT, about="Dataset folder. Several sources can share one folder.")
]


def _apply_profile(context: typer.Context, name: str | None) -> str | None:
    """Make the options of a profile the defaults of this command."""
    if name is None or context.resilient_parsing:
        return name
    from ffpp_tools.cli.profiles import read

    parameters = option_names(context)
    options = read(name).options("clips" if "every" in parameters else "stills")
    if unknown := [key for key in options if key not in parameters]:
        raise SettingsError(f"profile {name}: unknown option {', '.join(unknown)}")
    values = {parameters[key]: value for key, value in options.items()}
    context.default_map = {**values, **(context.default_map or {})}
    return name


ProfileName = Annotated[
    str | None,
    option(
        panels.FACES,
        about="Options that belong together: default, paper (bare boxes, whole photographs) or "
        "deepfakebench (32 aligned frames per clip), or a .toml file. Other options override it.",
        complete=values_of("ffpp_tools.cli.profiles:names"),
        metavar="NAME",
        default=False,
        callback=_apply_profile,
        is_eager=True,
    ),
]
Margin = Annotated[
    float,
    option(
        panels.FACES,
        about="Side of the crop, as a multiple of the face box's longer side.",
        metavar="X",
    ),
]
Shape = Annotated[
    str,
    option(
        panels.FACES,
        about="Shape of the crop: square, or box. box with --margin 1.0 is the bare face box.",
        complete=values_of("ffpp_tools.faces.crop:Shape"),
        metavar="SHAPE",
    ),
]
MinFace = Annotated[
    int,
    option(
        panels.FACES,
        about="Minimum face size: the longer side of the face box, in pixels.",
        metavar="N",
        min=0,
    ),
]
Align = Annotated[
    bool,
    option(
        panels.FACES,
        "--align/--no-align",
        about="Rotate and scale each face so that its eyes are at fixed positions in a crop of "
        "256 × 256 pixels.",
    ),
]
AlignmentName = Annotated[
    str,
    option(
        panels.FACES,
        about="What --align maps: eyes, or deepfakebench (five landmarks, as DeepfakeBench does).",
        complete=values_of("ffpp_tools.faces.crop:Alignment"),
        metavar="NAME",
    ),
]
Size = Annotated[
    str,
    option(
        panels.FACES,
        about="Resize every crop to WIDTHxHEIGHT pixels, such as 480x320.",
        default="original size",
        metavar="WxH",
    ),
]
Landmarks = Annotated[
    bool,
    option(
        panels.FACES,
        "--landmarks",
        about="Measure 68 facial landmarks in every crop, and write them to landmarks.parquet.",
    ),
]
Format = Annotated[
    str,
    option(
        panels.FACES,
        "--format",
        about="Image format of the crops: png or jpg.",
        complete=values_of("ffpp_tools.faces.crop:Format"),
        metavar="FORMAT",
    ),
]
DetectorName = Annotated[
    str,
    option(
        panels.FACES,
        about="Face detector: hog, cnn or yunet. cnn and yunet also find turned faces. cnn is slow "
        "without a GPU, yunet is fast and needs --detector-model.",
        complete=values_of("ffpp_tools.faces.detect:DETECTORS"),
        metavar="NAME",
    ),
]
DetectorModel = Annotated[
    Path | None,
    option(
        panels.FACES,
        about="Model file of the detector yunet, face_detection_yunet_2026may.onnx or "
        "face_detection_yunet_2023mar.onnx from OpenCV Zoo (MIT licence).",
        default=False,
        metavar="FILE",
    ),
]
Search = Annotated[
    str,
    option(
        panels.FACES,
        about="How the detector searches a frame: fast, or full. full gives exactly the boxes of "
        "face_recognition and is 20 times slower.",
        complete=values_of("ffpp_tools.faces.detect:Search"),
        metavar="NAME",
    ),
]
Limit = Annotated[
    int | None,
    option(
        panels.EXTRACT,
        about="Maximum number of files of each category (and compression).",
        default="no limit",
        metavar="N",
        min=1,
    ),
]
Backend = Annotated[
    str,
    option(
        panels.MACHINE,
        about="Where workers run: local (processes on this machine) or dask (a cluster).",
        complete=values("local", "dask"),
        metavar="NAME",
    ),
]
Scheduler = Annotated[
    str | None,
    option(
        panels.MACHINE,
        about="Address of the Dask scheduler, such as tcp://10.0.0.1:8786.",
        metavar="ADDRESS",
    ),
]
MaxPixels = Annotated[
    int,
    option(
        panels.MACHINE,
        about="Maximum frame size, width times height in pixels. Larger files are rejected.",
        metavar="N",
        min=1,
    ),
]
Retry = Annotated[
    str | None,
    option(
        panels.OUTPUT,
        about="failed: retry what could not be read in an earlier run.",
        complete=values("failed"),
        metavar="WHAT",
    ),
]
Overwrite = Annotated[
    bool,
    option(
        panels.OUTPUT, "--overwrite", about="Delete what this command wrote before and start over."
    ),
]
Verify = Annotated[
    bool,
    option(
        panels.OUTPUT,
        "--verify",
        about="Only check the dataset folder's files and tables; extract nothing.",
    ),
]
