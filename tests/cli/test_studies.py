"""classify tune and classify study on the command line."""

import tomllib

import pytest


@pytest.mark.slow
def test_a_search_writes_a_configuration_for_training(command, videos_manifest, tmp_path):
    (tmp_path / "base.toml").write_text("[training]\nbatch_size = 16\n")
    tiny = ("--arch", "sepconv", "--size", 48, "--epochs", 1, "--trials", 2)
    options = ("--manifest", videos_manifest.folder, "--config", "base.toml", "--out", "t")
    searched = command("classify", "tune", *options, *tiny, "--vary", "learning_rate")
    assert searched.returncode == 0, searched.stderr
    assert "2 trials: t/trials.csv" in searched.stdout
    assert command("classify", "tune", "--resume", "t").returncode == 0
    trained = command("classify", "train", "--config", "t/best.toml", "--out", "r")
    assert trained.returncode == 0, trained.stderr
    assert tomllib.loads((tmp_path / "r/config.toml").read_text())["training"]["batch_size"] == 16
