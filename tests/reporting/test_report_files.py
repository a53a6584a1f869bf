"""Tests of the tables of a report."""

import pandas as pd

from classify.evaluation.scores import Scores
from classify.reporting.report_files import confident_errors, worst_clips
from tests.helpers.scores import CLASSES, SCORES


def test_four_fakes_of_the_same_name_are_four_clips():
    methods = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    rows = pd.concat(
        [
            SCORES.table.iloc[[1]].assign(category=m, **{"class": m}, p_Deepfakes=p)
            for m, p in zip(methods, (0.1, 0.2, 0.3, 0.4), strict=True)
        ]
    )
    clips = Scores(rows, CLASSES).clips().table
    assert clips["category"].tolist() == list(methods)
    assert clips["clip"].tolist() == ["000_003"] * 4
    assert clips["p_Deepfakes"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert worst_clips(Scores(rows, CLASSES))["clip"].nunique() == 4


def test_errors_are_the_most_confident_wrong_predictions_one_per_clip():
    wrong = confident_errors(
        Scores(
            pd.concat([SCORES.table, SCORES.table.assign(frame=9, p_Youtube=0.0)]).assign(
                path="x", face_id=lambda t: t["face_id"] + t["frame"].astype(str)
            ),
            CLASSES,
        )
    )
    assert wrong["probability"].is_monotonic_decreasing
    assert not wrong.duplicated(["category", "compression", "clip"]).any()
    first = wrong.iloc[0]
    assert (first["class"], first["predicted"], first["probability"]) == (
        "Deepfakes",
        "Youtube",
        0.9,
    )
    assert "CelebA" not in set(wrong["class"])  # always classified correctly


def test_the_clips_with_the_largest_error_come_first():
    # Wrong by: c23 Deepfake .9, Youtube 003 .8, c40 Deepfake .4, Youtube 000 .4, FaceSwap .1
    order = list(dict.fromkeys(worst_clips(SCORES)["clip"]))
    assert order[:2] == ["Deepfakes, c23, 000_003", "Youtube, c40, 003"]
    assert order[-1] == "FaceSwap, c40, 000_003"
