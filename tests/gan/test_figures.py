"""Figures of a DCGAN's training."""

import numpy as np
import pandas as pd

from classify.gan.collapse import COLLAPSED
from classify.gan.figures import course, epoch

LOSSES = pd.DataFrame({"generator_loss": [2.0, 1.5], "discriminator_loss": [0.5, 0.6]})


def lines(axes):
    """The values of every line of a panel by its label."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_the_faces_of_an_epoch_are_a_row_above_both_losses():
    samples = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    faces, losses = epoch(7, samples, LOSSES).axes
    assert faces.get_title() == "epoch 7"
    shown = np.asarray(faces.images[0].get_array())
    np.testing.assert_array_equal(shown, np.concatenate(list(samples), axis=1))
    assert lines(losses) == {"generator": [2.0, 1.5], "discriminator": [0.5, 0.6]}
    assert list(losses.lines[0].get_xdata()) == [1, 2]


def test_the_course_counts_epochs_from_one_and_marks_the_limits():
    log = LOSSES.assign(
        epoch=[0, 1], real_accuracy=[0.9, 0.8], generated_accuracy=[0.7, 0.6], diversity=[0.2, 0.9]
    )
    losses, accuracy, diversity = course(log).axes
    assert list(losses.lines[0].get_xdata()) == [1, 2]
    assert lines(accuracy)["generated pictures"] == [0.7, 0.6]
    assert lines(diversity)["generated ÷ real"] == [0.2, 0.9]
    assert lines(diversity)["collapsed below"] == [COLLAPSED, COLLAPSED]
