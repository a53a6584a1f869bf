"""The `classify` command."""

from __future__ import annotations

import shlex

import typer

from classify.cli.gan import gan_app
from classify.cli.judging import compare, explain, export, predict, report
from classify.cli.studies import study_app, tune
from classify.cli.training import archs, train
from classify.errors import ClassifyError
from ffpp_tools.console import log
from ffpp_tools.errors import FfppError
from ffpp_tools.script import Script, Version, with_options

typer_app = typer.Typer(
    help="Train classifiers of face manipulation and judge them honestly.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@typer_app.callback()
def _classify(version: Version = False) -> None:
    pass


for _command in (archs, train, report, predict, explain, compare, export, tune):
    typer_app.command()(with_options(_command))
typer_app.add_typer(gan_app, name="gan")
typer_app.add_typer(study_app, name="study")


def _interrupted(words: list[str]) -> str:
    command = " ".join(words[:2] if words[:1] in (["gan"], ["study"]) else words[:1])
    if command in ("train", "gan train", "tune"):
        if not log.folder or not list(log.folder.glob("*.toml")):  # a run's, or a search's
            return "nothing was trained yet"
        return (
            f"it goes on where it was: classify {command} --resume {shlex.quote(str(log.folder))}"
        )
    if command in ("study backbones", "gan generate"):
        return "the same command goes on where it was"
    return "what was written before stands there"


app = Script(typer_app, (ClassifyError, FfppError), _interrupted)
