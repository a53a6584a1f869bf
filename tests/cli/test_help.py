"""Help pages and shell completion of all commands."""

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
MANY = 8  # options of a command that may share one panel
HEAVY = {"tensorflow", "keras", "torch", "pandas", "sklearn", "av", "dlib", "face_recognition"}


def command_of(words):
    """The Typer command that `words` name."""
    (entry,) = entry_points(group="console_scripts", name=words[0])
    command = typer.main.get_command(entry.load().app)
    for word in words[1:]:
        command = command.commands[word]
    return command


def options_of(words):
    command = command_of(words)
    parameters = command.get_params(command.context_class(command))
    return [p for p in parameters if p.param_type_name == "option"]


def completed(line, **env):
    """The completions that bash gets for the last word of a line, by its own protocol."""
    words = line.split(" ")
    script = Path(sys.executable).parent / words[0]
    variable = f"_{words[0].replace('-', '_').upper()}_COMPLETE"
    protocol = {variable: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [str(script)],
        env={**os.environ, **protocol, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_has_a_help_text_and_a_panel(words):
    options = options_of(words)
    shown = [option.rich_help_panel for option in options]
    assert set(shown) <= PANELS
    last = [panel for panel in shown if panel in LAST_PANELS]
    assert last == sorted(last, key=LAST_PANELS.index)
    assert shown[-1] == COMMON_OPTIONS
    specific = [panel for panel in shown if panel != COMMON_OPTIONS]
    assert len(specific) <= MANY or len(set(specific)) > 2
    for option in options:
        assert option.help[0].isalpha()
        assert "|" not in (option.metavar or "")  # it would end a table cell on the site
        assert option.help.endswith(".")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_help_page_offers_completion_and_names_the_main_steps(command, name):
    shown = command(name, "--help", COLUMNS="80").stdout
    assert START in shown
    for option in ("--install-completion", "--show-completion"):
        assert option in shown
    env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # the shell is then an argument
    script = command(name, "--show-completion", "bash", **env).stdout
    assert f"_{name.replace('-', '_').upper()}_COMPLETE=complete_bash" in script


@pytest.mark.parametrize("name", SCRIPTS)
def test_completion_is_installed_for_the_named_shell(command, tmp_path, name):
    env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    done = command(name, "--install-completion", "bash", **env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f".bash_completions/{name}.sh").is_file()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ffpp-extract --category Deep", ["Deepfakes", "DeepFakeDetection"]),
        ("ffpp-extract --compression ", ["raw", "c23", "c40"]),
        ("ffpp-extract --detector ", ["hog", "cnn", "yunet"]),
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
def test_completion_offers_the_values_of_an_option(line, offered):
    assert completed(line) == offered


def test_completion_lists_the_main_commands_first():
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


def test_completion_needs_no_heavy_import():
    command = [sys.executable, "-c", COMPLETE_ALL]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "classify.models" in loaded  # the networks were listed
    assert not loaded & HEAVY


def test_hard_coded_completion_values_are_the_accepted_ones():
    offered = {option.name: option for option in options_of(("classify", "tune"))}
    for name, accepted in (("method", METHODS), ("vary", VARIED)):
        completions = offered[name].shell_complete(None, "")
        assert sorted(item.value for item in completions) == sorted(accepted)
