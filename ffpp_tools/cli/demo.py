"""ffpp-demo: parse, call one function, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ffpp_tools.cli import panels
from ffpp_tools.cli.completion import COMPRESSIONS
from ffpp_tools.cli.options import CPUS, Processes, option
from ffpp_tools.console import console, log, print_json, print_line


def demo(
    out: Annotated[Path, option(panels.OUTPUT, about="Folder to write to, new or empty.")] = Path(
        "demo"
    ),
    people: Annotated[
        int,
        option(panels.DATA, about="Number of people to draw, even.", metavar="N", min=6),
    ] = 20,
    seconds: Annotated[
        float,
        option(
            panels.DATA,
            about="Approximate length of a clip, in seconds.",
            metavar="SECONDS",
            min=1,
        ),
    ] = 4.0,
    compression: Annotated[
        list[str] | None,
        option(
            panels.DATA,
            about="Compression of the clips: raw, c23 or c40. Can be repeated.",
            default="c23",
            complete=COMPRESSIONS,
            metavar="NAME",
        ),
    ] = None,
    seed: Annotated[
        int,
        option(panels.DATA, about="Random seed of the people drawn.", metavar="N", min=0),
    ] = 0,
    workers: Processes = CPUS,
) -> None:
    """Draw a small dataset in FF++'s folder layout, with fakes, masks and stills. Needs no data.

    Example: ffpp-demo --out demo
    """
    from ffpp_tools.demo import draw_world

    with console.status(f"drawing {people} people and their fakes"):
        draw_world(out, people, seconds, compression or ["c23"], seed, workers)
    log.keep(out)
    drawn = [out / name for name in ("FaceForensics++", "CelebA", "CelebA-HQ")]
    print_line(f"drawn: {', '.join(map(str, drawn))}")
    print_json({"folder": out, "drawn": drawn})
