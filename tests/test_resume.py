"""Trainings that are cut short go on as if nothing had been."""

import dataclasses
import json
import math
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest
import tomli_w

from classify import train as training
from classify.errors import ClassifyError, RunError
from classify.runs import Run, load_model
from classify.settings import TrainSettings
from classify.train import resume, train
from tests.test_train import TINY, train_tiny

# Dropout, batch norm, shuffling and every kind of augmentation take part.
SETTINGS = {
    "arch": "sepconv",
    "size": 48,
    "batch_size": 16,
    "epochs": 4,
    "augment": "robust",
    "sampling": "balanced",
    "schedule": "cosine",
    "warmup_epochs": 1.0,
    "class_weights": True,
}
TWO_PHASES = {
    "arch": "mobilenetv2",
    "weights": "none",
    "size": 32,
    "batch_size": 32,
    "epochs": 4,
    "head_epochs": 2,
    "dropout": 0.3,
    "schedule": "plateau",
    "augment": "none",
}


def weights_of(folder, name="last.keras"):
    return load_model(folder / name).get_weights()


def measured(folder):
    """The log without what the clock says."""
    return pd.read_csv(folder / "log.csv").drop(columns=["images_per_second", "seconds"])


def killed_after(epochs, manifest, settings, folder):
    """Start a training in a process of its own and kill it in the epoch after so many."""
    config = folder.parent / "settings.toml"
    config.write_text(tomli_w.dumps({"training": settings}))
    command = [sys.executable, "-c", "from classify.cli import app; app()", "train"]
    options = ["--config", config, "--manifest", manifest.folder, "--out", folder]
    process = subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    log = folder / "log.csv"
    deadline = time.monotonic() + 240
    while not (log.exists() and len(log.read_text().splitlines()) > epochs):
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(("settings", "epochs"), [(SETTINGS, 1), (TWO_PHASES, 2), (TWO_PHASES, 3)])
def test_a_killed_training_goes_on_to_the_same_weights(
    settings, epochs, videos_manifest, tmp_path, undisturbed
):
    whole = undisturbed(settings)
    cut = tmp_path / "cut"
    killed_after(epochs, videos_manifest, settings, cut)
    assert len(pd.read_csv(cut / "log.csv")) < settings["epochs"]
    run = resume(cut)
    assert len(run.log) == settings["epochs"]
    pd.testing.assert_frame_equal(measured(cut), measured(whole))
    for name in ("last.keras", "best.keras"):
        for mine, kept in zip(weights_of(cut, name), weights_of(whole, name), strict=True):
            np.testing.assert_array_equal(mine, kept)


@pytest.fixture(scope="module")
def undisturbed(videos_manifest, tmp_path_factory):
    """The run folder of a training that nobody interrupts, made once for each setting."""
    made = {}

    def run(settings):
        key = settings["arch"]
        if key not in made:
            folder = tmp_path_factory.mktemp("whole") / key
            made[key] = train(videos_manifest.folder, folder, TrainSettings(**settings)).folder
        return made[key]

    return run


def test_a_training_killed_in_its_first_epoch_starts_again(videos_manifest, tmp_path):
    whole = train_tiny(videos_manifest.folder, tmp_path / "whole")
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in ("config.toml", "environment.json"):
        shutil.copy(whole.folder / name, cut / name)
    resume(cut)
    pd.testing.assert_frame_equal(measured(cut), measured(whole.folder))


def test_what_went_on_says_where_in_its_environment(videos_manifest, tmp_path, undisturbed):
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in ("config.toml", "environment.json"):
        shutil.copy(undisturbed(SETTINGS) / name, cut / name)
    resume(cut)
    environment = json.loads((cut / "environment.json").read_text())
    assert environment["resumed"][0]["backend"] == keras.backend.backend()
    assert environment["resumed"][0]["after_epochs"] == 0


def test_a_training_that_has_ended_is_left_alone(undisturbed):
    folder = undisturbed(SETTINGS)
    before = (folder / "last.keras").stat().st_mtime_ns
    with pytest.raises(RunError, match="has ended after 4 epochs"):
        resume(folder)
    assert (folder / "last.keras").stat().st_mtime_ns == before


def test_two_phases_train_the_head_first(undisturbed):
    log = Run.read(undisturbed(TWO_PHASES)).log
    assert log["learning_rate"].iloc[:2].tolist() == pytest.approx([1e-3, 1e-3], rel=1e-5)
    assert log["learning_rate"].iloc[2] == pytest.approx(1e-4, rel=1e-5)


def test_the_backbone_rests_while_the_head_is_trained(videos_manifest, tmp_path, monkeypatch):
    seen = {}
    original = training.build

    def build(*args, **kwargs):
        model = original(*args, **kwargs)
        seen["start"] = [layer.get_weights() for layer in model.layers]
        return model

    monkeypatch.setattr(training, "build", build)
    settings = TrainSettings(**TWO_PHASES | {"epochs": 3, "head_epochs": 2})
    stop = StopAfter(2)
    with pytest.raises(CtrlCError):
        train(videos_manifest.folder, tmp_path / "r", settings, [stop])

    def moved(name):
        layers = load_model(tmp_path / "r" / name).layers
        return [
            any(not np.array_equal(a, b) for a, b in zip(layer.get_weights(), old, strict=True))
            for layer, old in zip(layers, seen["start"], strict=True)
            if old
        ]

    assert moved("last.keras") == [False, True]  # the backbone, the probabilities
    resume(tmp_path / "r")
    assert moved("last.keras") == [True, True]


class CtrlCError(Exception):
    pass


class StopAfter(keras.callbacks.Callback):
    """Ctrl-C in the epoch after so many."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise CtrlCError


def test_a_refit_trains_on_validation_too_and_keeps_the_last_epoch(videos_manifest, tmp_path):
    run = train_tiny(videos_manifest.folder, tmp_path / "r", refit=True, patience=0)
    assert len(run.log) == 3
    assert "val_loss" not in run.log
    for best, last in zip(
        weights_of(run.folder, "best.keras"), weights_of(run.folder), strict=True
    ):
        np.testing.assert_array_equal(best, last)
    alone = train_tiny(videos_manifest.folder, tmp_path / "alone")
    assert not np.allclose(run.log["loss"], alone.log["loss"])


def test_a_loss_that_is_not_finite_stops_with_the_names_of_its_crops(videos_manifest, tmp_path):
    folder = tmp_path / "r"
    settings = dataclasses.replace(TINY, learning_rate=1e38, augment="none")
    with pytest.raises(ClassifyError, match=r"after batch \d+ of epoch 1, whose crops are") as said:
        train(videos_manifest.folder, folder, settings)
    names = (folder / "not-finite.txt").read_text().split()
    assert len(names) == TINY.batch_size
    assert set(names) <= set(videos_manifest.samples("train")["face_id"])
    assert names[0] in str(said.value)
    assert not (folder / "best.keras").exists()


def test_epochs_before_a_loss_that_is_not_finite_are_kept(videos_manifest, tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                kernel = self.model.layers[-1].kernel
                kernel.assign(np.full(kernel.shape, math.nan))

    folder = tmp_path / "r"
    with pytest.raises(ClassifyError, match="after batch 1 of epoch 3"):
        train(videos_manifest.folder, folder, TINY, [Spoil()])
    assert len(pd.read_csv(folder / "log.csv")) == 2
    assert all(np.isfinite(w).all() for w in weights_of(folder))
    assert len(resume(folder).log) == 3
