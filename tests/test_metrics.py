import math

import numpy as np
import pytest

from classify import metrics

# Worked by hand: a a a b b c, called a a b b c c.
ACTUAL = np.array([0, 0, 0, 1, 1, 2])
CALLED = np.array([0, 0, 1, 1, 2, 2])
NAMES = ["a", "b", "c"]


def test_confusion_has_a_row_per_actual_class():
    counts = metrics.confusion(ACTUAL, CALLED, NAMES)
    assert counts.to_numpy().tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert counts.loc["a", "b"] == 1
    assert (counts.index.name, counts.columns.name) == ("actual", "predicted")


def test_rows_of_percentages_sum_to_100_and_an_empty_row_is_nan():
    counts = metrics.confusion(np.array([0, 0, 0]), np.array([0, 1, 1]), NAMES)
    percent = metrics.row_percent(counts)
    assert percent.loc["a"].tolist() == pytest.approx([100 / 3, 200 / 3, 0])
    assert percent.loc["b"].isna().all()


def test_per_class_by_hand():
    table = metrics.per_class(ACTUAL, CALLED, NAMES)
    assert table["precision"].tolist() == pytest.approx([1, 1 / 2, 1 / 2])
    assert table["recall"].tolist() == pytest.approx([2 / 3, 1 / 2, 1])
    assert table["f1"].tolist() == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert table["support"].tolist() == [3, 2, 1]


def test_a_class_never_called_has_precision_0():
    table = metrics.per_class(np.array([0, 1]), np.array([0, 0]), ["a", "b"])
    assert table.loc["b", ["precision", "recall", "f1"]].tolist() == [0, 0, 0]


def test_a_class_that_is_not_there_has_no_measures():
    table = metrics.per_class(np.array([0, 0]), np.array([0, 1]), ["a", "b"])
    assert table.loc["b", ["precision", "recall", "f1"]].isna().all()
    assert table.loc["b", "support"] == 0


def test_accuracy_by_hand():
    assert metrics.accuracy(ACTUAL, CALLED) == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("is_fake", "p_fake", "expected"),
    [
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 1.0),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 0.0),
        ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.5),
        ([1, 1, 0, 0], [0.9, 0.3, 0.5, 0.1], 0.75),  # three of four pairs in order
    ],
)
def test_auc_counts_pairs_in_the_right_order_with_fake_positive(is_fake, p_fake, expected):
    assert metrics.auc(is_fake, p_fake) == pytest.approx(expected)


def test_auc_of_one_kind_alone_does_not_exist():
    assert math.isnan(metrics.auc([1, 1], [0.2, 0.9]))
