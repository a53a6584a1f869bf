import warnings

import numpy as np
import pytest
from scipy.stats import beta, t

from classify.evaluation import metrics
from classify.evaluation.confidence_intervals import FEW_GROUPS, _strata, jackknife_estimates


def share_of(hits):
    return lambda weights: {"share": metrics.weighted_mean(hits, weights)}


def test_many_frames_of_few_people_do_not_narrow_the_interval():
    # Thirty people, all frames of each right or wrong together, ten or a thousand of them.
    right = np.arange(30) % 3 > 0
    widths = []
    for frames in (10, 1000):
        hits, groups = np.repeat(right, frames), np.repeat(np.arange(30), frames)
        found = jackknife_estimates(groups, "all", share_of(hits))["share"]
        assert found.value == pytest.approx(2 / 3)
        assert found.groups == 30
        widths.append((found.low, found.high))
    assert widths[0] == pytest.approx(widths[1])
    # Clopper and Pearson's interval of thirty independent people.
    exact = beta.ppf([0.025, 0.975], [20, 21], [11, 10])
    assert widths[0] == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize("people", [8, 20, 60])
def test_the_interval_has_about_the_nominal_coverage(people):
    """A percentile bootstrap covers 0.86 with eight people."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        skill = rng.beta(8, 4, people)  # 8 / 12 on average
        hits = rng.random((people, 20)) < skill[:, None]
        groups = np.repeat(np.arange(people), 20)
        found = jackknife_estimates(groups, "all", share_of(hits.ravel()))["share"]
        held += found.low <= 8 / 12 <= found.high
    assert held >= 0.93 * 200


def test_the_interval_by_hand():
    """Four people of one sample each, values 1, 2, 3, 6 of a loss: mean 3, deviations -2 -1 0 3.

    Leaving one out moves the mean by a third of its deviation, so the jackknife's variance is
    3/4 · 14/9 = 7/6 = s²/n, and the last person's part 3/4. A loss is guarded twice: 7/6 + 3/2.
    """
    values = np.array([1.0, 2.0, 3.0, 6.0])

    def mean(weights):
        return {"mean": metrics.weighted_mean(values, weights)}

    found = jackknife_estimates(np.arange(4), "all", mean, losses=["mean"])["mean"]
    half = t.ppf(0.975, 3) * np.sqrt(7 / 6 + 3 / 2) / 3  # on the logarithmic scale
    assert found.low == pytest.approx(3 * np.exp(-half))
    assert found.high == pytest.approx(min(3 * np.exp(half), -np.log(1e-7)))
    shares = values / 10

    def share(weights):
        return {"share": metrics.weighted_mean(shares, weights)}

    found = jackknife_estimates(np.arange(4), "all", share)["share"]
    # 0.3 of 1: one more such person, and one of unknown outcome, 0.3 · 0.7 / 4².
    variance = (7 / 6 + 3 / 4) / 100 + 0.21 / 16
    half = t.ppf(0.975, 3) * np.sqrt(variance) / 0.21
    assert found.low == pytest.approx(1 / (1 + 7 / 3 * np.exp(half)))
    assert found.high == pytest.approx(1 / (1 + 7 / 3 * np.exp(-half)))
    found = jackknife_estimates(np.arange(4), "all", share, differences={"share": "share"})["share"]
    half = t.ppf(0.975, 3) * np.sqrt((7 / 6 + 3 / 4) / 100 + 0.21 / 16 / 4)
    assert (found.low, found.high) == pytest.approx((0.3 - half, 0.3 + half))


def test_variance_and_degrees_of_freedom_are_combined_over_strata():
    """Many stills, all correct, and clips of six people, half correct on average.

    The stills add nothing to the variance: t has five degrees of freedom, not hundreds.
    """
    clips = np.array([0.2, 0.4, 0.5, 0.5, 0.6, 0.8])
    values = np.append(np.repeat(clips, 50), np.ones(300))  # of fifty frames each
    groups = np.append(np.repeat(np.arange(6), 50), np.arange(6, 306))
    kinds = ["clip"] * 300 + ["still"] * 300

    def mean(weights):
        return {"mean": metrics.weighted_mean(values, weights)}

    found = jackknife_estimates(groups, kinds, mean, differences={"mean": "mean"})["mean"]
    assert found.value == pytest.approx(0.75)
    assert found.groups == 6
    # Half of the weight is the clips': standard error 0.5 · s / √6 of six people, and the guard.
    deviations = clips - clips.mean()
    variance = (deviations**2).sum() / 5 / 6
    guard = (deviations**2).max() / 5 / 6
    unknown = 0.75 * 0.25 / (2 * 6) ** 2
    half = t.ppf(0.975, 5) * np.sqrt((variance + guard) / 4 + unknown)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)
    one_stratum = jackknife_estimates(groups, "all", mean, differences={"mean": "mean"})["mean"]
    assert one_stratum.high - one_stratum.low > found.high - found.low


def test_categories_that_share_people_are_one_stratum():
    """Correct or wrong by category alone: if each were a stratum, nothing would vary."""
    groups = np.repeat(np.arange(30), 2)
    kinds = np.tile(["Youtube", "Deepfakes"], 30)
    hits = np.repeat(np.arange(30) % 2, 2)
    joined = jackknife_estimates(groups, kinds, share_of(hits), differences={"share": "share"})[
        "share"
    ]
    alone = jackknife_estimates(groups, "all", share_of(hits), differences={"share": "share"})[
        "share"
    ]
    assert (joined.low, joined.high) == (alone.low, alone.high)


def test_blocks_of_groups_give_about_the_same_interval_as_single_groups():
    rng = np.random.default_rng(2)
    hits = rng.random(3000) < 0.7
    found = jackknife_estimates(np.arange(3000), "all", share_of(hits))["share"]
    half = t.ppf(0.975, 199) * np.sqrt(hits.mean() * (1 - hits.mean()) / 3000)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.2)
    coarse = jackknife_estimates(np.arange(3000), "all", share_of(hits), quantiles=["share"])[
        "share"
    ]
    assert coarse.high - coarse.low == pytest.approx(2 * half, rel=0.4)
    assert (coarse.low, coarse.high) != (found.low, found.high)


def test_at_most_200_blocks_are_left_out_of_each_stratum_and_25_for_quantiles():
    """3,000 stills and 30 clips: a row of ones, then 200 + 30 rows, then 25 + 25."""
    groups = np.arange(3030)
    kinds = np.where(groups < 3000, "still", "clip")
    seen = []

    def share(weights):
        seen.append(weights)
        return {"share": metrics.weighted_mean(groups % 3 > 0, weights)}

    jackknife_estimates(groups, kinds, share)
    assert sum(map(len, seen)) == 1 + 200 + 30
    left_out = seen[1].blocks == np.arange(len(seen[1]))[:, None]
    assert (left_out.sum(axis=0) == 1).all()  # each group once
    assert set(left_out[:, :3000].sum(axis=1)) == {0, 15}
    assert set(left_out[:, 3000:].sum(axis=1)) == {0, 1}
    seen.clear()
    jackknife_estimates(groups, kinds, share, quantiles=["share"])
    assert sum(map(len, seen)) == 1 + 200 + 30 + 25 + 25


def test_groups_linked_by_categories_are_one_stratum():
    """Groups 0 and 1 share category 1; groups 2 to 4 share another; group 5 shares none."""
    codes, categories = np.array([0, 0, 1, 2, 3, 4]), np.array([0, 1, 1, 2, 2, 2])
    assert _strata(codes, categories).tolist() == [0, 0, 1, 1, 1]
    alone = _strata(np.append(codes, 5), np.append(categories, 3))
    assert alone.tolist() == [0, 0, 1, 1, 1, 0], "one group has no variance: it joins the fewest"
    assert _strata(np.arange(3), np.arange(3)).tolist() == [0, 0, 0]


def test_a_category_of_one_person_does_not_remove_the_interval():
    """Clips of thirty people and one still, which has no variance of its own."""
    groups = np.arange(31)
    values = np.append(np.tile([0.0, 1.0, 1.0], 10), 1.0)
    kinds = np.where(groups % 2, "fake", "real")
    categories = np.append(np.full(30, "Youtube"), "CelebA")

    def mean(weights):
        return {"mean": metrics.weighted_mean(values, weights)}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = jackknife_estimates(groups, kinds, mean, categories=categories)["mean"]
    assert 0.4 < found.low < found.value < found.high < 0.9


def test_a_difference_that_no_group_changes_has_no_interval():
    def none(weights):
        return {"gain": np.zeros(len(weights)), "other": np.full(len(weights), 0.5)}

    found = jackknife_estimates(np.arange(30), "all", none, differences={"gain": "other"})["gain"]
    assert (found.value, np.isnan(found.low), np.isnan(found.high)) == (0, True, True)


def test_the_same_scores_have_the_same_interval_every_time():
    hits = np.arange(30) % 3 > 0
    once, again = (jackknife_estimates(np.arange(30), "all", share_of(hits)) for _ in range(2))
    assert once == again


def test_one_group_has_no_interval():
    found = jackknife_estimates(["a"] * 5, "all", share_of([1, 1, 0, 1, 1]))["share"]
    assert found.value == pytest.approx(0.8)
    assert np.isnan([found.low, found.high]).all()
    assert not found.trusted


@pytest.mark.parametrize("frames", [1, 50])
def test_groups_that_all_agree_have_the_exact_bound(frames):
    """Clopper and Pearson: 0.025 ** (1 / 40) for forty people, with any number of frames."""
    groups = np.repeat(np.arange(40), frames)
    found = jackknife_estimates(groups, "all", share_of(np.ones(40 * frames)))["share"]
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 40))
    none = jackknife_estimates(groups, "all", share_of(np.zeros(40 * frames)))["share"]
    assert (none.low, none.high) == (0, pytest.approx(1 - 0.025 ** (1 / 40)))


def test_the_interval_widens_steadily_as_the_last_error_vanishes():
    """One wrong frame among 40 people of 1,000 frames each is close to none."""
    hits = np.ones(40_000)
    hits[0] = 0
    one = jackknife_estimates(np.repeat(np.arange(40), 1000), "all", share_of(hits))["share"]
    assert one.low == pytest.approx(0.025 ** (1 / 40), abs=0.01)
    assert one.value < one.high <= 1


def test_the_kind_with_the_fewest_groups_decides_if_an_interval_is_trusted():
    # Stills of forty people, and clips of two.
    groups = [f"still {i}" for i in range(40)] + ["one", "two"] * 20
    kinds = ["still"] * 40 + ["clip"] * 40
    hits = np.arange(80) % 3 > 0
    found = jackknife_estimates(groups, kinds, share_of(hits))["share"]
    assert found.groups == 2
    assert not found.trusted
    assert jackknife_estimates(groups[:FEW_GROUPS], "all", share_of(hits[:FEW_GROUPS]))[
        "share"
    ].trusted


def test_a_kind_with_one_group_has_no_interval():
    groups, kinds = np.arange(41), ["still"] * 40 + ["clip"]
    found = jackknife_estimates(groups, kinds, share_of(groups % 3 > 0))["share"]
    assert found.groups == 1
    assert np.isnan([found.low, found.high]).all()


def test_a_metric_undefined_without_some_group_has_no_interval():
    """Only one group has fakes: without it, AUC is undefined."""
    is_fake, p_fake = np.array([1, 0, 0, 0]), np.array([0.9, 0.4, 0.5, 0.1])

    def measure(weights):
        return {"auc": metrics.auc(metrics.threshold_curve(is_fake, p_fake, weights))}

    found = jackknife_estimates(["a", "b", "c", "d"], "all", measure)["auc"]
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()
