"""Display of training progress."""

import pytest

from classify.training.display import Display, training_display
from classify.training.settings import TrainSettings
from ffpp_tools.console import console


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


def test_the_display_of_a_run_prints_the_settings_that_differ_from_the_defaults(printed):
    assert isinstance(training_display(TrainSettings(arch="sepconv", epochs=5)), Display)
    assert printed() == ["arch sepconv, epochs 5"]
