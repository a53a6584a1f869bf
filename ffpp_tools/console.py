"""What every command shares: a console, and errors told in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import typer
from rich.console import Console

console = Console()
if not console.is_terminal and "COLUMNS" not in os.environ:
    console = Console(width=160)  # a log file has no edge to wrap at
INTERRUPTED = 130  # the exit status of a shell's Ctrl-C


def say(text: str, style: str | None = None) -> None:
    """Print a line as it is: paths are not wrapped, and nothing in them is markup."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def counted(count: int, what: str) -> str:
    """A number and what it counts.

    >>> counted(1, "group"), counted(7, "clip")
    ('1 group', '7 clips')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def run_script(app: typer.Typer, errors: tuple[type[Exception], ...], interrupted: str) -> None:
    """Run a command line; an error for people becomes one line and exit status 1.

    Args:
        app: the command line.
        errors: what is told in one line; anything else is a bug and shows its traceback.
        interrupted: what to say after Ctrl-C; the exit status is 130.
    """
    stderr = Console(stderr=True, soft_wrap=True)
    try:
        app()
    except errors as error:
        stderr.print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            stderr.print(f"interrupted; {interrupted}", markup=False, highlight=False)
        raise


def progress(what: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """A function that passes an iterable of known length through and shows how far it is."""

    def shown(items: Iterable[Any], total: int) -> Iterable[Any]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
            yield from bar.track(items, total=total, description=what)

    return shown
