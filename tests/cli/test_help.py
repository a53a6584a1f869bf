"""The help pages, and what a shell completes."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer

from classify.search.tune import METHODS, VARIED
from ffpp_tools.cli import panels
from ffpp_tools.script import COMMON_OPTIONS, LAST_PANELS, START
from tests.helpers.project import COMMANDS

SCRIPTS = sorted({words[0] for words in COMMANDS})
PANELS = {value for name, value in vars(panels).items() if name.isupper()} | {COMMON_OPTIONS}
MANY = 8  # options of a command that stand in one panel
HEAVY = {"tensorflow", "keras", "torch", "pandas", "sklearn", "av", "dlib", "face_recognition"}


def command_of(words):
    """The Typer command behind some words."""
    (entry,) = entry_points(group="console_scripts", name=words[0])
    found = typer.main.get_command(entry.load().app)
    for word in words[1:]:
        found = found.commands[word]
    return found


def options_of(words):
    found = command_of(words)
    parameters = found.get_params(found.context_class(found))
    return [p for p in parameters if p.param_type_name == "option"]


def completed(line, **env):
    """What bash is offered for the last word of a line; the answer of the protocol it uses."""
    words = line.split(" ")
    script = Path(sys.executable).parent / words[0]
    variable = f"_{words[0].replace('-', '_').upper()}_COMPLETE"
    asked = {variable: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [str(script)],
        env={**os.environ, **asked, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_has_a_help_text_and_stands_in_a_panel(words):
    options = options_of(words)
    shown = [option.rich_help_panel for option in options]
    assert set(shown) <= PANELS
    last = [panel for panel in shown if panel in LAST_PANELS]
    assert last == sorted(last, key=LAST_PANELS.index)
    assert shown[-1] == COMMON_OPTIONS
    own = [panel for panel in shown if panel != COMMON_OPTIONS]
    assert len(own) <= MANY or len(set(own)) > 2
    for option in options:
        assert option.help[0].isalpha()
        assert "|" not in (option.metavar or "")  # which would end a cell of the site's tables
        assert option.help.endswith(".")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_offers_completion_and_names_the_main_steps(command, name):
    shown = command(name, "--help", COLUMNS="80").stdout
    assert START in shown
    for option in ("--install-completion", "--show-completion"):
        assert option in shown
    asked = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # the shell is then an argument
    script = command(name, "--show-completion", "bash", **asked).stdout
    assert f"_{name.replace('-', '_').upper()}_COMPLETE=complete_bash" in script


@pytest.mark.parametrize("name", SCRIPTS)
def test_completion_is_installed_for_the_shell_that_is_named(command, tmp_path, name):
    asked = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    done = command(name, "--install-completion", "bash", **asked)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f".bash_completions/{name}.sh").is_file()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ffpp-extract --category Deep", ["Deepfakes", "DeepFakeDetection"]),
        ("ffpp-extract --compression ", ["raw", "c23", "c40"]),
        ("ffpp-extract --detector ", ["hog", "cnn"]),
        (
            "ffpp-stills data --category Celeb",
            ["CelebA", "CelebA-HQ", "Celeb-real", "Celeb-synthesis"],
        ),
        ("ffpp-split --mode ", ["multiclass", "videos", "binary"]),
        ("ffpp-split --recipe official", ["official", "official-clean"]),
        ("ffpp-split --recipe ./mine", []),  # the shell offers files
        ("ffpp-split --config no.toml --version --json --mode v", ["videos"]),
        ("classify train --arch efficientnetv2", [f"efficientnetv2b{n}" for n in range(4)]),
        ("classify train --monitor ", ["val_log_loss", "val_loss"]),
        ("classify report run --split ", ["train", "val", "test"]),
        ("classify study backbones --arch vgg", ["vgg16", "vgg19"]),
        ("classify st", ["study"]),
    ],
)
def test_a_shell_is_offered_what_an_option_takes(line, offered):
    assert completed(line) == offered


def test_the_commands_most_people_need_first_come_first():
    assert completed("classify ")[:2] == ["train", "report"]


COMPLETE_ALL = """
import sys
from importlib.metadata import entry_points
from typer.main import get_command

def walk(command):
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from walk(below)

for entry in entry_points(group="console_scripts"):
    if entry.value.startswith(("ffpp_tools.cli:", "classify.cli:")):
        for command in walk(get_command(entry.load().app)):
            context = command.context_class(command)
            for parameter in command.params:
                parameter.shell_complete(context, "")
print(*sys.modules)
"""


def test_no_completion_needs_a_heavy_import():
    asked = [sys.executable, "-c", COMPLETE_ALL]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "classify.models" in loaded  # the networks were listed
    assert not loaded & HEAVY


def test_words_that_are_spelled_out_for_speed_are_those_that_are_taken():
    offered = {option.name: option for option in options_of(("classify", "tune"))}
    for name, words in (("method", METHODS), ("vary", VARIED)):
        found = offered[name].shell_complete(None, "")
        assert sorted(item.value for item in found) == sorted(words)
