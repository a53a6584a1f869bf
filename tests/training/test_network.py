import dataclasses

import keras
import numpy as np
import pytest

from classify.evaluation.metrics import log_loss
from classify.training.network import LogLoss, with_arch_defaults
from classify.training.settings import TrainSettings
from classify.training.train import train
from tests.helpers.runs import train_tiny


def test_the_defaults_are_the_papers_but_for_what_is_monitored():
    defaults = dataclasses.asdict(with_arch_defaults(TrainSettings()))
    papers = {
        "arch": "efficientnetb0",
        "head": "max-300-300-l1l2",
        "size": 128,
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 0.001,
        "patience": 5,
        "monitor": "val_log_loss",  # the paper follows val_loss
        "augment": "paper",
        "schedule": "constant",
        "freeze": "none",
        "sampling": "all",
    }
    assert defaults | papers == defaults


def test_what_is_left_open_is_the_architectures():
    paper = with_arch_defaults(TrainSettings())
    assert (paper.weights, paper.head, paper.size) == ("imagenet", "max-300-300-l1l2", 128)
    small = with_arch_defaults(TrainSettings(arch="cnn9"))
    assert (small.weights, small.head, small.size) == ("none", None, 96)
    chosen = with_arch_defaults(
        TrainSettings(arch="vgg16", head="flatten", size=64, weights="none")
    )
    assert (chosen.weights, chosen.head, chosen.size) == ("none", "flatten", 64)


def test_a_cosine_rises_and_falls(videos_manifest, tmp_path):
    trained = train_tiny(
        videos_manifest.folder, tmp_path / "r", schedule="cosine", warmup_epochs=1.0, epochs=4
    )
    rates = trained.log["learning_rate"]
    assert rates.iloc[0] == pytest.approx(0.001, rel=0.2)
    assert rates.is_monotonic_decreasing
    assert rates.iloc[-1] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_log_loss_is_that_of_the_metrics_whatever_the_weights(outputs):
    rng = np.random.default_rng(0)
    actual = rng.integers(0, max(outputs, 2), 50)
    said = rng.dirichlet(np.full(max(outputs, 2), 0.3), 50).astype("float32")
    if outputs == 1:
        said[:, 1] = 1 - said[:, 0]  # as `predict` makes two columns of one
    said[0] = 1 - np.eye(max(outputs, 2), dtype="float32")[actual[0]]  # quite wrong
    wanted = np.eye(max(outputs, 2), dtype="float32")[actual][:, :outputs]
    expected = log_loss(actual, said.astype(float), np.ones((1, 50)))[0]
    measured = LogLoss()
    measured.update_state(wanted[:20], said[:20, :outputs], np.full(20, 7.0))
    measured.update_state(wanted[20:], said[20:, :outputs])
    filled_up = np.zeros(20)
    measured.update_state(wanted[20:40], said[20:40, :outputs][::-1], filled_up)
    assert float(measured.result()) == pytest.approx(expected, rel=1e-5)
    half = LogLoss()
    half.update_state(wanted, said[:, :outputs].astype("float16"))
    assert half.dtype == "float32"
    assert np.isfinite(float(half.result()))


class Shrinking(keras.layers.Layer):
    """A penalty of a head: it falls by itself, whatever the network says of the crops."""

    def build(self, shape):
        self.size = self.add_weight(shape=(), initializer=keras.initializers.Constant(100.0))

    def call(self, inputs):
        self.add_loss(keras.ops.abs(self.size))
        return inputs


@pytest.mark.parametrize(("monitor", "kept"), [("val_log_loss", 1), ("val_loss", 4)])
def test_the_kept_epoch_is_that_of_the_probabilities_or_as_in_the_paper_of_the_penalties(
    videos_manifest, tmp_path, monkeypatch, monitor, kept
):
    """The penalty falls by 3.6 an epoch, and the probabilities of validation get worse."""

    def drifting(settings, classes):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((settings.size, settings.size, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(inputs)
        logits = keras.layers.Dense(classes, kernel_initializer="zeros")(pooled)
        return keras.Model(inputs, keras.layers.Softmax()(Shrinking()(logits)))

    class Drift(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kernel = self.model.trainable_variables[0]
            kernel.assign(np.random.default_rng(1).normal(0, 0.01 * (self.epoch + 1), kernel.shape))

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    monkeypatch.setattr("classify.training.train.built", drifting)
    settings = TrainSettings(
        arch="sepconv", size=32, batch_size=16, epochs=4, monitor=monitor, learning_rate=0.3
    )
    run = train(videos_manifest.folder, tmp_path / "r", settings, [Drift()])
    assert run.log["val_loss"].is_monotonic_decreasing
    assert run.log["val_log_loss"].is_monotonic_increasing
    assert run.kept_epoch == kept
