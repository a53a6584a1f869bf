"""settings.json: what a dataset folder was made with."""

import json

import pytest

from ffpp_tools.errors import FormatError, TableError
from ffpp_tools.extraction.settings_file import (
    CLIPS_VERSION,
    SETTINGS,
    read_sections,
    recorded_settings,
)


def test_a_folder_without_the_file_has_no_settings(tmp_path):
    assert recorded_settings(tmp_path) == {}


def test_what_a_folder_is_older_than_has_the_value_its_crops_were_made_with(tmp_path):
    text = json.dumps({"crop": {"margin": 1.5}, "clips": {"faces": "all"}})
    (tmp_path / SETTINGS).write_text(text)
    sections = recorded_settings(tmp_path)
    assert (sections["crop"]["margin"], sections["crop"]["format"]) == (1.5, "png")
    assert (sections["clips"]["faces"], sections["clips"]["smooth"]) == ("all", 1)
    assert sections["clips"]["version"] == 1  # rules that are not today's
    assert sections.keys() == {"crop", "clips"}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"crop": {"margin": 1.5, "blur": 2}}, "crop has blur, which this release does not know"),
        ({"clips": {"version": CLIPS_VERSION + 1}}, f"rules {CLIPS_VERSION + 1}; this release"),
    ],
)
def test_what_a_newer_release_wrote_is_refused_with_what_to_do(tmp_path, sections, words):
    (tmp_path / SETTINGS).write_text(json.dumps(sections))
    with pytest.raises(FormatError, match=f"{words}.*pip install --upgrade"):
        read_sections(tmp_path / SETTINGS)


@pytest.mark.parametrize("text", ["{", '{"crop": 3}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(TableError, match=r"settings\.json: damaged"):
        recorded_settings(tmp_path)
