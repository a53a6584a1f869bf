"""classify gan on the command line."""

import dataclasses
from typing import get_type_hints

import pandas as pd
import pytest


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


def test_the_defaults_that_gan_train_shows_are_those_it_has():
    from classify.cli.gan import train
    from classify.gan.settings import GanSettings

    hints = get_type_hints(train, include_extras=True)
    for name, default in dataclasses.asdict(GanSettings()).items():
        if default is not False:
            assert hints[name].__metadata__[0].show_default == str(default)
