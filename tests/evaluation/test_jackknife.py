"""Tests that metrics without each block equal those of explicit weights of ones and zeros."""

import numpy as np
import pytest

from classify.evaluation import metrics
from classify.evaluation.confidence_intervals import jackknife_estimates
from classify.evaluation.jackknife import JackknifeWeights


def written_out(left_out):
    return (left_out.blocks != np.arange(left_out.count)[:, None]).astype(float)


def drawn(seed):
    """Return samples with ties, with blocks of one label, an empty block, or one label only."""
    rng = np.random.default_rng(seed)
    n, count = int(rng.integers(1, 60)), int(rng.integers(1, 9))
    blocks = rng.integers(0, count, n)
    of_block = rng.random(count + 1)  # some blocks are all fake or all real
    fake = rng.random(n) < np.where(of_block < 0.3, 0, np.where(of_block > 0.7, 1, 0.5))[blocks]
    scores = rng.integers(0, int(rng.integers(1, 40)), n) / 39 + 0.3 * fake
    if seed % 7 == 0:
        scores[rng.random(n) < 0.2] = np.nan
    return fake, scores, JackknifeWeights(blocks, count + 1)


@pytest.mark.parametrize(
    "measure",
    [
        metrics.auc,
        metrics.average_precision,
        metrics.eer,
        *(lambda c, rate=rate: metrics.recall_at(c, rate) for rate in (0.0, 0.01, 0.2, 1.0)),
    ],
)
def test_curves_without_a_block_are_those_of_weights(measure):
    for seed in range(300):
        fake, scores, left_out = drawn(seed)
        found = measure(metrics.threshold_curve(fake, scores, left_out))
        expected = measure(metrics.threshold_curve(fake, scores, written_out(left_out)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-15, err_msg=str(seed))


def test_auc_without_a_block_by_hand():
    """Fakes .9 (block 0) .5 (1) .5 (2), reals .5 (0) .1 (1): without 0, two pairs in order."""
    fake, scores = [1, 1, 1, 0, 0], [0.9, 0.5, 0.5, 0.5, 0.1]
    left_out = JackknifeWeights(np.array([0, 1, 2, 0, 1]), 4)
    # Without 1: .9 above .5, and a tie. Without 2: .9 above both, .5 a tie and above .1.
    expected = [1, (1 + 1 / 2) / 2, (2 + 1 / 2 + 1) / 4, (2 + 2 * (1 / 2 + 1)) / 6]
    assert metrics.auc(metrics.threshold_curve(fake, scores, left_out)).tolist() == expected


def test_the_last_fake_or_real_cannot_be_left_out():
    left_out = JackknifeWeights(np.array([0, 1, 1]), 2)
    for measure in (metrics.auc, metrics.average_precision, metrics.eer):
        found = measure(metrics.threshold_curve([1, 0, 0], [0.9, 0.8, 0.1], left_out))
        assert np.isnan(found).all()


def test_sums_and_shares_without_a_block_are_those_of_weights():
    for seed in range(100):
        hits, values, left_out = drawn(seed)
        weights, values = written_out(left_out), np.nan_to_num(values)
        np.testing.assert_allclose(left_out @ values, weights @ values, atol=1e-13)
        assert left_out.sum(axis=1).tolist() == weights.sum(axis=1).tolist()
        found, expected = (
            [metrics.weighted_mean(hits, w), metrics.balanced_accuracy(hits, values > 0.5, w)]
            for w in (left_out, weights)
        )
        np.testing.assert_allclose(found, expected, atol=2e-15)
        some = np.flatnonzero(hits)
        assert written_out(left_out[:, some]).tolist() == weights[:, some].tolist()


def test_intervals_are_those_of_leaving_out_one_group_after_the_other():
    """Twelve people, left out one by one; the jackknife variance by its formula."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 12, 400)
    fake = rng.random(400) < 0.5
    scores = np.round(fake + rng.normal(size=400) + rng.normal(size=12)[group], 1)

    def auc(weights):
        return {"auc": metrics.auc(metrics.threshold_curve(fake, scores, weights))}

    found = jackknife_estimates(group, "all", auc, differences={"auc": "auc"})["auc"]
    one_by_one = [
        metrics.auc(metrics.threshold_curve(fake[group != g], scores[group != g]))[0]
        for g in range(12)
    ]
    squares = (one_by_one - np.mean(one_by_one)) ** 2 * 11 / 12
    unknown = found.value * (1 - found.value) / 24**2
    half = 2.200985 * np.sqrt(squares.sum() + squares.max() + unknown)  # t of 11
    assert found.high - found.value == pytest.approx(min(half, 1 - found.value))
    assert found.value - found.low == pytest.approx(half)
