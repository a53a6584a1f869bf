import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.evaluation import metrics

# Worked by hand: a a a b b c, called a a b b c c.
ACTUAL = np.array([0, 0, 0, 1, 1, 2])
CALLED = np.array([0, 0, 1, 1, 2, 2])
NAMES = ["a", "b", "c"]


def once(n):
    return np.ones((1, n))


def one_hot(called, classes=3):
    return np.eye(classes)[called]


def per_class_of_two(actual, called):
    called = np.array(called)
    return metrics.per_class(np.array(actual), called, one_hot(called, 2), ["a", "b"])


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


def test_a_row_of_one_sample_has_its_percentage():
    counts = metrics.confusion(np.array([0, 1, 1]), np.array([1, 1, 1]), ["a", "b"])
    assert metrics.row_percent(counts).to_numpy().tolist() == [[0, 100], [0, 100]]


def test_per_class_by_hand():
    table = metrics.per_class(ACTUAL, CALLED, one_hot(CALLED), NAMES)
    assert table["precision"].tolist() == pytest.approx([1, 1 / 2, 1 / 2])
    assert table["recall"].tolist() == pytest.approx([2 / 3, 1 / 2, 1])
    assert table["f1"].tolist() == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert table["support"].tolist() == [3, 2, 1]


def test_a_class_never_predicted_has_precision_0():
    table = per_class_of_two([0, 1], [0, 0])
    assert table.loc["b", ["precision", "recall", "f1"]].tolist() == [0, 0, 0]


def test_a_class_without_samples_has_no_metrics():
    table = per_class_of_two([0, 0], [0, 1])
    assert table.loc["b", ["precision", "recall", "f1"]].isna().all()
    assert table.loc["b", "support"] == 0


def test_auc_of_a_class_is_against_the_rest():
    # a given .9 .8 .1 | the rest .7 .2 .3: 8 of 9 pairs in order, but for .1
    p = np.array([0.9, 0.8, 0.1, 0.7, 0.2, 0.3])
    table = metrics.per_class(ACTUAL, CALLED, np.stack([p, 1 - p, 0 * p], axis=1), NAMES)
    assert table.loc["a", "auc"] == pytest.approx(6 / 9)
    assert table.loc["c", "auc"] == 0.5


def test_accuracy_by_hand():
    assert metrics.weighted_mean(ACTUAL == CALLED, once(6)) == pytest.approx(4 / 6)
    twice = np.array([[1, 1, 2, 1, 1, 1.0]])  # the third one, an error, counts twice
    assert metrics.weighted_mean(ACTUAL == CALLED, twice) == pytest.approx(4 / 7)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_present():
    found = metrics.balanced_accuracy(ACTUAL, CALLED, once(6))
    assert found == pytest.approx([(2 / 3 + 1 / 2 + 1) / 3])
    without_c = np.array([[1, 1, 1, 1, 1, 0.0]])
    assert metrics.balanced_accuracy(ACTUAL, CALLED, without_c) == pytest.approx(
        [(2 / 3 + 1 / 2) / 2]
    )


@pytest.mark.parametrize(
    ("is_fake", "p_fake", "auc", "eer"),
    [
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 1.0, 0.0),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 0.0, 1.0),
        ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.5, 0.5),
        ([1, 1, 0, 0], [0.9, 0.3, 0.5, 0.1], 0.75, 0.5),  # three of four pairs in order
        ([1, 1, 1, 1, 0, 0, 0, 0], [9, 8, 7, 3, 4, 2, 1, 0], 15 / 16, 0.25),
    ],
)
def test_auc_and_eer_by_hand_with_fake_positive(is_fake, p_fake, auc, eer):
    c = metrics.threshold_curve(is_fake, p_fake)
    assert metrics.auc(c) == pytest.approx([auc])
    assert metrics.eer(c) == pytest.approx([eer])


def test_the_precision_curve_begins_without_positives():
    c = metrics.threshold_curve([1, 0, 1], [0.9, 0.5, 0.1])
    assert c.precision.tolist() == [pytest.approx([1, 1, 1 / 2, 2 / 3])]
    assert metrics.threshold_curve([0, 1], [0.9, 0.1]).precision.tolist() == [[1, 0, 0.5]]


def test_metrics_are_nan_with_one_label_only():
    c = metrics.threshold_curve([1, 1], [0.2, 0.9])
    for measure in (metrics.auc, metrics.eer, metrics.average_precision):
        assert np.isnan(measure(c)).all()
    assert np.isnan(metrics.recall_at(c, 0.05)).all()
    assert np.isnan(metrics.auc(metrics.threshold_curve([], []))).all()


def test_recall_at_a_false_positive_rate_is_not_interpolated():
    is_fake = [1] * 4 + [0] * 20
    p_fake = [0.9, 0.8, 0.5, 0.1, 0.7, *np.linspace(0.4, 0.2, 19)]
    c = metrics.threshold_curve(is_fake, p_fake)
    assert metrics.recall_at(c, 0.01) == pytest.approx([2 / 4])  # not one real may be accused
    assert metrics.recall_at(c, 0.05) == pytest.approx([3 / 4])  # one of twenty may


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_curves_with_weights_are_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    is_fake = np.append([0, 1], rng.integers(0, 2, 40))
    p_fake = rng.integers(0, 12, 42) / 11  # with ties
    weights = rng.integers(1, 4, (3, 42)).astype(float)
    c = metrics.threshold_curve(is_fake, p_fake, weights)
    for row, w in enumerate(weights):
        auc = sk.roc_auc_score(is_fake, p_fake, sample_weight=w)
        assert metrics.auc(c)[row] == pytest.approx(auc)
        ap = sk.average_precision_score(is_fake, p_fake, sample_weight=w)
        assert metrics.average_precision(c)[row] == pytest.approx(ap)
        fpr, tpr, _ = sk.roc_curve(is_fake, p_fake, sample_weight=w, drop_intermediate=False)
        assert metrics.recall_at(c, 0.2)[row] == pytest.approx(tpr[fpr <= 0.2].max())
        found = metrics.eer(c)[row]  # the ROC curve passes through (eer, 1 - eer)
        low = tpr[fpr < found - 1e-9].max(initial=0)
        high = tpr[fpr > found + 1e-9].min(initial=1)
        assert low - 1e-9 <= 1 - found <= high + 1e-9
    balanced = metrics.balanced_accuracy(is_fake, p_fake > 0.5, weights)
    for row, w in enumerate(weights):
        expected = sk.balanced_accuracy_score(is_fake, p_fake > 0.5, sample_weight=w)
        assert balanced[row] == pytest.approx(expected)


def test_log_loss_is_scikit_learns():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(3), 30)
    actual, weights = rng.integers(0, 3, 30), rng.random((2, 30))
    found = metrics.log_loss(actual, probabilities, weights)
    expected = [
        sk.log_loss(actual, probabilities, labels=[0, 1, 2], sample_weight=w) for w in weights
    ]
    assert found == pytest.approx(expected)
    sure_and_wrong = metrics.log_loss(np.array([0]), np.array([[0.0, 1.0]]), once(1))
    assert sure_and_wrong == pytest.approx(-np.log(1e-7))


def test_calibration_error_by_hand():
    # four times 0.9, right three times; twice 0.3, right once
    p = np.array([0.9, 0.9, 0.9, 0.9, 0.3, 0.3])
    happened = [1, 1, 1, 0, 1, 0]
    expected = 4 / 6 * abs(0.9 - 0.75) + 2 / 6 * abs(0.3 - 0.5)
    assert metrics.calibration_error(happened, p) == pytest.approx(expected)
    assert metrics.calibration_error([1, 1], [1.0, 1.0]) == 0
    # What is given 1 shares the last bin with what is given a little less.
    assert metrics.calibration_error([0, 1], [1.0, 0.98]) == pytest.approx(0.99 - 0.5)


def test_calibration_has_fifteen_bins_of_equal_width():
    """Guo et al. (2017): of 15 bins, 0.06 and 0.07 are in two, 0.07 and 0.13 in one."""
    found = metrics.reliability([0, 1, 1], [0.06, 0.07, 0.13])
    assert found["count"].tolist() == [1, 2]
    assert found["probability"].tolist() == pytest.approx([0.06, 0.1])
    assert found["happened"].tolist() == pytest.approx([0, 1])
    every = metrics.reliability(np.zeros(1000), (np.arange(1000) + 0.5) / 1000)
    assert len(every) == 15
    assert every["count"].max() - every["count"].min() <= 1


def test_the_best_threshold_lies_between_scores_and_is_the_one_nearest_to_half():
    assert metrics.best_threshold([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1]) == 0.5
    assert metrics.best_threshold([1, 1, 0, 0], [0.3, 0.28, 0.2, 0.1]) == pytest.approx(0.24)
    # .6 has to be let pass with the reals, or two fakes are lost
    found = metrics.best_threshold([1, 1, 1, 0, 0, 0], [0.9, 0.5, 0.4, 0.6, 0.1, 0.1])
    assert found == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("p_fake", "expected"), [((0.9, 0.8, 0.3, 0.2), 0.25), ((0.7, 0.6, 0.2, 0.1), 0.65)]
)
def test_of_two_equal_thresholds_the_one_nearer_to_half_is_taken(p_fake, expected):
    """Half of the fakes and no real are positive, or all fakes and half of the reals."""
    assert metrics.best_threshold([1, 0, 1, 0], p_fake) == pytest.approx(expected)


def test_a_score_equal_to_the_threshold_is_classified_as_real():
    assert metrics.best_threshold([1, 0], [0.9, 0.5]) == 0.5


@pytest.mark.parametrize(
    ("is_fake", "p_fake"), [([1, 0, 1], [0.7, 0.7, 0.7]), ([1, 1], [0.2, 0.3]), ([0, 0], [0.8, 1])]
)
def test_there_is_no_threshold_for_equal_scores_or_a_single_label(is_fake, p_fake):
    assert metrics.best_threshold(is_fake, p_fake) is None


@pytest.mark.parametrize("p_fake", [(0.1, 0.2, 0.8, 0.9), (0.4, 0.3, 0.4, 0.3)])
def test_a_threshold_no_better_than_chance_is_not_chosen(p_fake):
    """Fakes score below reals at every threshold, or equally often above and below."""
    assert metrics.best_threshold([1, 1, 0, 0], p_fake) is None


def test_the_smallest_gain_over_chance_gives_a_threshold():
    assert metrics.best_threshold([1, 0, 1], [0.4, 0.35, 0.1]) == pytest.approx(0.375)


def test_a_temperature_corrects_overconfidence_and_keeps_the_ranking():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    actual = np.array([rng.choice(3, p=row) for row in honest])
    boastful = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    found = metrics.best_temperature(actual, boastful)
    assert found == pytest.approx(3, rel=0.1)
    tempered = metrics.tempered(boastful, found)
    assert tempered.sum(axis=1) == pytest.approx(1)
    assert (tempered.argmax(axis=1) == boastful.argmax(axis=1)).all()
    assert metrics.tempered(honest, 1) == pytest.approx(honest)


@pytest.mark.parametrize(("right", "limit"), [(50, 20), (100, 0.05)])
def test_a_temperature_stays_within_its_limits(right, limit):
    """Equal confidence for all samples, which are correct half of the time or always."""
    actual = np.arange(100) >= right
    found = metrics.best_temperature(actual.astype(int), np.tile([0.9, 0.1], (100, 1)))
    assert found == pytest.approx(limit, rel=1e-9)
    assert metrics.temperature_at_limit(found)


def test_the_temperature_is_one_if_no_other_helps():
    assert metrics.best_temperature(np.arange(100) % 2, np.full((100, 2), 0.5)) == 1
