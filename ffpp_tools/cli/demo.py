"""ffpp-demo: parse, call one function, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffpp_tools.cli.options import CPUS, Processes
from ffpp_tools.console import console, log, print_json, print_line


def demo(
    out: Annotated[Path, typer.Option(help="A new or empty folder.")] = Path("demo"),
    people: Annotated[int, typer.Option(min=6, help="How many people; even.")] = 20,
    seconds: Annotated[float, typer.Option(min=1, help="About how long a clip lasts.")] = 4.0,
    compression: Annotated[
        list[str] | None, typer.Option(help="raw, c23 or c40; may be repeated.", show_default="c23")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another world.")] = 0,
    workers: Processes = CPUS,
) -> None:
    """Draw a small FF++-shaped world, with fakes, masks and stills. Needs no data.

    Example: ffpp-demo --out demo
    """
    from ffpp_tools.demo import draw_world

    with console.status(f"drawing {people} people and their fakes"):
        draw_world(out, people, seconds, compression or ["c23"], seed, workers)
    log.keep(out)
    drawn = [out / name for name in ("FaceForensics++", "CelebA", "CelebA-HQ")]
    print_line(f"drawn: {', '.join(map(str, drawn))}")
    print_json({"folder": out, "drawn": drawn})
