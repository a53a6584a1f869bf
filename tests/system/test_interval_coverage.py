"""Confidence intervals contain the true value at about their nominal rate, on simulated data."""

import numpy as np
import pytest

from benchmarks.coverage import WORLDS, World, coverage, percentile, split
from classify.evaluation.confidence_intervals import jackknife_estimates
from classify.evaluation.evaluate import enough_reals_for_fpr, evaluate_scores
from classify.evaluation.thresholds import OperatingPoint

CLIPS_OF_FEW_FRAMES = World(frames=(2, 4))


@pytest.mark.slow
def test_jackknife_intervals_reach_95_percent_coverage_where_the_bootstrap_does_not():
    """With eight groups, bootstrap intervals cover the true value in 0.79 to 0.91 of 400 splits."""
    table, _ = coverage(CLIPS_OF_FEW_FRAMES, 8, "clip", tests=40)
    shown = table[table["jackknife_given"] > 0]
    assert len(shown) == 15  # all except recall at 1 % and at 5 %
    assert shown["jackknife_coverage"].mean() >= 0.95
    assert shown["jackknife_coverage"].min() >= 0.85  # 0.95 minus 3 standard errors of 40 tests
    assert shown["percentile_coverage"].mean() < 0.92


@pytest.mark.slow
def test_heavy_tailed_scores_are_covered_with_at_least_twenty_groups():
    world = World(separation=3, tail="t", frames=(2, 4))
    table, _ = coverage(world, 20, "clip", tests=40, old=False)
    shown = table[table["jackknife_given"] > 0]
    assert shown["jackknife_coverage"].mean() >= 0.93
    assert shown["jackknife_coverage"].min() >= 0.85


def test_recall_is_given_only_with_enough_groups_of_reals():
    rng = np.random.default_rng(0)
    clips = split(CLIPS_OF_FEW_FRAMES, 210, rng).clips()
    assert enough_reals_for_fpr(clips, 0.05)
    assert not enough_reals_for_fpr(clips, 0.01)
    assert not enough_reals_for_fpr(split(CLIPS_OF_FEW_FRAMES, 190, rng).clips(), 0.05)
    measures = evaluate_scores(clips, "clip", OperatingPoint("a test"), {}).measures
    assert np.isnan(measures["recall_at_1_percent"].value)
    assert measures["recall_at_5_percent"].low < measures["recall_at_5_percent"].value


def test_stills_that_never_score_high_do_not_resolve_recall():
    """Stills of a thousand people and clips of ten."""
    scores = split(World(separation=4, stills=100, frames=(10, 10)), 10, np.random.default_rng(1))
    assert scores.table.loc[~scores.is_fake, "group"].nunique() == 1010
    assert not enough_reals_for_fpr(scores, 0.01)


def test_both_methods_give_the_same_values_on_the_same_splits():
    scores = split(WORLDS["strong"], 5, np.random.default_rng(2)).clips()

    def accuracy(weights):
        return {"accuracy": weights @ (scores.actual == scores.predicted) / weights.sum(axis=1)}

    groups = scores.table["group"]
    estimators = (jackknife_estimates, percentile)
    jackknife, bootstrap = (f(groups, "all", accuracy)["accuracy"] for f in estimators)
    assert jackknife.value == bootstrap.value
    assert jackknife.high - jackknife.low > bootstrap.high - bootstrap.low  # five groups
