"""settings.json: the recorded settings of a dataset folder."""

import json

import pytest

from ffpp_tools.errors import FormatError, TableError
from ffpp_tools.extraction.settings_file import (
    CLIPS_VERSION,
    SETTINGS,
    described,
    read_sections,
    recorded_settings,
    required_settings,
)


def test_a_folder_without_the_file_has_no_settings(tmp_path):
    assert recorded_settings(tmp_path) == {}


@pytest.mark.parametrize("text", [None, "{}"])
def test_a_dataset_without_settings_of_crops_is_refused_where_they_are_required(tmp_path, text):
    if text:
        (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(TableError, match=r"settings\.json is missing; extract the dataset again"):
        required_settings(tmp_path)
    (tmp_path / SETTINGS).write_text(json.dumps({"crop": {"margin": 1.5}}))
    assert required_settings(tmp_path) == recorded_settings(tmp_path)


def test_settings_that_are_newer_than_a_folder_have_the_values_used_for_its_crops(tmp_path):
    text = json.dumps({"crop": {"margin": 1.5}, "clips": {"faces": "all"}})
    (tmp_path / SETTINGS).write_text(text)
    sections = recorded_settings(tmp_path)
    assert (sections["crop"]["margin"], sections["crop"]["format"]) == (1.5, "png")
    assert (sections["clips"]["faces"], sections["clips"]["smooth"]) == ("all", 1)
    assert sections["clips"]["version"] == 1  # not the current rules
    assert sections.keys() == {"crop", "clips"}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"crop": {"margin": 1.5, "blur": 2}}, "crop has blur, which this release does not know"),
        (
            {"clips": {"version": CLIPS_VERSION + 1}},
            f"version {CLIPS_VERSION + 1} of the extraction rules; this release",
        ),
    ],
)
def test_settings_of_a_newer_release_are_an_error_with_a_remedy(tmp_path, sections, words):
    (tmp_path / SETTINGS).write_text(json.dumps(sections))
    with pytest.raises(FormatError, match=f"{words}.*pip install --upgrade"):
        read_sections(tmp_path / SETTINGS)


@pytest.mark.parametrize("text", ["{", '{"crop": 3}'])
def test_a_damaged_file_is_an_error(tmp_path, text):
    (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(TableError, match=r"settings\.json: damaged"):
        recorded_settings(tmp_path)


@pytest.mark.parametrize(
    ("stills", "text"),
    [
        (None, "none"),
        ({"whole": True}, "whole images"),
        ({"harmonise": True}, "matched to the clips"),
        ({"harmonise": False}, "cropped, not matched to the clips"),
    ],
)
def test_settings_are_described_in_words(stills, text):
    crop = {"margin": 1.3, "shape": "square", "align": False, "size": ""}
    sections = {"crop": crop, "find": {"detector": "hog"}}
    assert described(sections | ({} if stills is None else {"stills": stills})) == {
        "face detection": "detector hog",
        "face crops": "margin 1.3, shape square",
        "frames per clip": "not recorded",
        "stills": text,
    }
    assert set(described({}).values()) == {"not recorded"}


def test_crops_of_others_are_described_by_who_made_them():
    text = described({"crop": {"align": True}, "ready_crops": {"made_by": "deepfakebench"}})
    assert text["face detection"] == "that of deepfakebench"
    assert text["face crops"] == "taken unchanged, from deepfakebench"
    assert text["stills"] == "none"
