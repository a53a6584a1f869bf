"""Profiles: what the ones of the package are, and how options override them."""

import json
from dataclasses import replace

import pytest

from ffpp_tools.cli import profiles
from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.store.tables import read_faces
from tests.helpers.worlds import SETTINGS

BARE = {"margin": 1.0, "shape": "box", "align": False}
ALIGNED = {"margin": 1.3, "shape": "square", "align": True, "alignment": "deepfakebench"}


@pytest.fixture
def extracted(typed, ffpp, tmp_path, monkeypatch):
    """Runs ffpp-extract on one clip; returns the recorded settings, or the error."""
    monkeypatch.chdir(tmp_path)

    def run(*options):
        words = [ffpp, "--category", "Youtube", "--limit", 1, "--workers", 1]
        status, _, err = typed("ffpp-extract", *words, *options)
        return recorded_settings(tmp_path / "dataset") if status == 0 else err

    return run


def test_the_default_profile_is_what_the_options_are_without_one(extracted):
    without = extracted()
    assert without["clips"].pop("profile") == ""
    named = extracted("--profile", "default", "--out", "dataset", "--overwrite")
    assert named["clips"].pop("profile") == "default"
    assert named == without
    plain = json.loads(json.dumps({"crop": vars(CropSettings())}))
    assert without["crop"] == plain["crop"]


@pytest.mark.parametrize(
    ("profile", "crop", "search", "plan"),
    [
        ("paper", BARE, "full", {"every": 25, "per_clip": None}),
        ("deepfakebench", ALIGNED, "full", {"every": None, "per_clip": 32}),
    ],
)
def test_a_profile_sets_its_options_and_is_recorded(extracted, profile, crop, search, plan):
    settings = extracted("--profile", profile)
    assert crop.items() <= settings["crop"].items()
    assert settings["find"]["search"] == search
    assert settings["clips"]["plan"] == plan
    assert settings["clips"]["profile"] == profile
    assert settings["clips"]["twins"] is False


def test_the_command_line_goes_over_the_file_and_the_file_over_the_profile(extracted, tmp_path):
    (tmp_path / "options.toml").write_text('profile = "deepfakebench"\nmargin = 1.5\nevery = 20\n')
    settings = extracted("--config", "options.toml", "--search", "fast", "--margin", 1.4)
    assert settings["crop"]["margin"] == 1.4
    assert settings["crop"]["alignment"] == "deepfakebench"
    assert settings["find"]["search"] == "fast"
    assert settings["clips"]["plan"] == {"every": 20, "per_clip": None}
    expected = "deepfakebench, except margin, search, frames-per-clip"
    assert settings["clips"]["profile"] == expected


def test_the_order_of_the_options_does_not_matter(extracted, tmp_path):
    (tmp_path / "options.toml").write_text("margin = 1.5\n")
    settings = extracted("--profile", "paper", "--config", "options.toml", "--shape", "square")
    assert (settings["crop"]["margin"], settings["crop"]["shape"]) == (1.5, "square")


def test_stills_have_the_profiles_own_options(typed, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [world / "CelebA", "--category", "CelebA", "--limit", 1, "--workers", 1]
    assert typed("ffpp-stills", *words, "--profile", "paper")[0] == 0
    settings = recorded_settings(tmp_path / "dataset")
    assert (settings["stills"]["whole"], settings["stills"]["profile"]) == (True, "paper")
    assert read_faces(tmp_path / "dataset")["box_from"].tolist() == ["whole"]


def test_the_name_of_a_profile_is_recorded_and_not_compared(few, tmp_path):
    extract_dataset(few[:1], tmp_path, replace(SETTINGS, profile="mine"))
    extract_dataset(few, tmp_path, SETTINGS)
    assert recorded_settings(tmp_path)["clips"]["profile"] == "mine"
    assert ClipSettings(profile="mine") == ClipSettings()
    assert StillSettings(profile="mine") == StillSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("about = 3", "about must be text"),
        ("clips = 3", "clips and stills must be tables"),
        ("colour = true", "unknown option colour"),
    ],
)
def test_a_profile_of_ones_own_is_checked(extracted, tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    assert message in extracted("--profile", "mine.toml")
    assert not (tmp_path / "dataset").exists()


def test_a_profile_of_ones_own_is_recorded_by_its_file_name(extracted, tmp_path):
    (tmp_path / "mine.toml").write_text('about = "mine"\nmargin = 2.0\n')
    settings = extracted("--profile", tmp_path / "mine.toml")
    assert (settings["crop"]["margin"], settings["clips"]["profile"]) == (2.0, "mine.toml")


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_of_the_package_is_described(name):
    assert 20 < len(profiles.read(name).about) < 100


def test_unknown_profiles_are_refused():
    with pytest.raises(SettingsError, match="unknown profile 'best'"):
        profiles.read("best")
