"""The share of crops that a network's input enlarges."""

import json
from dataclasses import asdict

import cv2
import pytest

from classify.data.crop_sizes import enlarged_share
from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.faces.crop import CropSettings


@pytest.fixture(scope="module")
def sides(videos_manifest):
    """The sides of the crop files of a split, in pixels."""
    paths = videos_manifest.samples("test")["path"]
    return [max(cv2.imread(str(videos_manifest.root / path)).shape) for path in paths]


@pytest.mark.parametrize("quantile", [0, 1 / 4, 1 / 2, 1])
def test_the_share_is_that_of_the_smaller_crop_files(videos_manifest, sides, quantile):
    size = sorted(sides)[round(quantile * (len(sides) - 1))] + 1
    expected = sum(side < size for side in sides) / len(sides)
    assert expected > 0
    assert enlarged_share(videos_manifest, "test", size) == pytest.approx(expected)
    assert enlarged_share(videos_manifest, "test", min(sides)) == 0


@pytest.mark.parametrize(
    ("changes", "least"), [({"size": "20x30"}, 30), ({"align": True}, 256), ({}, None)]
)
def test_crops_resized_by_extraction_have_at_most_their_size_on_disk(
    videos_manifest, sides, monkeypatch, changes, least
):
    settings = recorded_settings(videos_manifest.root)
    settings["crop"] = json.loads(json.dumps(asdict(CropSettings(**settings["crop"] | changes))))
    monkeypatch.setattr("classify.data.crop_sizes.recorded_settings", lambda _: settings)
    largest = min(max(sides), least) if least else max(sides)
    assert enlarged_share(videos_manifest, "test", largest) < 1
    assert enlarged_share(videos_manifest, "test", largest + 1) == 1
