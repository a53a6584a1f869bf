"""Output of commands: on the terminal, in log.txt of the output folder, and as JSON."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import rich.console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ffpp_tools.files import occupied, regular_file

LOG = "log.txt"
LINE_S = 10.0  # seconds between two lines of progress if the output is not a terminal
WIDTH = 160  # columns of a table in a file, which has no terminal width

# Characters that a terminal interprets: control characters except tab and newline, bidirectional
# controls, and line separators; also lone surrogates, which cannot be encoded in a file.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_controls(text: str) -> str:
    r"""Escape control characters, which file names may contain.

    >>> print(escape_controls(chr(27) + "[31mred"))
    \x1b[31mred
    """
    return CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def in_a_line(text: object) -> str:
    r"""Escape control characters and newlines.

    >>> print(in_a_line("one" + chr(10) + "other"))
    one\nother
    """
    return escape_controls(str(text)).replace("\n", "\\n")


class Console(rich.console.Console):
    """A console that escapes control characters in everything it prints."""

    def render(self, *args: Any, **options: Any) -> Iterable[Segment]:
        """Render as Rich does, with escapes; Rich adds its own colour codes after this step."""
        for segment in super().render(*args, **options):
            yield (
                segment if segment.control else segment._replace(text=escape_controls(segment.text))
            )


console = Console()
if not console.is_terminal and "COLUMNS" not in os.environ:
    console = Console(width=WIDTH)


class Log:
    """The output of a command, written to log.txt in a folder.

    The log never creates the folder: lines are buffered until the folder contains another file.
    """

    def __init__(self) -> None:
        """Start without a folder; lines are buffered."""
        self.folder: Path | None = None
        self._buffer = ""
        self._tables = Console(file=self, width=WIDTH, no_color=True, force_terminal=False)  # type: ignore[arg-type]

    def keep(self, folder: Path) -> None:
        """Write to this folder from now on, buffered lines included."""
        self.folder = folder
        self.flush()

    def line(self, text: str) -> None:
        """Add a line with the time; a traceback may span several lines."""
        self.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {escape_controls(text)}\n")

    def table(self, table: Table) -> None:
        """Add a table."""
        self._tables.print(table)

    def write(self, text: str) -> None:
        """Add text."""
        self._buffer += text
        self.flush()

    def flush(self) -> None:
        """Write buffered text to the file; write errors are ignored."""
        with suppress(OSError):
            if self.folder and self._buffer and occupied(self.folder):
                with regular_file(self.folder / LOG).open(
                    "a", encoding="utf-8", errors="backslashreplace"
                ) as file:
                    file.write(self._buffer)
                self._buffer = ""


log = Log()


class _JsonOutput:
    """Whether `--json` was given."""

    requested = False

    def request(self) -> None:
        """Reserve standard output for the JSON object; all other output goes to standard error."""
        self.requested = True
        console.file = sys.stderr


_json_output = _JsonOutput()
want_json = _json_output.request


def print_json(values: Any) -> None:
    """Print values as one JSON object if `--json` was given."""
    if _json_output.requested:
        text = json.dumps(jsonable(values), indent=2, ensure_ascii=False) + "\n"
        sys.stdout.write(CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text))
        sys.stdout.flush()


def jsonable(value: Any) -> Any:
    """Make a value JSON-serialisable: paths as text, NumPy as Python scalars, non-finite as None.

    >>> jsonable({"a": (float("nan"), Path("b"))})
    {'a': [None, 'b']}
    """
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def print_line(text: str, style: str | None = None) -> None:
    """Print a line without wrapping, markup or highlighting, and log it."""
    text = in_a_line(text)
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    log.line(text)


def print_table(table: Table) -> None:
    """Print and log a table."""
    console.print(table)
    log.table(table)


@contextmanager
def live_status(text: str) -> Iterator[Callable[[str], None]]:
    """Show progress: a live status line in a terminal, else a line every `LINE_S` seconds.

    Yields:
        A function that updates the text.
    """
    printed_at = time.monotonic()

    def update(text: str) -> None:
        nonlocal printed_at
        status.update(Text(text))
        if not console.is_terminal and time.monotonic() - printed_at >= LINE_S:
            print_line(text)
            printed_at = time.monotonic()

    with console.status(Text(text)) as status:
        yield update


def counted(count: int, noun: str) -> str:
    """Format a count with its noun, in the plural unless the count is 1.

    >>> counted(1, "group"), counted(7, "clip")
    ('1 group', '7 clips')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def progress(description: str) -> Callable[[Iterable[Any], int | None], Iterable[Any]]:
    """Return a function that yields items and shows a progress bar, given their total if known."""

    def tracked(items: Iterable[Any], total: int | None) -> Iterable[Any]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
            yield from bar.track(items, total=total, description=description)

    return tracked
