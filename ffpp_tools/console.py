"""What a command says: on the terminal, in the log of the folder it writes to, and as JSON."""

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
LINE_S = 10.0  # between two lines of progress where there is no terminal
WIDTH = 160  # of lines in a file, which has no edge to wrap at

# What a terminal obeys instead of showing it: control characters but tab and newline, what turns
# the direction of writing, separators of lines; and halves of characters, which no file can hold.
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_controls(text: str) -> str:
    r"""A text whose control characters are written out: names of files may hold any.

    >>> print(visible(chr(27) + "[31mred"))
    \x1b[31mred
    """
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_a_line(text: object) -> str:
    r"""The same, newlines too.

    >>> print(in_a_line("one" + chr(10) + "other"))
    one\nother
    """
    return escape_controls(str(text)).replace("\n", "\\n")


class Console(rich.console.Console):
    """A console that shows control characters of whatever it is given, and obeys none."""

    def render(self, *args: Any, **given: Any) -> Iterable[Segment]:
        """As Rich does: everything that is printed passes here, its own colours come later."""
        for segment in super().render(*args, **given):
            yield (
                segment if segment.control else segment._replace(text=escape_controls(segment.text))
            )


console = Console()
if not console.is_terminal and "COLUMNS" not in os.environ:
    console = Console(width=WIDTH)


class Log:
    """What a command has said so far, and goes on to say, in log.txt of a folder.

    The file is never what makes a folder: until something else lies there, lines are held back.
    """

    def __init__(self) -> None:
        """Belongs to no folder yet."""
        self.folder: Path | None = None
        self._held = ""
        self._tables = Console(file=self, width=WIDTH, no_color=True, force_terminal=False)  # type: ignore[arg-type]

    def keep(self, folder: Path) -> None:
        """Write to this folder, what was said before included."""
        self.folder = folder
        self.flush()

    def line(self, text: str) -> None:
        """Add a line with the time; more than one where it is a traceback."""
        self.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {escape_controls(text)}\n")

    def table(self, table: Table) -> None:
        """Add a table."""
        self._tables.print(table)

    def write(self, text: str) -> None:
        """Add text."""
        self._held += text
        self.flush()

    def flush(self) -> None:
        """Bring what is held to the file; a log that cannot be written stops nothing."""
        with suppress(OSError):
            if self.folder and self._held and occupied(self.folder):
                with regular_file(self.folder / LOG).open(
                    "a", encoding="utf-8", errors="backslashreplace"
                ) as file:
                    file.write(self._held)
                self._held = ""


log = Log()


class _Answer:
    """The one JSON object that `--json` asks for."""

    wanted = False

    def want(self) -> None:
        """Leave standard output to the answer: everything else goes to standard error."""
        self.wanted = True
        console.file = sys.stderr


_asked = _Answer()
want_json = _asked.want


def print_json(values: Any) -> None:
    """Print what a script wants to know, where it asked with `--json`."""
    if _asked.wanted:
        text = json.dumps(jsonable(values), indent=2, ensure_ascii=False) + "\n"
        sys.stdout.write(OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
        sys.stdout.flush()


def jsonable(value: Any) -> Any:
    """A value as JSON has it: paths as text, nan and infinity as null, numbers as Python's.

    >>> plain({"a": (float("nan"), Path("b"))})
    {'a': [None, 'b']}
    """
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if hasattr(value, "item"):  # of NumPy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def print_line(text: str, style: str | None = None) -> None:
    """Print a line as it is: paths are not wrapped, and nothing in them is markup."""
    text = in_a_line(text)
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    log.line(text)


def print_table(table: Table) -> None:
    """Print a table."""
    console.print(table)
    log.table(table)


@contextmanager
def live_status(text: str) -> Iterator[Callable[[str], None]]:
    """Say how far something is: a line that moves in a terminal, one every few seconds elsewhere.

    Yields:
        A function that is given the line anew.
    """
    said_at = time.monotonic()

    def update(text: str) -> None:
        nonlocal said_at
        line.update(Text(text))
        if not console.is_terminal and time.monotonic() - said_at >= LINE_S:
            print_line(text)
            said_at = time.monotonic()

    with console.status(Text(text)) as line:
        yield update


def counted(count: int, what: str) -> str:
    """A number and what it counts.

    >>> counted(1, "group"), counted(7, "clip")
    ('1 group', '7 clips')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def progress(what: str) -> Callable[[Iterable[Any], int | None], Iterable[Any]]:
    """A function that passes items through and shows how far it is, where their number is known."""

    def shown(items: Iterable[Any], total: int | None) -> Iterable[Any]:
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
