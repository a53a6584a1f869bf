import dataclasses

import keras
import numpy as np
import pytest

from classify.evaluation.metrics import log_loss
from classify.training.network import LogLoss, with_arch_defaults
from classify.training.settings import TrainSettings
from classify.training.train import train
from tests.helpers.runs import train_tiny


def test_the_defaults_are_those_of_the_paper_except_for_the_monitor():
    defaults = dataclasses.asdict(with_arch_defaults(TrainSettings()))
    papers = {
        "arch": "efficientnetb0",
        "head": "max-300-300-l1l2",
        "size": 128,
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 0.001,
        "patience": 5,
        "monitor": "val_log_loss",  # the paper monitors val_loss
        "augment": "paper",
        "schedule": "constant",
        "freeze": "none",
        "sampling": "all",
    }
    assert defaults | papers == defaults


def test_unset_settings_take_the_defaults_of_the_architecture():
    paper = with_arch_defaults(TrainSettings())
    assert (paper.weights, paper.head, paper.size) == ("imagenet", "max-300-300-l1l2", 128)
    small = with_arch_defaults(TrainSettings(arch="cnn9"))
    assert (small.weights, small.head, small.size) == ("none", None, 96)
    chosen = with_arch_defaults(
        TrainSettings(arch="vgg16", head="flatten", size=64, weights="none")
    )
    assert (chosen.weights, chosen.head, chosen.size) == ("none", "flatten", 64)


def test_a_cosine_schedule_warms_up_and_decays(videos_manifest, tmp_path):
    trained = train_tiny(
        videos_manifest.folder, tmp_path / "r", schedule="cosine", warmup_epochs=1.0, epochs=4
    )
    rates = trained.log["learning_rate"]
    assert rates.iloc[0] == pytest.approx(0.001, rel=0.2)
    assert rates.is_monotonic_decreasing
    assert rates.iloc[-1] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_log_loss_equals_that_of_the_metrics_for_any_weights(outputs):
    rng = np.random.default_rng(0)
    actual = rng.integers(0, max(outputs, 2), 50)
    probabilities = rng.dirichlet(np.full(max(outputs, 2), 0.3), 50).astype("float32")
    if outputs == 1:
        probabilities[:, 1] = 1 - probabilities[:, 0]  # as `predict` adds a second column
    probabilities[0] = 1 - np.eye(max(outputs, 2), dtype="float32")[actual[0]]  # completely wrong
    one_hot = np.eye(max(outputs, 2), dtype="float32")[actual][:, :outputs]
    expected = log_loss(actual, probabilities.astype(float), np.ones((1, 50)))[0]
    metric = LogLoss()
    metric.update_state(one_hot[:20], probabilities[:20, :outputs], np.full(20, 7.0))
    metric.update_state(one_hot[20:], probabilities[20:, :outputs])
    padding = np.zeros(20)
    metric.update_state(one_hot[20:40], probabilities[20:40, :outputs][::-1], padding)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    half = LogLoss()
    half.update_state(one_hot, probabilities[:, :outputs].astype("float16"))
    assert half.dtype == "float32"
    assert np.isfinite(float(half.result()))


class Shrinking(keras.layers.Layer):
    """A penalty of a head that falls regardless of the network's predictions."""

    def build(self, shape):
        self.size = self.add_weight(shape=(), initializer=keras.initializers.Constant(100.0))

    def call(self, inputs):
        self.add_loss(keras.ops.abs(self.size))
        return inputs


@pytest.mark.parametrize(("monitor", "selected"), [("val_log_loss", 1), ("val_loss", 4)])
def test_the_epoch_is_selected_by_log_loss_or_as_in_the_paper_by_loss_with_penalties(
    videos_manifest, tmp_path, monkeypatch, monitor, selected
):
    """The penalty falls by 3.6 per epoch, while the validation probabilities get worse."""

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

    monkeypatch.setattr("classify.training.train.build_network", drifting)
    settings = TrainSettings(
        arch="sepconv", size=32, batch_size=16, epochs=4, monitor=monitor, learning_rate=0.3
    )
    run = train(videos_manifest.folder, tmp_path / "r", settings, [Drift()])
    assert run.log["val_loss"].is_monotonic_decreasing
    assert run.log["val_log_loss"].is_monotonic_increasing
    assert run.kept_epoch == selected
