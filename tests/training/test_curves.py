"""Figures of a training run or a search."""

import pandas as pd
import pytest

from classify.training.curves import image, learning, trials

LOG = pd.DataFrame({"epoch": [0, 1, 2], "loss": [3.0, 2.0, 1.0], "accuracy": [0.2, 0.5, 0.9]})


def test_epochs_count_from_one_and_the_selected_epoch_is_marked():
    both = LOG.assign(val_loss=[3.0, 2.5, 2.7], val_accuracy=0.4)
    panels = learning(both, selected=2).axes
    assert [axes.get_ylabel() for axes in panels] == ["loss", "accuracy"]
    train, validation, kept = panels[0].lines
    assert list(train.get_xdata()) == list(validation.get_xdata()) == [1, 2, 3]
    assert list(validation.get_ydata()) == [3.0, 2.5, 2.7]
    assert list(kept.get_xdata()) == [2, 2]


def test_a_refit_has_no_validation_curve():
    for axes in learning(LOG, selected=3).axes:
        assert [line.get_label() for line in axes.lines] == ["train", "kept"]


def test_trials_are_plotted_over_each_varied_setting():
    table = pd.DataFrame(
        {"learning_rate": [1e-4, 1e-2], "freeze": [10, "backbone"], "val_log_loss": [0.5, 0.3]}
    )
    rates, frozen = trials(table, "val_log_loss", ["learning_rate", "freeze"]).axes
    assert (rates.get_xscale(), frozen.get_xscale()) == ("log", "linear")
    for axes in (rates, frozen):
        assert axes.collections[0].get_offsets()[:, 1].tolist() == [0.5, 0.3]


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_same_figure_gives_the_same_file(kind, start):
    one, again = (image(learning(LOG, 1), kind) for _ in range(2))
    assert one == again
    assert one.startswith(start)
