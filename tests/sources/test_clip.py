"""Metadata in the names of clips."""

import pytest

from ffpp_tools.sources.clip import Clip


@pytest.mark.parametrize(
    ("category", "name", "target", "source", "label"),
    [
        ("Youtube", "183", "183", "", "real"),
        ("Deepfakes", "183_253", "183", "253", "fake"),
        ("Actors", "13__walking_down_indoor_hall_disgust", "13", "", "real"),
        ("DeepFakeDetection", "01_02__kitchen_pan__YCSEBZO4", "01", "02", "fake"),
    ],
)
def test_target_source_and_label_come_from_the_name(
    tmp_path, category, name, target, source, label
):
    clip = Clip(category, "c40", name, tmp_path)
    assert (clip.target_id, clip.source_id, clip.label) == (target, source, label)
