"""Tests of the evaluation of synthetic predictions."""

import numpy as np
import pytest

from classify.evaluation import metrics
from classify.evaluation.evaluate import auc_against_originals, flat
from classify.evaluation.scores import Scores
from classify.evaluation.thresholds import OperatingPoint
from tests.helpers.scores import CLASSES, SCORES, judged, of_people, scored


def test_frames_are_evaluated_with_p_fake_summed_over_the_fake_classes():
    found = judged()
    assert found.samples == 7
    assert found.measures["accuracy"].value == pytest.approx(4 / 7)
    # P(fake): CelebA .1 | Deepfakes .8 .4 .1 | FaceSwap .9 | Youtube .4 .8
    # fake-real pairs in order: .8 → 2.5, .4 → 1.5, .1 → .5, .9 → 3 of 3 each
    assert found.measures["auc"].value == pytest.approx((2.5 + 1.5 + 0.5 + 3) / 12)
    # without CelebA, the easy one, and each compression with its own: 2 of 4, 2 of 2, and no c23
    against = found.measures["auc_against_originals"].value
    assert against == pytest.approx((2 / 4 + 2 / 2) / 2)
    assert found.confusion.loc["Deepfakes"].tolist() == [0, 1, 0, 2]
    assert found.percent.loc["Youtube"].tolist() == pytest.approx([0, 50, 0, 50])


def test_each_manipulation_is_compared_with_its_originals_of_the_same_compression():
    table = flat(judged().manipulations).set_index(["category", "compression"])
    assert table.loc[("Deepfakes", "c40"), "auc"] == pytest.approx(2 / 4)
    assert np.isnan(table.loc[("Deepfakes", "c23"), "auc"])
    assert table.loc[("FaceSwap", "c40"), "auc"] == 1.0
    assert table.loc[("FaceSwap", "c40"), "eer"] == 0.0
    assert table.loc[("Deepfakes", "c40"), "auc_against_all"] == pytest.approx(4 / 6)
    assert table.loc[("Deepfakes", "c40"), "samples"] == 2
    assert table.loc[("Deepfakes", "c40"), "missed"] == 0.04


def test_detection_uses_the_threshold_fitted_on_validation():
    at = OperatingPoint("a test", frame_threshold=0.35, clip_threshold=0.65)
    found = judged(at=at)
    assert found.binary_confusion.loc["fake"].tolist() == [3, 1]
    assert found.binary_confusion.loc["real"].tolist() == [2, 1]
    rates = flat(found.manipulations).set_index(["category", "compression"])["detected"]
    assert rates["Deepfakes", "c40"] == 1.0
    reals = flat(found.reals).set_index("category")["called_real"]
    assert (reals["CelebA"], reals["Youtube"]) == (1.0, 0.0)
    clips = judged(SCORES.clips(), at, "clip")
    assert clips.threshold == 0.65
    assert clips.binary_confusion.loc["fake"].tolist() == [1, 2]  # means .6, .1 and .9


def test_a_sample_at_the_threshold_is_classified_as_real():
    scores = scored(
        ("FaceSwap", "c40", "000_003", (0.0, 0.0, 0.5, 0.5)),
        ("Youtube", "c40", "000", (0.0, 0.0, 0.5, 0.5)),
    )
    found = judged(scores)
    assert found.binary_confusion.to_numpy().tolist() == [[0, 1], [0, 1]]
    assert found.manipulations[0].detected.value == 0
    assert found.reals[0].called_real.value == 1


def test_intervals_are_over_people_and_not_clips():
    found = judged(of_people(("Deepfakes", 3), ("FaceSwap", 5), ("Youtube", 4)))
    assert found.fewest == ("Deepfakes", 3)
    assert (found.samples, found.groups) == (24, 5)
    assert found.measures["accuracy"].groups == 3
    deepfakes, faceswap = found.manipulations
    assert (deepfakes.groups, faceswap.groups, found.reals[0].groups) == (3, 5, 4)
    assert (deepfakes.auc.groups, faceswap.auc.groups) == (3, 4)  # the fewer of both sides
    assert (deepfakes.auc_against_all.groups, faceswap.auc_against_all.groups) == (3, 4)
    # Each person is half right; agreement of three people says little about others.
    assert deepfakes.detected.low < 0.1
    assert deepfakes.detected.high > 0.9


def test_tempered_metrics_are_those_of_the_tempered_probabilities():
    found = judged(at=OperatingPoint("", temperature=3.0))
    tempered = metrics.tempered(SCORES.probabilities, 3.0)
    right = SCORES.actual == SCORES.predicted
    once = np.ones((1, len(SCORES)))
    for name, probabilities in (("", SCORES.probabilities), ("_tempered", tempered)):
        loss = metrics.log_loss(SCORES.actual, probabilities, once)[0]
        assert found.measures[f"log_loss{name}"].value == pytest.approx(loss)
        error = metrics.calibration_error(right, probabilities.max(axis=1))
        assert getattr(found, f"calibration_error{name}") == pytest.approx(error)
    assert found.calibration_error != pytest.approx(found.calibration_error_tempered)


def test_weights_without_one_manipulation_average_over_the_others():
    without_faceswap = np.where(SCORES.table["category"] == "FaceSwap", 0.0, 1.0)
    second_youtube_twice = np.where(SCORES.table["clip"] == "003", 2.0, 1.0)
    found = auc_against_originals(SCORES, np.stack([without_faceswap, second_youtube_twice]))
    # Deepfakes .8 .4 against .4 and twice .8: 2 and .5 of 3 each.
    assert found == pytest.approx([2 / 4, (2.5 / 6 + 1) / 2])


def part_of(scores, keep):
    return Scores(scores.table[keep(scores.table)].reset_index(drop=True), scores.classes)


@pytest.mark.parametrize(
    "keep",
    [
        lambda t: t["label"] == "fake",
        lambda t: t["label"] == "real",
        lambda t: t["compression"] == "still",
        lambda t: t["category"] == "FaceSwap",
    ],
    ids=["only fakes", "only reals", "only stills", "one clip"],
)
def test_metrics_without_samples_are_nan_and_others_are_unaffected(keep):
    found = judged(part_of(SCORES, keep))
    assert np.isnan(found.measures["auc"].value)
    assert np.isnan(found.measures["eer"].value)
    assert np.isfinite(found.measures["accuracy"].value)
    assert (
        len(found.manipulations) + len(found.reals)
        == found.scores.table.groupby(["category", "compression"]).ngroups
    )


def test_generated_stills_have_no_originals_and_count_only_against_all_reals():
    table = SCORES.table.assign(category=SCORES.table["category"].replace("FaceSwap", "DCGAN"))
    found = judged(Scores(table, CLASSES))
    (gan,) = (m for m in found.manipulations if m.category == "DCGAN")
    assert np.isnan(gan.auc.value)
    assert gan.auc_against_all.value == 1.0
    assert found.measures["auc_against_originals"].value == pytest.approx(2 / 4)  # Deepfakes alone
