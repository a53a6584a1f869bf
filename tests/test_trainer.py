import dataclasses

import pytest

from classify.settings import TrainSettings
from classify.trainer import resolved
from tests.test_train import train_tiny


def test_the_defaults_are_the_papers():
    defaults = dataclasses.asdict(resolved(TrainSettings()))
    papers = {
        "arch": "efficientnetb0",
        "head": "max-300-300-l1l2",
        "size": 128,
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 0.001,
        "patience": 5,
        "augment": "paper",
        "schedule": "constant",
        "freeze": "none",
        "sampling": "all",
    }
    assert defaults | papers == defaults


def test_what_is_left_open_is_the_architectures():
    paper = resolved(TrainSettings())
    assert (paper.weights, paper.head, paper.size) == ("imagenet", "max-300-300-l1l2", 128)
    small = resolved(TrainSettings(arch="cnn9"))
    assert (small.weights, small.head, small.size) == ("none", None, 96)
    chosen = resolved(TrainSettings(arch="vgg16", head="flatten", size=64, weights="none"))
    assert (chosen.weights, chosen.head, chosen.size) == ("none", "flatten", 64)


def test_a_cosine_rises_and_falls(videos_manifest, tmp_path):
    trained = train_tiny(
        videos_manifest.folder, tmp_path / "r", schedule="cosine", warmup_epochs=1.0, epochs=4
    )
    rates = trained.log["learning_rate"]
    assert rates.iloc[0] == pytest.approx(0.001, rel=0.2)
    assert rates.is_monotonic_decreasing
    assert rates.iloc[-1] == pytest.approx(0, abs=1e-5)
