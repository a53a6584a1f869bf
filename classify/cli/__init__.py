"""The `classify` command."""

from __future__ import annotations

import shlex
from typing import Any

import typer

from classify.cli.evaluation import compare, explain, export, predict, report
from classify.cli.gan import gan_app
from classify.cli.studies import study_app, tune
from classify.cli.training import archs, recipes, train
from classify.errors import ClassifyError
from ffpp_tools.console import log
from ffpp_tools.errors import FfppError
from ffpp_tools.script import START, Command, Group, Script, Version, with_options

START_HERE = "Start here"
TRAINED = "Use a trained network"
SEARCH = "Compare and search"
GENERATE = "Generate"
REFERENCE = "Reference"


class _Group(Group):
    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order of the help; Typer puts groups last."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: name in ("archs", "recipes"))


typer_app = typer.Typer(
    help="Train classifiers that detect face manipulation, and evaluate them.",
    epilog=START,
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@typer_app.callback()
def _classify(version: Version = False) -> None:
    pass


for _panel, _commands in (
    (START_HERE, (train, report)),
    (TRAINED, (predict, explain, export)),
    (SEARCH, (compare, tune)),
    (REFERENCE, (archs, recipes)),
):
    for _command in _commands:
        typer_app.command(cls=Command, rich_help_panel=_panel)(with_options(_command))
typer_app.add_typer(study_app, name="study", rich_help_panel=SEARCH)
typer_app.add_typer(gan_app, name="gan", rich_help_panel=GENERATE)


def _interrupted(words: list[str]) -> str:
    command = " ".join(words[:2] if words[:1] in (["gan"], ["study"]) else words[:1])
    if command in ("train", "gan train", "tune"):
        if not log.folder or not list(log.folder.glob("*.toml")):  # a run's, or a search's
            return "nothing was trained yet"
        return f"to resume: classify {command} --resume {shlex.quote(str(log.folder))}"
    if command in ("study backbones", "gan generate"):
        return "run the same command again to resume"
    return "files written so far are kept"


app = Script(typer_app, (ClassifyError, FfppError), _interrupted)
