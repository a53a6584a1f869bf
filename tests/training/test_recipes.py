"""Recipes of training settings: their files, and which setting overrides which."""

import pytest
import tomli_w

from classify.errors import ClassifyError
from classify.training import recipes
from classify.training.network import with_arch_defaults
from classify.training.settings import TrainSettings, read_config


def config(folder, manifest=None, **training):
    path = folder / "c.toml"
    tables = {"training": training} | ({"manifest": manifest} if manifest else {})
    path.write_text(tomli_w.dumps(tables))
    return path


def test_the_default_recipe_is_that_of_the_paper_and_sets_the_defaults():
    assert recipes.names() == ["paper", "blended", "generalise"]
    assert TrainSettings.of_recipe("paper") == TrainSettings()
    assert TrainSettings().recipe == "paper"


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_of_the_package_gives_the_settings_of_its_file_and_its_name(name):
    recipe = recipes.read(name)
    settings = TrainSettings.of_recipe(name)
    assert recipe.about
    assert {key: getattr(settings, key) for key in recipe.settings} == recipe.settings
    defaults = TrainSettings().table() | {"recipe": name}
    assert {k: v for k, v in settings.table().items() if k not in recipe.settings} == {
        k: v for k, v in defaults.items() if k not in recipe.settings
    }


def test_changes_override_the_recipe():
    settings = TrainSettings.of_recipe("generalise", epochs=30, learning_rate=None)
    expected = recipes.read("generalise").settings
    assert (settings.epochs, settings.learning_rate) == (30, expected["learning_rate"])
    assert settings.recipe == "generalise"


def test_settings_of_backbones_are_ignored_for_a_network_without_one():
    settings = TrainSettings.of_recipe("generalise", arch="sepconv")
    assert (settings.head, settings.dropout, settings.freeze_batch_norm) == (None, None, False)
    assert settings.schedule == "cosine"
    assert TrainSettings.of_recipe("generalise", arch="vgg16").head == "gap"


@pytest.mark.parametrize(
    ("name", "changes", "remedy"),
    [
        ("generalise", {"schedule": "constant"}, "generalise has warmup_epochs = 0.5"),
        ("blended", {"schedule": "constant"}, "blended has warmup_epochs = 0.5"),
        ("blended", {"batch_size": 31}, "blended has blend = 1.0"),
    ],
)
def test_a_change_that_does_not_fit_the_recipe_names_its_setting(name, changes, remedy):
    with pytest.raises(ClassifyError, match=f"{remedy}: set a value that fits"):
        TrainSettings.of_recipe(name, **changes)


@pytest.mark.parametrize(
    ("recipe", "changes", "differing"),
    [
        ("paper", {}, set()),
        ("paper", {"arch": "xception", "size": 299}, {"arch", "size"}),
        ("paper", {"blend": 0.5, "ema": 0.9, "tta": "flip"}, {"blend", "ema", "tta"}),
        ("paper", {"head": "gap", "class_weights": True}, {"head", "class_weights"}),
        ("generalise", {"epochs": 9, "unpaired": 0.3}, {"epochs", "unpaired"}),
        ("generalise", {"arch": "sepconv"}, {"arch"}),
        ("paper", {"dropout": 0.0, "fraction": 0.5}, {"dropout", "fraction"}),
        ("generalise", {"unpaired": 0.0}, {"unpaired"}),
        ("generalise", {"seed": 3, "jit": "off"}, set()),
    ],
)
def test_a_record_names_all_settings_that_differ_from_the_recipe(recipe, changes, differing):
    settings = with_arch_defaults(TrainSettings.of_recipe(recipe, **changes))
    assert set(settings.differing_from_recipe) == differing


def test_a_file_is_a_recipe_and_is_recorded_by_its_file_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('about = "mine"\nepochs = 3\nfreeze = 20\nweights = "noisy-student"\n')
    settings = TrainSettings.of_recipe(str(path))
    expected = {"epochs": 3, "freeze": "20", "weights": "noisy-student", "recipe": "mine.toml"}
    assert settings == TrainSettings(**expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown epoch in the settings of training; choose from arch"),
        ("epochs = 0", r"epochs \(0\) must be at least 1"),
        ('manifest = "m"', "unknown manifest"),
        ('weights = "w.h5"', "no weights file: choose from imagenet, noisy-student, none"),
        ('recipe = "paper"', "a recipe cannot set recipe"),
        ("about = 3", "about must be text"),
        ('arch = "sepconv"\nfreeze_batch_norm = 1', "must be of type bool"),  # it has no backbone
        ("epochs = ", "invalid TOML"),
        (None, "not a readable recipe"),
    ],
)
@pytest.mark.parametrize("named_by", ["command", "config"])
def test_an_invalid_recipe_is_an_error_that_names_its_file(tmp_path, named_by, text, message):
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ClassifyError, match=message) as refused:
        if named_by == "command":
            TrainSettings.of_recipe(str(path))
        else:
            read_config(config(tmp_path, recipe="mine.toml"))
    assert str(path) in str(refused.value)


def test_an_unknown_recipe_is_an_error_with_the_known_names():
    with pytest.raises(ClassifyError, match="'best'; choose from paper, blended, generalise, or"):
        TrainSettings.of_recipe("best")


def test_a_configuration_overrides_the_recipe_that_it_names(tmp_path):
    path = config(tmp_path, recipe="generalise", epochs=30)
    settings, _ = read_config(path)
    assert settings == TrainSettings.of_recipe("generalise", epochs=30)
    settings, _ = read_config(path, {"epochs": 4, "arch": "sepconv"})
    assert settings == TrainSettings.of_recipe("generalise", epochs=4, arch="sepconv")


def test_a_recipe_of_the_command_line_replaces_that_of_the_configuration(tmp_path):
    path = config(tmp_path, recipe="generalise", epochs=30)
    assert read_config(path, {"recipe": "paper"})[0] == TrainSettings(epochs=30)
    path = config(tmp_path, epochs=30)
    expected = TrainSettings.of_recipe("generalise", epochs=30)
    assert read_config(path, {"recipe": "generalise"})[0] == expected


def test_a_runs_configuration_keeps_its_settings_when_the_recipe_changes(tmp_path, monkeypatch):
    settings = TrainSettings.of_recipe("generalise", seed=3)
    path = config(tmp_path, {"path": "../m", "sha256": "0" * 64}, **settings.table())

    def gone(*_):
        raise ClassifyError("a recipe was read")

    monkeypatch.setattr(recipes, "read", gone)
    assert read_config(path, {"batch_size": 8})[0] == settings.changed(batch_size=8)
    with pytest.raises(ClassifyError, match=r"holds all settings of a run.*omit --recipe"):
        read_config(path, {"recipe": "paper"})
