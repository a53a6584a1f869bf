import numpy as np
import pytest

from classify import metrics
from classify.bootstrap import FEW_GROUPS, estimates


def share_of(hits):
    return lambda weights: {"share": metrics.share(hits, weights)}


def test_whole_groups_are_drawn_so_that_many_frames_of_few_people_do_not_narrow_the_interval():
    # Thirty people, all frames of each right or wrong together, ten or a thousand of them.
    right = np.arange(30) % 3 > 0
    widths = []
    for frames in (10, 1000):
        hits, groups = np.repeat(right, frames), np.repeat(np.arange(30), frames)
        found = estimates(groups, "all", share_of(hits))["share"]
        assert found.value == pytest.approx(2 / 3)
        assert found.groups == 30
        widths.append((found.low, found.high))
    assert widths[0] == pytest.approx(widths[1])
    # The normal approximation of thirty independent people.
    half = 1.96 * np.sqrt(2 / 9 / 30)
    assert widths[0] == pytest.approx((2 / 3 - half, 2 / 3 + half), abs=0.03)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        skill = rng.beta(8, 4, 60)  # of sixty people; 8 / 12 on average
        hits = rng.random((60, 20)) < skill[:, None]
        found = estimates(np.repeat(np.arange(60), 20), "all", share_of(hits.ravel()))["share"]
        held += found.low <= 8 / 12 <= found.high
    assert 88 <= held <= 99


def test_the_same_scores_have_the_same_interval_every_time():
    hits = np.arange(30) % 3 > 0
    once, again = (estimates(np.arange(30), "all", share_of(hits)) for _ in range(2))
    assert once == again


def test_one_group_has_no_interval():
    found = estimates(["a"] * 5, "all", share_of([1, 1, 0, 1, 1]))["share"]
    assert found.value == pytest.approx(0.8)
    assert np.isnan([found.low, found.high]).all()
    assert not found.trusted


def test_groups_that_all_agree_give_no_interval():
    found = estimates(np.arange(40), "all", share_of(np.ones(40)))["share"]
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()


def test_an_interval_is_as_trustworthy_as_the_kind_with_the_fewest_groups():
    # Forty people's photographs, and the clips of two.
    groups = [f"still {i}" for i in range(40)] + ["one", "two"] * 20
    kinds = ["still"] * 40 + ["clip"] * 40
    hits = np.arange(80) % 3 > 0
    found = estimates(groups, kinds, share_of(hits))["share"]
    assert found.groups == 2
    assert not found.trusted
    assert estimates(groups[:FEW_GROUPS], "all", share_of(hits[:FEW_GROUPS]))["share"].trusted


def test_draws_in_which_a_measure_does_not_exist_are_left_out():
    is_fake, p_fake = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.5, 0.1])

    def measure(weights):
        return {"auc": metrics.auc(metrics.curve(is_fake, p_fake, weights))}

    found = estimates(["a", "b", "c", "d"], "all", measure)["auc"]  # some draws hold fakes alone
    assert found.value == pytest.approx(0.75)
    assert 0 <= found.low < found.high <= 1
