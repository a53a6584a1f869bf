"""Recipes of a package, and recipes in other files."""

import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.recipe_files import RecipeFiles

FILES = RecipeFiles("data_manifests", SettingsError)


def test_a_recipe_of_the_package_is_read_by_its_name():
    assert {"grouped", "official", "paper"} <= set(FILES.names())
    path, table = FILES.read("grouped")
    assert path.name == "grouped.toml"
    assert table["rule"] == "grouped"


def test_names_are_sorted_after_the_default():
    assert FILES.names() == sorted(FILES.names())
    others = [name for name in FILES.names() if name != "paper"]
    assert RecipeFiles("data_manifests", SettingsError, "paper").names() == ["paper", *others]


def test_a_path_is_relative_to_the_folder(tmp_path):
    (tmp_path / "grouped.toml").write_text("seed = 3")
    assert FILES.read("grouped.toml", tmp_path) == (tmp_path / "grouped.toml", {"seed": 3})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"mine\.toml: not a readable recipe"),
        (b"\xff", r"mine\.toml: not a readable recipe"),
        (b"seed = ", r"mine\.toml: invalid TOML"),
        (b"a = " + b"[" * 9999, r"mine\.toml: invalid TOML"),
    ],
)
def test_an_unreadable_file_is_an_error_that_names_it(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        FILES.read(str(path))


def test_other_kinds_have_their_own_folder_and_word():
    profiles = RecipeFiles("ffpp_tools", SettingsError, "default", kind="profile")
    assert profiles.names() == ["default", "deepfakebench", "paper"]
    with pytest.raises(SettingsError, match="unknown profile 'best'; choose from default, "):
        profiles.read("best")


def test_an_unknown_name_is_an_error_with_the_known_ones():
    with pytest.raises(SettingsError, match="unknown recipe 'best'; choose from 140k, dcgan, "):
        FILES.read("best")
