"""classify gan on the command line."""

import dataclasses
import json
import math
from types import SimpleNamespace
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest


@pytest.mark.slow
def test_a_gan_is_trained_sampled_and_evaluated_from_the_command_line(command, world, tmp_path):
    tiny = ("--size", 16, "--filters", 4, "--batch-size", 8, "--epochs", 2, "--every", 1)
    trained = command("classify", "gan", "train", "--images", world / "CelebA", *tiny, "--out", "g")
    assert trained.returncode == 0, trained.stderr
    assert "COLLAPSED" in trained.stdout  # after two epochs, all faces look the same
    assert command("classify", "gan", "train", "--resume", "g", "--epochs", 3).returncode == 0
    generated = command("classify", "gan", "generate", "g", "--count", 30, "--out", "faces")
    assert generated.returncode == 0, generated.stderr
    assert len(list((tmp_path / "faces").glob("*.png"))) == 30
    report = command("classify", "gan", "report", "g")
    assert report.returncode == 0, report.stderr
    assert (tmp_path / "g/report/report.html").is_file()
    # A manifest of real and generated faces, all processed the same way.
    small = ("--crop", "none", "--size", "16x16")
    assert command("ffpp-stills", world / "CelebA", "--category", "CelebA", *small).returncode == 0
    stills = command("ffpp-stills", "faces", "--category", "DCGAN", "--label", "fake", *small)
    assert "30 crops" in stills.stdout or "30/30" in stills.stdout
    split = command("ffpp-split", "--recipe", "dcgan", "--ratios", "60/20/20", "--out", "m")
    assert split.returncode == 0, split.stderr
    train = pd.read_csv(tmp_path / "m/train.csv")
    assert dict(train.groupby("class")["category"].first()) == {"fake": "DCGAN", "real": "CelebA"}


def test_the_help_of_gan_train_shows_the_actual_defaults():
    from classify.cli.gan import train
    from classify.gan.settings import GanSettings

    hints = get_type_hints(train, include_extras=True)
    for name, default in dataclasses.asdict(GanSettings()).items():
        if default is not False:
            assert hints[name].__metadata__[0].show_default == str(default)


def test_the_json_of_gan_report_has_the_rows_of_its_table(monkeypatch, capsys, tmp_path):
    from classify.cli import gan as commands
    from classify.gan import report as reporting
    from classify.gan.run import GanRun
    from ffpp_tools import console

    run = SimpleNamespace(remarks=lambda: [])
    faces = np.zeros((6, 16, 16, 3), np.uint8)
    kept = tuple(reporting.GeneratorResult(n, faces, n / 4, math.nan) for n in (1, 2))
    made = reporting.GanReport(run, kept, 10, math.nan)
    monkeypatch.setattr(GanRun, "read", lambda folder: run)
    monkeypatch.setattr(reporting, "make_report", lambda *args, **given: made)
    monkeypatch.setattr(commands, "start_keras", lambda: None)
    monkeypatch.setattr(console.console, "quiet", True)
    monkeypatch.setattr(console._json_output, "requested", True)
    commands.report(tmp_path)
    assert json.loads(capsys.readouterr().out)["generators"] == [
        {"epochs": 1, "diversity": 0.25, "distance": None},
        {"epochs": 2, "diversity": 0.5, "distance": None},
    ]
