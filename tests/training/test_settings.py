import dataclasses
import tomllib

import pytest
import tomli_w

from classify.errors import ClassifyError
from classify.training.settings import Phase, TrainSettings, phases, read_config


def write(folder, **tables):
    path = folder / "c.toml"
    path.write_text(tomli_w.dumps(tables))
    return path


def test_a_file_gives_the_manifest_and_settings_and_the_others_are_defaults(tmp_path):
    path = write(tmp_path, training={"arch": "vgg16", "epochs": 3}, manifest={"path": "../m"})
    settings, manifest = read_config(path)
    assert settings == TrainSettings(arch="vgg16", epochs=3)
    assert manifest == tmp_path / "../m"
    assert read_config(write(tmp_path))[1] is None


def test_a_run_older_than_the_monitor_setting_monitors_the_validation_loss(tmp_path):
    run = write(tmp_path, training={"epochs": 3}, manifest={"path": "../m", "sha256": "0" * 64})
    assert read_config(run)[0] == TrainSettings(epochs=3, monitor="val_loss")
    named = {"epochs": 3, "monitor": "val_log_loss"}
    run = write(tmp_path, training=named, manifest={"path": "../m", "sha256": "0" * 64})
    assert read_config(run)[0] == TrainSettings(epochs=3)


def test_given_settings_override_those_of_the_file():
    settings = TrainSettings(epochs=3, seed=1).changed(epochs=5, seed=None, arch="vgg16")
    assert settings == TrainSettings(arch="vgg16", epochs=5, seed=1)


def test_settings_survive_a_round_trip_through_toml(tmp_path):
    settings = TrainSettings(dropout=0.5, head="gap", freeze="-20", class_weights=True)
    assert read_config(write(tmp_path, training=settings.table()))[0] == settings
    assert "size" not in tomllib.loads((tmp_path / "c.toml").read_text())["training"]


def test_a_weights_file_is_relative_to_the_configuration(tmp_path):
    (tmp_path / "w.h5").touch()
    path = write(tmp_path, training={"weights": "w.h5"})
    assert read_config(path)[0].weights == str(tmp_path / "w.h5")
    path = write(tmp_path, training={"weights": "imagenet"})
    assert read_config(path)[0].weights == "imagenet"


def test_the_number_of_layers_to_freeze_may_be_an_integer(tmp_path):
    assert read_config(write(tmp_path, training={"freeze": 20}))[0].freeze == "20"


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"patients": 3}, "unknown patients in the settings of training; choose from arch"),
        ({"epochs": "many"}, r"epochs \('many'\) must be of type int"),
        ({"epochs": True}, "type int"),
        ({"epochs": 2.5}, "type int"),
        ({"class_weights": 1}, "type bool"),
        ({"epochs": 0}, "at least 1"),
        ({"monitor": "accuracy"}, "unknown monitor 'accuracy'; choose from val_log_loss, val_loss"),
        ({"size": 8}, "at least 32"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"learning_rate": float("inf")}, "above 0"),
        ({"stride": 7}, r"stride \(7\) must be one of 4, 8, 16, 32"),
        ({"freeze": "abc"}, "all, none or a number of layers"),
        ({"freeze": 1.5}, "all, none or a number of layers"),
        ({"dropout": 1.0}, "below 1"),
        ({"schedule": "wild"}, "constant, cosine, plateau"),
        ({"sampling": "some"}, "all, balanced, pairs"),
        ({"unpaired": 0.1}, "requires sampling pairs"),
        ({"sampling": "pairs", "unpaired": 1.0}, "from 0 to below 1"),
        ({"augment": "wild"}, "rotate-shift"),
        ({"jit": "maybe"}, "auto, on, off"),
        ({"head_epochs": 10}, "must be below epochs"),
        ({"warmup_epochs": 1.0}, "schedule cosine"),
        ({"warmup_epochs": 10.0, "schedule": "cosine"}, r"of a phase \(10\)"),
        ({"warmup_epochs": float("inf"), "schedule": "cosine"}, r"of a phase \(10\)"),
        ({"fine_tuning_rate": 0.1}, "head_epochs"),
        ({"class_weights": True, "sampling": "balanced"}, "sampling balanced both.* use one"),
        ({"class_weights": True, "sampling": "pairs"}, "sampling pairs both.* use one"),
        ({"seed": 2**32}, "below"),
        ({"blend": 1.5}, "from 0 to 1"),
        ({"blend_class": True}, "requires blend"),
        ({"blend": 1.0, "blend_class": True}, "mode binary"),
        ({"blend": 1.0, "batch_size": 33}, r"batch_size \(33\) must be even"),
        ({"blend": 0.5, "batch_size": 2}, "at least 4"),
        ({"tta": "rotate"}, "unknown tta 'rotate'; choose from none, flip, auto"),
        ({"ema": 1.0}, "above 0 and below 1"),
        ({"ema": 0.0}, "above 0 and below 1"),
        ({"recipe": "best"}, "unknown recipe 'best'; choose from paper, blended, generalise"),
        ({"recipe": "no.toml"}, r"no\.toml: not a readable recipe"),
        ({"refit": True, "schedule": "plateau"}, "no validation loss"),
    ],
)
def test_invalid_settings_are_refused_naming_the_file(tmp_path, training, message):
    path = write(tmp_path, training=training)
    with pytest.raises(ClassifyError, match=message) as refused:
        read_config(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("content", [b"epochs = ", b"\xff\x00", None])
def test_an_unreadable_file_is_named(tmp_path, content):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClassifyError, match=str(path)):
        read_config(path)


def test_a_rate_may_be_an_integer():
    assert TrainSettings(learning_rate=1).learning_rate == 1


def test_one_phase_trains_all_layers_that_are_not_frozen():
    settings = TrainSettings(freeze="10", freeze_batch_norm=True, learning_rate=0.1, epochs=4)
    assert phases(settings) == [Phase(0, 4, "10", True, 0.1)]


def test_two_phases_train_the_head_and_then_all_layers_slowly_without_batch_norm_updates():
    settings = TrainSettings(head_epochs=3, epochs=10, freeze="-20", learning_rate=0.01)
    assert phases(settings) == [
        Phase(0, 3, "all", True, 0.01),
        Phase(3, 10, "-20", True, pytest.approx(0.001)),
    ]
    faster = dataclasses.replace(settings, fine_tuning_rate=0.5)
    assert phases(faster)[1].rate == 0.5
