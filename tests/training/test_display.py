"""Display of training progress."""

import keras
import pytest

from classify.training.callbacks import Checkpointer
from classify.training.display import Display, training_display
from classify.training.settings import TrainSettings
from ffpp_tools.console import console
from tests.helpers.runs import DATA, TINY, make_batches


@pytest.fixture
def printed(monkeypatch, capsys):
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    capsys.readouterr()
    return lambda: capsys.readouterr().out.splitlines()


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test advances."""
    now = [100.0]
    monkeypatch.setattr("classify.training.display.time.perf_counter", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    return passes


def test_an_epoch_prints_a_line_with_its_metrics_and_the_remaining_time(printed, clock):
    with Display(epochs=3, batch_size=16) as display:
        display.set_params({"steps": 4})
        for epoch, seconds in enumerate((10, 20, 30)):
            display.on_epoch_begin(epoch)
            clock(seconds)
            logs = {"loss": 0.5, "accuracy": 0.75, "something": 1.0}
            display.on_epoch_end(epoch, logs)
    assert printed() == [
        "epoch 1/3  loss 0.500  accuracy 0.750  10 s, at most 0:20 left",
        "epoch 2/3  loss 0.500  accuracy 0.750  20 s, at most 0:15 left",
        "epoch 3/3  loss 0.500  accuracy 0.750  30 s",
    ]


def test_without_a_terminal_a_long_epoch_prints_a_line_from_time_to_time(printed, clock):
    with Display(epochs=1, batch_size=16, measures=("loss",)) as display:
        display.set_params({"steps": 8})
        display.on_epoch_begin(0)
        for batch in range(4):
            clock(4)
            display.on_train_batch_end(batch, {"loss": 0.25})
    assert printed() == ["  step 3/8  4 images/s  loss 0.250  0:20 left in this epoch"]


def test_batches_smaller_than_the_batch_size_are_counted_as_they_are(printed, clock):
    """Batches of whole pairs have 60 crops, although --batch-size is 64."""
    with Display(epochs=1, batch_size=64, measures=()) as display:
        display.set_params({"steps": 8, "crops_per_epoch": 480})
        display.on_epoch_begin(0)
        clock(12)
        display.on_train_batch_end(0)
    assert printed() == ["  step 1/8  5 images/s    1:24 left in this epoch"]


def test_training_tells_the_display_how_many_crops_an_epoch_has(tmp_path):
    seen = []

    class Watching(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.params["crops_per_epoch"])

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(2, activation="softmax"))
    model.compile("sgd", "categorical_crossentropy")
    batches = make_batches(DATA, 10)
    checkpointer = Checkpointer(tmp_path, TINY, model, [])
    checkpointer.batches = batches
    checkpointer.on_epoch_end = lambda *_: None  # writes nothing
    model.fit(batches, verbose=0, callbacks=[checkpointer, Watching()])
    assert seen == [batches.crops_per_epoch] * len(batches)


def test_the_display_of_a_run_prints_the_settings_that_differ_from_the_defaults(printed):
    assert isinstance(training_display(TrainSettings(arch="sepconv", epochs=5)), Display)
    assert printed() == ["arch sepconv, epochs 5"]
