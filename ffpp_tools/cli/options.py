"""Options that several ffpp-* commands declare alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

CPUS = os.cpu_count() or 1

Data = Annotated[
    Path | None,
    typer.Argument(
        help="Folder of FF++, Celeb-DF or DFDC.",
        show_default="$FFPP_DATA, else ./data/FaceForensics++",
    ),
]
ShowFaces = Annotated[bool, typer.Option(help="Show faces on the pages that are written.")]
Processes = Annotated[int, typer.Option("--workers", min=1, help="Processes side by side.")]
Out = Annotated[Path, typer.Option(help="Dataset folder; several sources may share one.")]
Margin = Annotated[float, typer.Option(help="Side of the crop, in longer sides of the face box.")]
Shape = Annotated[str, typer.Option(help="square, or box (with --margin 1.0 the bare face box).")]
MinFace = Annotated[int, typer.Option(min=0, help="Leave out faces below so many pixels.")]
Align = Annotated[
    bool, typer.Option("--align", help="Turn and scale to fixed eyes, 256 pixels square.")
]
Size = Annotated[
    str, typer.Option(help="Scale every crop, such as to 480x320.", show_default="as it is")
]
Format = Annotated[str, typer.Option("--format", help="png, or jpg.")]
DetectorName = Annotated[str, typer.Option(help="hog, or cnn (finds turned faces; wants a GPU).")]
Search = Annotated[
    str, typer.Option(help="fast, or full: exactly the boxes of face_recognition, 20 times slower.")
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many of each category and compression.")
]
Backend = Annotated[
    str, typer.Option(help="local: processes of this machine; dask: a cluster's workers.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of the Dask scheduler, such as tcp://10.0.0.1:8786.")
]
MaxPixels = Annotated[
    int,
    typer.Option(min=1, help="Refuse what declares more pixels: width times height of a frame."),
]
Retry = Annotated[
    str | None, typer.Option(help="failed: try again what could not be read the last time.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Delete what this command has made before.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Only check the dataset folder's files and tables.")
]
