"""Progress of an extraction: a live status line in a terminal, else a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from ffpp_tools.console import console, counted, live_status, print_line
from ffpp_tools.extraction.workers import Tally


def tally_progress(what: str, total: int) -> Callable[[Iterable[Tally], int, int], Iterator[Tally]]:
    """Return a function that passes tallies through and shows their sum.

    Args:
        what: "clips" or "stills".
        total: the number requested, including those that an earlier run has extracted.
    """

    def pass_through(tallies: Iterable[Tally], units: int, size: int) -> Iterator[Tally]:
        start = time.monotonic()
        done = Tally()
        if units < total:
            print_line(f"{what}: {total - units} of {total} were extracted before")
        if units and not console.is_terminal:
            print_line(f"{what}: 0/{units}")
        with live_status(f"{what}: 0/{units}") as update:
            for tally in tallies:
                done = done + tally
                update(f"{what}: {_line(done, units, size, time.monotonic() - start)}")
                yield tally
        if units:
            print_line(f"{what}: {_line(done, units, size, time.monotonic() - start)}")

    return pass_through


def _line(done: Tally, units: int, size: int, elapsed_s: float) -> str:
    """Format the progress.

    >>> _line(Tally(10, 600, 7, 25), 40, 100, 60.0)
    '10/40, 600 crops, 7 misses, 10.0 crops/s, 0:03:00 left'
    >>> _line(Tally(1, 1, 1, 1), 1, 1, 1.0)
    '1/1, 1 crop, 1 miss, 1.0 crops/s'
    """
    rate = done.crops / elapsed_s if elapsed_s else 0.0
    misses = f"{done.misses} miss{'' if done.misses == 1 else 'es'}"
    text = f"{done.units}/{units}, {counted(done.crops, 'crop')}, {misses}, {rate:.1f} crops/s"
    if not 0 < done.size < size:
        return text
    left = timedelta(seconds=round(elapsed_s * (size - done.size) / done.size))
    return f"{text}, {left} left"
