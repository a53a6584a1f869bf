"""How far an extraction is: a line that moves in a terminal, one every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from ffpp_tools.console import console, counted, live_status, print_line
from ffpp_tools.extraction.workers import Tally


def tally_progress(what: str, total: int) -> Callable[[Iterable[Tally], int, int], Iterator[Tally]]:
    """A function that passes tallies through and shows what they add up to.

    Args:
        what: clips or stills.
        total: how many were asked for, those that an earlier run has done among them.
    """

    def pass_through(tallies: Iterable[Tally], units: int, size: int) -> Iterator[Tally]:
        start = time.monotonic()
        done = Tally()
        if units < total:
            print_line(f"{what}: {total - units} of {total} were done before")
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


def _line(done: Tally, units: int, size: int, passed_s: float) -> str:
    """The state in words.

    >>> _line(Tally(10, 600, 7, 25), 40, 100, 60.0)
    '10/40, 600 crops, 7 misses, 10.0 crops/s, 0:03:00 left'
    >>> _line(Tally(1, 1, 1, 1), 1, 1, 1.0)
    '1/1, 1 crop, 1 miss, 1.0 crops/s'
    """
    rate = done.crops / passed_s if passed_s else 0.0
    misses = f"{done.misses} miss{'' if done.misses == 1 else 'es'}"
    text = f"{done.units}/{units}, {counted(done.crops, 'crop')}, {misses}, {rate:.1f} crops/s"
    if not 0 < done.size < size:
        return text
    left = timedelta(seconds=round(passed_s * (size - done.size) / done.size))
    return f"{text}, {left} left"
