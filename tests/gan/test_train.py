import dataclasses
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

from classify.backend import dtype_policy
from classify.errors import ClassifyError, RunError
from classify.gan.real_faces import ARRAY
from classify.gan.run import GanRun
from classify.gan.train import COMMAND, resume, train
from classify.training.runs import load_model
from ffpp_tools.errors import LockedError
from ffpp_tools.store.locks import folder_lock
from tests.helpers.gans import TINY_GAN


def weights_of(folder):
    return load_model(folder / "last.keras").get_weights()


def test_a_run_keeps_log_samples_losses_and_generators(run):
    names = {p.name for p in run.folder.iterdir()}
    assert {"config.toml", "environment.json", "log.csv", "last.keras", ARRAY} <= names
    assert {"generator.keras", "learning.png"} <= names
    assert run.kept_epochs == [2, 4]
    assert sorted(p.name for p in (run.folder / "epochs").glob("*.png")) == [
        f"000{n}.png" for n in (1, 2, 3, 4)
    ]
    assert list(run.log["epoch"]) == [0, 1, 2, 3]
    assert np.isfinite(run.log).all().all()
    steps = pd.read_csv(run.folder / "epochs/0004.csv")
    assert len(steps) == run.count // TINY_GAN.batch_size
    for name in ("generator_loss", "discriminator_loss"):
        assert steps[name].mean() == pytest.approx(run.log[name].iloc[-1], rel=1e-4)
    for one, other in zip(
        load_model(run.generator()).get_weights(),
        load_model(run.folder / "last.keras").generator.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert GanRun.read(run.folder) == run


def test_a_resumed_run_equals_an_uninterrupted_one(run, faces, tmp_path):
    train(faces, tmp_path / "r", dataclasses.replace(TINY_GAN, epochs=2))
    before = (tmp_path / "r/config.toml").read_bytes()
    with pytest.raises(RunError, match="all 2 epochs are done"):
        resume(tmp_path / "r")
    with pytest.raises(RunError, match="has 2 epochs already"):
        resume(tmp_path / "r", epochs=1)
    with folder_lock(tmp_path / "r", COMMAND), pytest.raises(LockedError, match="gan train"):
        resume(tmp_path / "r", epochs=4)
    assert (tmp_path / "r/config.toml").read_bytes() == before
    longer = resume(tmp_path / "r", epochs=4)
    assert longer.settings == TINY_GAN
    # TensorFlow sums in any order; different noise would give much larger differences.
    for one, other in zip(weights_of(run.folder), weights_of(tmp_path / "r"), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    clock = ["images_per_second", "seconds"]
    logs = [r.log.drop(columns=clock) for r in (longer, run)]
    pd.testing.assert_frame_equal(*logs, rtol=1e-3)
    assert longer.kept_epochs == [2, 4]


@pytest.mark.slow
def test_files_missing_after_an_interruption_are_restored_from_the_last_epoch(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "r")
    for name in ("log.csv", "generator.keras", "checkpoints/generator-0004.keras"):
        (folder / name).unlink()
    resume(folder, epochs=5)
    assert GanRun.read(folder).kept_epochs == [2, 4, 5]
    assert len(GanRun.read(folder).log) == 5


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_training_without_a_checkpoint(faces, tmp_path):
    with pytest.raises(ClassifyError, match="not finite in epoch 1"):
        train(faces, tmp_path / "r", dataclasses.replace(TINY_GAN, learning_rate=1e30))
    assert not (tmp_path / "r/last.keras").exists()


@pytest.mark.slow
def test_half_precision_trains_and_resumes(faces, tmp_path):
    mixed = dataclasses.replace(TINY_GAN, mixed_precision=True)
    whole = train(faces, tmp_path / "whole", mixed)
    train(faces, tmp_path / "cut", dataclasses.replace(mixed, epochs=2))
    cut = resume(tmp_path / "cut", epochs=4)
    assert keras.config.dtype_policy().name == "float32"
    with dtype_policy(mixed_precision=True):
        network = load_model(whole.folder / "last.keras", compiled=True)
    assert type(network.optimizer).__name__ == "LossScaleOptimizer"
    assert network.generator.output.dtype == "float32"
    np.testing.assert_allclose(whole.log["generator_loss"], cut.log["generator_loss"], rtol=1e-3)
