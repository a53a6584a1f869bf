"""What every command shares: a console, and errors told in one line."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

console = Console()
INTERRUPTED = 130  # the exit status of a shell's Ctrl-C


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
