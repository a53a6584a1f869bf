"""Tests of scores per clip and of classes."""

import pandas as pd
import pytest

from classify.evaluation.scores import classes_of
from tests.helpers.scores import CLASSES, SCORES


def test_a_clip_has_the_mean_of_its_crops_and_fakes_of_one_name_stay_separate():
    clips = SCORES.clips().table.set_index(["category", "compression", "clip"])
    assert len(clips) == 5
    assert not (clips.index.get_level_values("compression") == "still").any()
    means = clips.loc[("Deepfakes", "c40", "000_003"), [f"p_{c}" for c in CLASSES]]
    assert means.tolist() == pytest.approx([0.0, 0.4, 0.2, 0.4])
    assert clips.loc[("FaceSwap", "c40", "000_003"), "p_FaceSwap"] == 0.8


def test_the_manifests_class_takes_precedence_over_the_category():
    """For example, a manifest whose class Deepfakes includes the crops of FaceSwap."""
    samples = pd.DataFrame({"category": ["FaceSwap", "Youtube"], "label": ["fake", "real"]})
    for own, expected in (("Deepfakes", "Deepfakes"), ("swaps", "FaceSwap")):
        table = samples.assign(**{"class": [own, "Youtube"]})
        assert classes_of(table, CLASSES).tolist() == [expected, "Youtube"]
    assert classes_of(samples, {"fake": "fake", "real": "real"}).tolist() == ["fake", "real"]
