"""`classify` as a person types it."""

import dataclasses
import sys
import tomllib
from typing import get_type_hints

import cv2
import numpy as np
import pandas as pd
import pytest

from classify.cli import app
from ffpp_tools.console import log


@pytest.mark.slow
def test_runs_are_judged_shown_compared_and_exported_by_the_shortest_commands(
    command, videos_manifest, world, tmp_path
):
    manifest = videos_manifest.folder
    short = ("--arch", "sepconv", "--size", 32, "--epochs", 1, "--batch-size", 16)
    for run in ("a", "b"):
        done = command("classify", "train", "--manifest", manifest, *short, "--out", run)
        assert done.returncode == 0, done.stderr
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.zeros((99, 99, 3), np.uint8))
    theirs = ("--predictions", "a/report/predictions.csv", "--manifest", manifest)
    for words, said, written in (
        (["report", "a"], "per clip", "a/report/report.html"),
        (["report", *theirs], "Predictions of", "a/report/predictions-report/report.html"),
        (["report", "a", "--manifest", manifest], "per clip", "a/report/report.html"),
        (["predict", "a", world / "CelebA", wall], "no face found", "a/predicted/verdicts.csv"),
        (["predict", "a", wall], "no face found", "a/predicted-2/verdicts.jsonl"),
        (["explain", "a"], "explained", "a/explain/explain.html"),
        (["compare", "a", "b"], "ordered by AUC on validation", "comparison/comparison.html"),
        (["compare", "a", "--matrix", manifest], "AUC", "comparison-2/matrix.csv"),
        (["export", "a"], "within", "a/saved-model/about.json"),
    ):
        done = command("classify", *words)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        assert (tmp_path / written).is_file(), words
    (tmp_path / "x.mp4").write_bytes(b"")
    done = command("classify", "predict", "a", "x.mp4", wall, "--out", "p")
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1].startswith("error: 1 of 2 files could not be read")
    assert (tmp_path / "p/verdicts.csv").is_file()  # what could be read is not lost


def test_imagenet_weights_without_a_network_say_how_to_pass_a_file(
    command, videos_manifest, tmp_path
):
    done = command(
        "classify",
        "train",
        "--manifest",
        videos_manifest.folder,
        KERAS_HOME=str(tmp_path / "keras"),
        https_proxy="http://127.0.0.1:9",  # where nothing listens
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
def test_a_configuration_is_trained_with_options_over_it(command, videos_manifest, tmp_path):
    (tmp_path / "mine.toml").write_text(
        f'[manifest]\npath = "{videos_manifest.folder}"\n'
        '[training]\narch = "sepconv"\nsize = 32\nepochs = 5\nbatch_size = 16\n'
    )
    asked = ("--config", "mine.toml", "--epochs", 1, "--out", "r", "--tensorboard")
    trained = command("classify", "train", *asked)
    assert trained.returncode == 0, trained.stderr
    assert "epoch 1/1  loss " in trained.stdout
    config = tomllib.loads((tmp_path / "r/config.toml").read_text())["training"]
    assert (config["arch"], config["size"], config["epochs"]) == ("sepconv", 32, 1)
    assert list((tmp_path / "r/tensorboard").rglob("events*"))
    assert (tmp_path / "r/learning.png").is_file()
    again = command("classify", "train", "--config", "r/config.toml", "--out", "again")
    assert again.returncode == 0, again.stderr
    logs = [pd.read_csv(tmp_path / name / "log.csv")["val_loss"][0] for name in ("r", "again")]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)
    over = command("classify", "train", "--resume", "r")
    assert over.returncode == 1
    assert "has ended after 1 epochs" in over.stderr
    mixed = command("classify", "train", "--resume", "r", "--epochs", 9)
    assert mixed.returncode == 1
    assert "keeps the run's own settings" in mixed.stderr


@pytest.mark.parametrize("words", [["train", "--arch", "vgg16"], ["gan", "train"], ["tune"]])
def test_after_ctrl_c_the_command_that_goes_on_is_said_whole(words, monkeypatch, capsys, tmp_path):
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
    said = " ".join(w for w in words if w in ("gan", "train", "tune"))
    assert capsys.readouterr().err.endswith(f": classify {said} --resume '{run}'\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config", "none.toml"), "none.toml: cannot be read"),
        (("--resume", "nowhere"), "no run at nowhere"),
        (("--arch", "resnet1000"), "classify archs"),
        (("--arch", "sepconv", "--freeze", "all"), "backbone"),
        (("--arch", "vgg16", "--weights", "none", "--freeze", "x"), "all, none or a number"),
        (("--augment", "wild"), "rotate-shift"),
        (("--arch", "sepconv", "--output", "sigmoid"), "use softmax"),
        (("--weights", "/no/such.h5"), "/no/such.h5 does not exist"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_leaves_nothing(
    command, videos_manifest, tmp_path, options, message
):
    asked = ("--manifest", videos_manifest.folder, "--out", "r")
    if "--config" not in options and "--resume" not in options:
        options = (*asked, *options)
    refused = command("classify", "train", *options)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_faces_are_learnt_generated_and_judged_by_commands(command, world, tmp_path):
    tiny = ("--size", 16, "--filters", 4, "--batch-size", 8, "--epochs", 2, "--every", 1)
    learnt = command("classify", "gan", "train", "--images", world / "CelebA", *tiny, "--out", "g")
    assert learnt.returncode == 0, learnt.stderr
    assert "COLLAPSED" in learnt.stdout  # after so little, all faces are one
    assert command("classify", "gan", "train", "--resume", "g", "--epochs", 3).returncode == 0
    made = command("classify", "gan", "generate", "g", "--count", 30, "--out", "faces")
    assert made.returncode == 0, made.stderr
    assert len(list((tmp_path / "faces").glob("*.png"))) == 30
    judged = command("classify", "gan", "report", "g")
    assert judged.returncode == 0, judged.stderr
    assert (tmp_path / "g/report/report.html").is_file()
    # And on to a manifest of real and generated faces, treated alike.
    alike = ("--crop", "none", "--size", "16x16")
    assert command("ffpp-stills", world / "CelebA", "--category", "CelebA", *alike).returncode == 0
    still = command("ffpp-stills", "faces", "--category", "DCGAN", "--label", "fake", *alike)
    assert "30 crops" in still.stdout or "30/30" in still.stdout
    split = command("ffpp-split", "--recipe", "dcgan", "--ratios", "60/20/20", "--out", "m")
    assert split.returncode == 0, split.stderr
    train = pd.read_csv(tmp_path / "m/train.csv")
    assert dict(train.groupby("class")["category"].first()) == {"fake": "DCGAN", "real": "CelebA"}


@pytest.mark.slow
def test_a_search_leaves_a_configuration_to_train_with(command, videos_manifest, tmp_path):
    (tmp_path / "base.toml").write_text("[training]\nbatch_size = 16\n")
    small = ("--arch", "sepconv", "--size", 48, "--epochs", 1, "--trials", 2)
    asked = ("--manifest", videos_manifest.folder, "--config", "base.toml", "--out", "t")
    searched = command("classify", "tune", *asked, *small, "--vary", "learning_rate")
    assert searched.returncode == 0, searched.stderr
    assert "2 trials: t/trials.csv" in searched.stdout
    assert command("classify", "tune", "--resume", "t").returncode == 0
    trained = command("classify", "train", "--config", "t/best.toml", "--out", "r")
    assert trained.returncode == 0, trained.stderr
    assert tomllib.loads((tmp_path / "r/config.toml").read_text())["training"]["batch_size"] == 16


def test_the_defaults_that_gan_train_shows_are_those_it_has():
    from classify.cli.gan import train
    from classify.gan.settings import GanSettings

    hints = get_type_hints(train, include_extras=True)
    for name, default in dataclasses.asdict(GanSettings()).items():
        if default is not False:
            assert hints[name].__metadata__[0].show_default == str(default)


def test_the_defaults_that_train_shows_are_those_it_has():
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
