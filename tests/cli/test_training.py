"""classify train on the command line, the list of networks, and the advice after Ctrl-C."""

import dataclasses
import json
import sys
import tomllib
from typing import get_type_hints

import pandas as pd
import pytest

from classify.cli import app
from ffpp_tools.console import log


def test_unavailable_imagenet_weights_give_an_error_that_explains_how_to_pass_a_file(
    command, videos_manifest, tmp_path
):
    done = command(
        "classify",
        "train",
        "--manifest",
        videos_manifest.folder,
        KERAS_HOME=str(tmp_path / "keras"),
        https_proxy="http://127.0.0.1:9",  # nothing listens here
    )
    assert done.returncode == 1
    for words in ("efficientnetb0_notop.h5", "--weights PATH", "--weights none"):
        assert words in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_networks_and_heads_are_listed_without_starting_keras(command):
    listed = command("classify", "archs", COLUMNS="200")
    assert listed.returncode == 0, listed.stderr
    assert "Keras" not in listed.stdout
    for name in ("baseline", "efficientnetb7", "densenet201", "cnn9", "flatten-758-512-256"):
        assert f" {name} " in listed.stdout
    assert "54,336,736" in listed.stdout


@pytest.mark.slow
def test_command_line_options_override_the_configuration(command, videos_manifest, tmp_path):
    (tmp_path / "mine.toml").write_text(
        f'[manifest]\npath = "{videos_manifest.folder}"\n'
        '[training]\narch = "sepconv"\nsize = 32\nepochs = 5\nbatch_size = 16\n'
    )
    options = ("--config", "mine.toml", "--epochs", 1, "--out", "r", "--tensorboard")
    trained = command("classify", "train", *options)
    assert trained.returncode == 0, trained.stderr
    assert "epoch 1/1  loss " in trained.stdout
    assert "enlarged" not in trained.stdout
    config = tomllib.loads((tmp_path / "r/config.toml").read_text())["training"]
    assert (config["arch"], config["size"], config["epochs"]) == ("sepconv", 32, 1)
    assert list((tmp_path / "r/tensorboard").rglob("events*"))
    assert (tmp_path / "r/learning.png").is_file()
    again = command("classify", "train", "--config", "r/config.toml", "--out", "again")
    assert again.returncode == 0, again.stderr
    logs = [pd.read_csv(tmp_path / name / "log.csv")["val_loss"][0] for name in ("r", "again")]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)
    ended = command("classify", "train", "--resume", "r")
    assert ended.returncode == 1
    assert "has ended after 1 epochs" in ended.stderr
    mixed = command("classify", "train", "--resume", "r", "--epochs", 9)
    assert mixed.returncode == 1
    assert "keeps the run's own settings" in mixed.stderr


def test_recipes_are_listed_with_their_settings_without_starting_keras(command):
    listed = command("classify", "recipes", COLUMNS="200")
    assert listed.returncode == 0, listed.stderr
    assert "Keras" not in listed.stdout
    for words in (" paper ", " generalise ", " blended ", "arch efficientnetb0, augment paper"):
        assert words in listed.stdout
    (paper, *_) = json.loads(command("classify", "recipes", "--json").stdout)["recipes"]
    assert (paper["name"], paper["settings"]["learning_rate"]) == ("paper", 0.001)


def test_a_recipe_is_recorded_and_small_crops_are_remarked_upon(command, videos_manifest, tmp_path):
    (tmp_path / "mine.toml").write_text('epochs = 3\nbatch_size = 16\naugment = "none"\n')
    options = ("--recipe", "mine.toml", "--arch", "sepconv", "--size", 380, "--epochs", 1)
    trained = command(
        "classify", "train", *options, "--manifest", videos_manifest.folder, "--out", "r"
    )
    assert trained.returncode == 0, trained.stderr
    assert "100.0 % of the training crops are smaller than 380 pixels" in trained.stdout
    config = tomllib.loads((tmp_path / "r/config.toml").read_text())["training"]
    assert (config["recipe"], config["epochs"], config["batch_size"]) == ("mine.toml", 1, 16)
    again = command("classify", "train", "--config", "r/config.toml", "--recipe", "paper")
    assert again.returncode == 1
    assert "omit --recipe or --config" in again.stderr


@pytest.mark.parametrize("words", [["train", "--arch", "vgg16"], ["gan", "train"], ["tune"]])
def test_after_ctrl_c_the_full_command_to_resume_is_printed(words, monkeypatch, capsys, tmp_path):
    run = tmp_path / "my run"
    run.mkdir()

    def interrupted():
        log.folder = run
        raise SystemExit(130)

    monkeypatch.setattr(log, "folder", None)
    monkeypatch.setattr(app, "app", interrupted)
    monkeypatch.setattr(sys, "argv", ["classify", *words])
    with pytest.raises(SystemExit):
        app()
    assert capsys.readouterr().err == "interrupted; nothing was trained yet\n"
    (run / "config.toml").touch()
    with pytest.raises(SystemExit):
        app()
    subcommand = " ".join(w for w in words if w in ("gan", "train", "tune"))
    assert capsys.readouterr().err.endswith(f": classify {subcommand} --resume '{run}'\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config", "none.toml"), "none.toml: cannot be read"),
        (("--resume", "nowhere"), "no run at nowhere"),
        (("--arch", "resnet1000"), "classify archs"),
        (("--arch", "sepconv", "--freeze", "all"), "backbone"),
        (("--arch", "vgg16", "--weights", "none", "--freeze", "x"), "all, none or a number"),
        (("--augment", "wild"), "rotate-shift"),
        (("--recipe", "best"), "choose from paper, blended, generalise, or name a .toml file"),
        (("--arch", "xception", "--weights", "none", "--size", 70), "at least 71 pixels"),
        (("--arch", "sepconv", "--output", "sigmoid"), "use softmax"),
        (("--weights", "/no/such.h5"), "/no/such.h5 does not exist"),
    ],
)
def test_invalid_settings_give_a_one_line_error_and_no_run_folder(
    command, videos_manifest, tmp_path, options, message
):
    required = ("--manifest", videos_manifest.folder, "--out", "r")
    if "--config" not in options and "--resume" not in options:
        options = (*required, *options)
    refused = command("classify", "train", *options)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_the_help_of_train_shows_the_actual_defaults():
    from classify.cli import train
    from classify.training.settings import TrainSettings

    hints = get_type_hints(train, include_extras=True)
    shown = {
        name: hint.__metadata__[0].show_default for name, hint in hints.items() if name != "return"
    }
    for name, default in dataclasses.asdict(TrainSettings()).items():
        if default is not None and default is not False:
            assert (
                float(shown[name]) == default
                if isinstance(default, float)
                else shown[name] == str(default)
            )
