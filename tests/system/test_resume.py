"""Interrupted training runs resume with the result of an undisturbed run."""

import dataclasses
import json
import math
import signal
import subprocess
import sys
import time
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
import tomli_w

from classify.errors import ClassifyError, RunError
from classify.training import network
from classify.training.run_folder import check_free
from classify.training.runs import Run, load_model
from classify.training.settings import TrainSettings
from classify.training.train import COMMAND, resume, train
from ffpp_tools.errors import LockedError
from tests.helpers.runs import TINY, train_tiny

# With dropout, batch norm, shuffling and every kind of augmentation.
SETTINGS = {
    "arch": "sepconv",
    "size": 48,
    "batch_size": 16,
    "epochs": 4,
    "augment": "robust",
    "sampling": "balanced",
    "schedule": "cosine",
    "warmup_epochs": 1.0,
}
MIXED = SETTINGS | {
    "mixed_precision": True,
    "sampling": "all",
    "class_weights": True,
    "ema": 0.9,
}
PAIRS = SETTINGS | {"sampling": "pairs", "unpaired": 0.25}
TWO_PHASES = {
    "arch": "mobilenetv2",
    "weights": "none",
    "size": 32,
    "batch_size": 32,
    "epochs": 5,
    "head_epochs": 2,
    "dropout": 0.3,
    "schedule": "plateau",
    "augment": "none",
}
AVERAGED = TWO_PHASES | {"ema": 0.8}


def weights_of(folder, name="last.keras"):
    return load_model(folder / name).get_weights()


def measured(folder):
    """The log without its measured times."""
    return pd.read_csv(folder / "log.csv").drop(columns=["images_per_second", "seconds"])


def killed_after(epochs, manifest, settings, folder):
    """Start a training run in its own process, and kill it after a number of saved epochs."""
    config = folder.parent / "settings.toml"
    config.write_text(tomli_w.dumps({"training": settings}))
    command = [sys.executable, "-c", "from classify.cli import app; app()", "train"]
    options = ["--config", config, "--manifest", manifest.folder, "--out", folder]
    process = subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while saved_epochs(folder) < epochs:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def saved_epochs(folder):
    """The number of epochs of the checkpoint that was last renamed to its final name."""
    try:
        with zipfile.ZipFile(folder / "last.keras") as archive:
            return len(archive.read("log.csv").splitlines()) - 1
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        (SETTINGS, 2),
        pytest.param(MIXED, 2, marks=pytest.mark.slow),
        pytest.param(PAIRS, 2, marks=pytest.mark.slow),
        pytest.param(TWO_PHASES, 1, marks=pytest.mark.slow),
        pytest.param(TWO_PHASES, 2, marks=pytest.mark.slow),
        pytest.param(TWO_PHASES, 4, marks=pytest.mark.slow),
        pytest.param(AVERAGED, 1, marks=pytest.mark.slow),
        pytest.param(AVERAGED, 2, marks=pytest.mark.slow),
        pytest.param(AVERAGED, 4, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_resumes_to_the_same_weights(
    settings, epochs, videos_manifest, tmp_path, undisturbed
):
    expected = undisturbed(settings)
    cut = tmp_path / "cut"
    killed_after(epochs, videos_manifest, settings, cut)
    run = resume(cut)
    (resumption,) = json.loads((cut / "environment.json").read_text())["resumed"]
    assert resumption["after_epochs"] == epochs
    assert resumption["backend"] == keras.backend.backend()
    assert len(run.log) == settings["epochs"]
    pd.testing.assert_frame_equal(measured(cut), measured(expected))
    for name in ("last.keras", "best.keras"):
        for ours, theirs in zip(weights_of(cut, name), weights_of(expected, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def undisturbed(videos_manifest, tmp_path_factory):
    """The run folder of an uninterrupted training run, trained once for each setting."""
    folders = {}

    def run(settings):
        key = "-".join(str(settings.get(k)) for k in ("arch", "mixed_precision", "ema", "sampling"))
        if key not in folders:
            folder = tmp_path_factory.mktemp("whole") / key
            folders[key] = train(videos_manifest.folder, folder, TrainSettings(**settings)).folder
        return folders[key]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("missing", [(), ("config.toml",), ("config.toml", "environment.json")])
@pytest.mark.parametrize("command", ["train", "resume"])
def test_a_run_killed_in_its_first_epoch_starts_over(command, missing, videos_manifest, tmp_path):
    complete = train_tiny(videos_manifest.folder, tmp_path / "whole")
    cut = tmp_path / "cut"
    with pytest.raises(CtrlCError):
        train(videos_manifest.folder, cut, TINY, [StopAfter(0)])
    for name in missing:  # as if killed before these files were written
        (cut / name).unlink()
    (cut / "saving-0123456789abcdef-last.keras").touch()
    if command == "train":
        train(videos_manifest.folder, cut, TINY)
    elif missing:
        with pytest.raises(RunError, match="`classify train` creates one"):
            resume(cut)
        return
    else:
        resume(cut)
    pd.testing.assert_frame_equal(measured(cut), measured(complete.folder))
    assert {p.name for p in cut.iterdir()} == {p.name for p in complete.folder.iterdir()}


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_crash_between_saving_last_and_best_is_repaired(ema, videos_manifest, tmp_path):
    settings = dataclasses.replace(TINY, ema=ema)
    complete = train(videos_manifest.folder, tmp_path / "whole", settings)
    cut = tmp_path / "cut"
    with pytest.raises(CtrlCError):
        train(videos_manifest.folder, cut, settings, [StopAfter(1)])
    (cut / "best.keras").write_bytes(b"of an epoch that no log knows")
    resume(cut)
    for name in ("best.keras", "last.keras"):
        for ours, expected in zip(
            weights_of(cut, name), weights_of(complete.folder, name), strict=True
        ):
            np.testing.assert_array_equal(ours, expected)
    pd.testing.assert_frame_equal(measured(cut), measured(complete.folder))


def test_two_processes_cannot_train_in_one_folder(videos_manifest, tmp_path):
    folder = tmp_path / "r"

    class Second(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            with pytest.raises(LockedError, match=r"classify train \(process .* is writing to it"):
                resume(folder)

    train(videos_manifest.folder, folder, dataclasses.replace(TINY, epochs=2), [Second()])


def test_resuming_with_changed_initial_weights_is_refused(videos_manifest, tmp_path):
    donor = keras.applications.MobileNetV2(include_top=False, weights=None)
    donor.save_weights(tmp_path / "w.weights.h5")
    settings = TrainSettings(
        arch="mobilenetv2", weights=str(tmp_path / "w.weights.h5"), size=32, epochs=1
    )
    with pytest.raises(CtrlCError):
        train(videos_manifest.folder, tmp_path / "r", settings, [StopAfter(0)])
    (tmp_path / "w.weights.h5").write_bytes(b"other")
    with pytest.raises(RunError, match="has changed since"):
        resume(tmp_path / "r")


def test_resuming_a_finished_run_changes_only_a_missing_log(undisturbed):
    folder = undisturbed(SETTINGS)
    before = (folder / "last.keras").stat().st_mtime_ns
    log = (folder / "log.csv").read_bytes()
    (folder / "log.csv").unlink()  # as if the machine had crashed before it was written
    with pytest.raises(RunError, match="has ended after 4 epochs"):
        resume(folder)
    assert (folder / "log.csv").read_bytes() == log
    assert (folder / "last.keras").stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_learning_rate_drops_after_the_head_epochs(undisturbed):
    log = Run.read(undisturbed(TWO_PHASES)).log
    assert log["learning_rate"].iloc[:2].tolist() == pytest.approx([1e-3, 1e-3], rel=1e-5)
    assert log["learning_rate"].iloc[2] == pytest.approx(1e-4, rel=1e-5)


@pytest.mark.slow
def test_the_backbone_is_frozen_while_the_head_is_trained(videos_manifest, tmp_path, monkeypatch):
    weights = {}
    original = network.build

    def build(*args, **kwargs):
        model = original(*args, **kwargs)
        weights["start"] = [layer.get_weights() for layer in model.layers]
        return model

    monkeypatch.setattr(network, "build", build)
    settings = TrainSettings(**TWO_PHASES | {"epochs": 3, "head_epochs": 2})
    stop = StopAfter(2)
    with pytest.raises(CtrlCError):
        train(videos_manifest.folder, tmp_path / "r", settings, [stop])

    def changed(name):
        layers = load_model(tmp_path / "r" / name).layers
        return [
            any(not np.array_equal(a, b) for a, b in zip(layer.get_weights(), old, strict=True))
            for layer, old in zip(layers, weights["start"], strict=True)
            if old
        ]

    assert changed("last.keras") == [False, True]  # the backbone, the probabilities
    resume(tmp_path / "r")
    assert changed("last.keras") == [True, True]


class CtrlCError(Exception):
    pass


class StopAfter(keras.callbacks.Callback):
    """Raise CtrlCError at the start of the epoch after `epochs`."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise CtrlCError


def test_a_refit_also_trains_on_validation_and_keeps_the_last_epoch(videos_manifest, tmp_path):
    run = train_tiny(videos_manifest.folder, tmp_path / "r", refit=True, patience=0)
    assert len(run.log) == 3
    assert "val_loss" not in run.log
    for best, last in zip(
        weights_of(run.folder, "best.keras"), weights_of(run.folder), strict=True
    ):
        np.testing.assert_array_equal(best, last)
    without_refit = train_tiny(videos_manifest.folder, tmp_path / "without-refit")
    assert not np.allclose(run.log["loss"], without_refit.log["loss"])


def test_a_loss_that_is_not_finite_stops_training_and_names_the_crops(videos_manifest, tmp_path):
    folder = tmp_path / "r"
    settings = dataclasses.replace(TINY, learning_rate=1e38, augment="none")
    message = r"after batch \d+ of epoch 1, whose crops are"
    with pytest.raises(ClassifyError, match=message) as error:
        train(videos_manifest.folder, folder, settings)
    names = (folder / "not-finite.txt").read_text().split()
    assert len(names) == TINY.batch_size
    assert set(names) <= set(videos_manifest.samples("train")["face_id"])
    assert names[0] in str(error.value)
    assert not (folder / "best.keras").exists()
    check_free(folder, COMMAND)  # no epoch was finished: the run may be started over


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
    with pytest.raises(RunError, match="resume that run with --resume"):
        check_free(folder, COMMAND)
    assert all(np.isfinite(w).all() for w in weights_of(folder))
    assert len(resume(folder).log) == 3
