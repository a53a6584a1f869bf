"""What every console script has: common options, completion, one-line errors, statuses, a log."""

from __future__ import annotations

import errno
import functools
import inspect
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ffpp_tools.console import Console, console, in_a_line, log, want_json
from ffpp_tools.errors import FfppError, SettingsError
from ffpp_tools.files import read_toml

PACKAGE = "ffpp-tools"
FAILED, INTERRUPTED = 1, 130  # exit statuses; 2 is for a command line that makes no sense
STOPPING, MACHINE, OUTPUT = "Checkpoints and stopping", "Machine", "Output"
COMMON_OPTIONS = "Common options"
LAST_PANELS = (STOPPING, MACHINE, OUTPUT, COMMON_OPTIONS)  # of a command's help, in this order
OF_TYPER = {  # the common options that Typer adds itself → their help
    "help": "Show this message and exit.",
    "install_completion": "Install completion for this shell.",
    "show_completion": "Print the completion script.",
}
START = "Main steps: ffpp-extract → ffpp-split → classify train → classify report"


def _as_shown(params: Any) -> Any:
    """Parameters as the help shows them: flags without a type, the last panels at the end."""

    def rank(parameter: Any) -> int:
        panel = getattr(parameter, "rich_help_panel", None)
        return LAST_PANELS.index(panel) if panel in LAST_PANELS else -1

    for parameter in params:
        if parameter.name in OF_TYPER:
            parameter.rich_help_panel = COMMON_OPTIONS
            parameter.help = OF_TYPER[parameter.name]
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return sorted(params, key=rank)


class Command(TyperCommand):
    """A command whose help ends with the panels that all commands have."""

    def __init__(self, *args: Any, **given: Any) -> None:
        """As Typer's, with each paragraph of the help in one line, which the terminal wraps."""
        super().__init__(*args, **given)
        paragraphs = (self.help or "").split("\n\n")
        self.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)

    def get_params(self, ctx: Any) -> Any:
        """All parameters, in the order of the help."""
        return _as_shown(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands whose help ends with the panel that all commands have."""

    def get_params(self, ctx: Any) -> Any:
        """All parameters, in the order of the help."""
        return _as_shown(super().get_params(ctx))


# `resilient_parsing` is set while a shell completes a line: nothing is done or printed then.


def _say_version(context: typer.Context, given: bool) -> None:
    if given and not context.resilient_parsing:
        sys.stdout.write(f"{PACKAGE} {version(PACKAGE)}\n")
        raise typer.Exit


def _answer_as_json(context: typer.Context, given: bool) -> None:
    if given and not context.resilient_parsing:
        want_json()


def _be_quiet(given: bool) -> None:
    console.quiet |= given


def _read_config(context: typer.Context, path: Path | None) -> None:
    if path is not None and not context.resilient_parsing:
        options = read_options(path, option_names(context))
        context.default_map = {**(context.default_map or {}), **options}  # over a profile's


def _switch(name: str, what: Callable[..., None], about: str) -> Any:
    return typer.Option(
        name,
        callback=what,
        is_eager=True,
        expose_value=False,
        help=about,
        rich_help_panel=COMMON_OPTIONS,
    )


Version = Annotated[bool, _switch("--version", _say_version, "Print the version and exit.")]
Json = Annotated[
    bool,
    _switch(
        "--json",
        _answer_as_json,
        "Print one JSON object to standard output, all other messages to standard error.",
    ),
]
Quiet = Annotated[bool, _switch("--quiet", _be_quiet, "Print nothing but errors.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=_read_config,
        is_eager=True,
        expose_value=False,
        help="TOML file with values for these options; the command line overrides it.",
        rich_help_panel=COMMON_OPTIONS,
    ),
]
COMMON: dict[str, tuple[Any, object]] = {"json": (Json, False), "quiet": (Quiet, False)}
OF_FFPP = {"config": (Config, None), **COMMON, "version": (Version, False)}


def with_options(
    function: Callable[..., None], options: Mapping[str, tuple[Any, object]] = COMMON
) -> Callable[..., None]:
    """A command with further options, which are not passed to it.

    Args:
        function: as Typer takes it.
        options: name → annotation and default.
    """

    @functools.wraps(function)
    def command(**given: Any) -> None:
        function(**{name: value for name, value in given.items() if name not in options})

    kind = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.signature(function, eval_str=True)
    added = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
    every = [*signature.parameters.values(), *added]
    command.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]
    return command


def restart_in_utf8() -> None:
    """Restart in Python's UTF-8 mode if the locale has another encoding.

    Otherwise names of files and categories could not be printed or written to a table. A choice
    made by `-X utf8` is kept; without the option, an interpreter that ignores
    environment variables (`-I`) would start itself again for ever.
    """
    if sys.getfilesystemencoding() != "utf-8" and "utf8" not in sys._xoptions:
        os.environ["PYTHONUTF8"] = "1"  # for workers
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


class Script:
    """A console script, called without arguments."""

    def __init__(
        self,
        app: typer.Typer,
        errors: tuple[type[Exception], ...],
        interrupted: Callable[[list[str]], str],
    ) -> None:
        """Prepare the script without running it.

        Args:
            app: the command line.
            errors: exceptions that are reported in one line, as are errors of the system (a
                file, memory); anything else is a bug and shows its traceback.
            interrupted: what to say after Ctrl-C, by the words of the command line.
        """
        self.app = app
        self._errors, self._interrupted = errors, interrupted

    def __call__(self) -> None:
        """Run; the exit status is 0, 1 for an error or finding, 2 for bad usage, 130 for Ctrl-C."""
        name, words = Path(sys.argv[0]).name, sys.argv[1:]
        restart_in_utf8()
        stderr = Console(stderr=True, soft_wrap=True)
        started = time.monotonic()
        log.line(in_a_line(f"{shlex.join([name, *words])} ({PACKAGE} {version(PACKAGE)})"))
        status: object = FAILED
        try:
            self.app()
        except Exception as error:
            text = self._told(error)
            stderr.print(text, style="red", markup=False, highlight=False)
            log.line(text)
            sys.exit(FAILED)
        except SystemExit as stop:
            status = stop.code or 0
            if status == INTERRUPTED:
                text = f"interrupted; {self._interrupted(words)}"
                stderr.print(text, markup=False, highlight=False)
                log.line(text)
            raise
        finally:
            log.line(f"ended after {time.monotonic() - started:.1f} s with status {status}")

    def _told(self, error: Exception) -> str:
        """Describe an error in one line; a bug of this package with its traceback."""
        if isinstance(error, self._errors):
            return in_a_line(f"error: {error}")
        if isinstance(error, OSError) and error.strerror:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)  # which names no file
            named = error.filename if error.filename is not None or not full else log.folder
            where = f"{named}: " if named is not None else ""
            return in_a_line(f"error: {where}{error.strerror}")
        if isinstance(error, MemoryError):
            return "error: there is not enough memory"
        return f"{traceback.format_exc()}this is a bug in {PACKAGE}: please report all of the above"


def ffpp_script(function: Callable[..., None], interrupted: str) -> Script:
    """The console script of one ffpp-* command."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command(cls=Command, epilog=START)(with_options(function, OF_FFPP))
    return Script(app, (FfppError,), lambda words: interrupted)


def option_names(context: typer.Context) -> dict[str, str]:
    """Long name of each option, and name of each argument → the parameter that it sets."""
    return {
        word.removeprefix("--"): str(parameter.name)
        for parameter in context.command.params
        if parameter.expose_value
        for word in parameter.opts
    }


def read_options(path: Path, names: dict[str, str]) -> dict[str, Any]:
    """Parameter → value, from a TOML file whose keys are names of options.

    Raises:
        SettingsError: no readable TOML file, or a key that is no option.
    """
    try:
        values = read_toml(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: not a readable TOML file ({error})") from error
    if unknown := [key for key in values if key not in names]:
        known = ", ".join(sorted(names))
        raise SettingsError(f"{path}: unknown option {', '.join(unknown)}; known: {known}")
    return {names[key]: value for key, value in values.items()}
