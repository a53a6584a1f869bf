import dataclasses
import json
import shutil
import tomllib

import keras
import numpy as np
import pytest

from classify.data.pack import pack
from classify.errors import ClassifyError, ModelError, RunError
from classify.evaluation.metrics import log_loss
from classify.evaluation.predict import score_split
from classify.models import build
from classify.training.runs import Run, load_model
from classify.training.settings import TrainSettings
from classify.training.train import train
from ffpp_tools.errors import TableError
from ffpp_tools.files import sha256
from ffpp_tools.splits.build import SplitSettings, make_manifest
from tests.helpers.files import hashes
from tests.helpers.runs import TINY, train_tiny


@pytest.fixture(scope="module")
def run(videos_manifest, tmp_path_factory):
    """A short training run on the synthetic dataset."""
    return train_tiny(videos_manifest.folder, tmp_path_factory.mktemp("runs") / "r")


def test_the_run_folder_holds_everything_needed_to_repeat_the_run(run, videos_manifest):
    names = {p.name for p in run.folder.iterdir()}
    assert {"config.toml", "environment.json", "log.csv", "best.keras", "last.keras"} <= names
    config = tomllib.loads((run.folder / "config.toml").read_text())
    training = config["training"]
    assert (training["arch"], training["weights"], training["epochs"]) == ("sepconv", "none", 3)
    manifest = run.folder / config["manifest"]["path"]
    assert manifest.resolve() == videos_manifest.folder.resolve()
    environment = json.loads((run.folder / "environment.json").read_text())
    assert environment["packages"]["keras"] == keras.__version__
    assert Run.read(run.folder) == run
    # A finished run is saved without the optimizer's state, twice the size of the weights.
    last, best = ((run.folder / f"{name}.keras").stat().st_size for name in ("last", "best"))
    assert last < 1.2 * best


def test_the_log_has_a_row_per_epoch_with_validation(run):
    assert list(run.log["epoch"]) == [0, 1, 2]
    for column in ("loss", "log_loss", "accuracy", "val_loss", "val_log_loss", "val_accuracy"):
        assert np.isfinite(run.log[column]).all()


class Trained(keras.callbacks.Callback):
    """The trained weights after every step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        weights = self.model.trainable_weights
        self.steps.append([np.array(keras.ops.convert_to_numpy(w)) for w in weights])


def trainable(folder, name):
    weights = load_model(folder / name).trainable_weights
    return [keras.ops.convert_to_numpy(w) for w in weights]


@pytest.mark.parametrize("refit", [False, True])
def test_the_checkpoint_holds_the_moving_average_of_the_weights(refit, videos_manifest, tmp_path):
    """The average starts from the weights after the first step."""
    settings = dataclasses.replace(TINY, ema=0.9, refit=refit, learning_rate=0.01, epochs=2)
    steps = Trained()
    run = train(videos_manifest.folder, tmp_path / "r", settings, [steps])
    averages, after_epoch = steps.steps[0], {}
    per_epoch = len(steps.steps) // 2
    for number, weights in enumerate(steps.steps):
        if number:
            averages = [0.9 * a + 0.1 * w for a, w in zip(averages, weights, strict=True)]
        after_epoch[number // per_epoch + 1] = averages
    files = (("best.keras", run.kept_epoch), ("last.keras", 2))
    for name, epoch in files:
        kept = trainable(run.folder, name)
        last_step = steps.steps[epoch * per_epoch - 1]
        for ours, average in zip(kept, after_epoch[epoch], strict=True):
            np.testing.assert_allclose(ours, average, atol=1e-6)
        assert max(np.abs(a - b).max() for a, b in zip(kept, last_step, strict=True)) > 1e-3
    plain = Trained()
    without = dataclasses.replace(settings, ema=None)
    train(videos_manifest.folder, tmp_path / "plain", without, [plain])
    for ours, other in zip(steps.steps[-1], plain.steps[-1], strict=True):
        np.testing.assert_array_equal(ours, other)  # averaging changes no step


@pytest.mark.parametrize(
    "changes", [{}, {"class_weights": True, "mixed_precision": True}, {"ema": 0.9}]
)
def test_the_logged_log_loss_is_that_of_the_saved_predictions(
    run, videos_manifest, tmp_path, changes
):
    trained = train_tiny(videos_manifest.folder, tmp_path / "r", **changes) if changes else run
    scores = score_split(trained, "val")
    expected = log_loss(scores.actual, scores.probabilities, np.ones((1, len(scores))))[0]
    kept = trained.log.loc[trained.kept_epoch - 1]
    tolerance = 2e-3 if changes else 1e-5  # half precision depends on the batch
    assert kept["val_log_loss"] == pytest.approx(expected, abs=tolerance)
    assert kept["val_log_loss"] == trained.log["val_log_loss"].min()


def test_the_test_split_is_not_touched_by_training(dataset, tmp_path):
    manifest = make_manifest(dataset, tmp_path / "m", SplitSettings(mode="videos"))
    (tmp_path / "m/test.csv").unlink()
    trained = train_tiny(manifest.folder, tmp_path / "r", epochs=1)
    assert (trained.folder / "best.keras").is_file()


def test_training_learns_the_training_data(videos_manifest, tmp_path):
    learnt = train_tiny(
        videos_manifest.folder, tmp_path / "r", epochs=12, augment="none", patience=12
    )
    assert learnt.log["loss"].iloc[-1] < 0.7 * learnt.log["loss"].iloc[0]


def test_the_same_seed_gives_the_same_training(videos_manifest, tmp_path, run):
    again = train_tiny(videos_manifest.folder, tmp_path / "again")
    np.testing.assert_allclose(again.log["val_loss"], run.log["val_loss"], rtol=1e-4)
    other = train_tiny(videos_manifest.folder, tmp_path / "other", seed=1)
    assert not np.allclose(other.log["val_loss"], run.log["val_loss"], rtol=1e-4)


@pytest.mark.slow
def test_training_stops_when_validation_no_longer_falls(videos_manifest, tmp_path):
    # At this rate nothing is learnt, so the first epoch stays the best for a long time.
    stopped = train_tiny(
        videos_manifest.folder,
        tmp_path / "r",
        epochs=40,
        patience=1,
        learning_rate=0.5,
        augment="none",
    )
    best = stopped.log["val_log_loss"].idxmin()
    assert len(stopped.log) < 40
    assert len(stopped.log) == best + 2


def test_predictions_come_from_the_best_checkpoint_and_are_written_once(run, videos_manifest):
    table = score_split(run, "test").table
    classes = list(videos_manifest.classes)
    probabilities = table[[f"p_{c}" for c in classes]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert list(table["face_id"]) == list(videos_manifest.samples("test")["face_id"])
    images = pack(videos_manifest, "test", run.settings.size).images
    expected = keras.models.load_model(run.folder / "best.keras").predict(images, verbose=0)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    written = (run.folder / "predictions-test.parquet").stat().st_mtime_ns
    score_split(run, "test")
    assert (run.folder / "predictions-test.parquet").stat().st_mtime_ns == written


def test_predictions_follow_a_checkpoint_that_changes(run, videos_manifest, tmp_path):
    folder = run.folder.with_name("changing")
    shutil.copytree(run.folder, folder)
    changing = Run.read(folder)
    before = score_split(changing, "val").table.filter(like="p_").to_numpy()
    other = build("sepconv", 5, size=TINY.size)
    other.save(folder / "best.keras")
    after = score_split(changing, "val").table.filter(like="p_").to_numpy()
    images = pack(videos_manifest, "val", TINY.size).images
    np.testing.assert_allclose(after, other.predict(images, verbose=0), atol=1e-4)
    assert not np.allclose(after, before, atol=1e-3)


def test_a_run_opened_through_a_link_finds_its_manifest(run, videos_manifest, tmp_path):
    (tmp_path / "elsewhere").symlink_to(run.folder.parent, target_is_directory=True)
    linked = Run.read(tmp_path / "elsewhere" / run.folder.name)
    assert linked.manifest.folder == videos_manifest.folder.resolve()


@pytest.mark.slow
def test_a_weights_file_is_found_again_from_the_run_folder(videos_manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    donor = keras.applications.MobileNetV2(include_top=False, weights=None)
    donor.save_weights("m2.weights.h5")
    settings = TrainSettings(
        arch="mobilenetv2", weights="m2.weights.h5", size=32, epochs=1, batch_size=32
    )
    trained = train(videos_manifest.folder, tmp_path / "runs/r", settings)
    config = tomllib.loads((trained.folder / "config.toml").read_text())
    assert config["training"]["weights"] == "../../m2.weights.h5"
    environment = json.loads((trained.folder / "environment.json").read_text())
    assert environment["weights_sha256"] == sha256(tmp_path / "m2.weights.h5")
    monkeypatch.chdir("/")
    assert Run.read(trained.folder).settings.weights == str(tmp_path / "m2.weights.h5")


def test_an_earlier_run_is_never_overwritten(run, videos_manifest):
    before = hashes(run.folder)
    with pytest.raises(RunError, match="never overwrites"):
        train_tiny(videos_manifest.folder, run.folder)
    assert hashes(run.folder) == before


def test_a_manifest_that_was_created_again_is_noticed(dataset, tmp_path):
    folder = tmp_path / "m"
    make_manifest(dataset, folder, SplitSettings(mode="videos"))
    trained = train_tiny(folder, tmp_path / "r", epochs=1)
    make_manifest(dataset, folder, SplitSettings(mode="videos", seed=1))
    with pytest.raises(RunError, match="has changed since"):
        score_split(trained, "test")


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"epochs": 0}, ClassifyError),
        ({"learning_rate": 0.0}, ClassifyError),
        ({"augment": "wild"}, ClassifyError),
        ({"arch": "resnet1000"}, ModelError),
        ({"weights": "imagenet"}, ModelError),
        ({"sampling": "pairs", "batch_size": 2}, ClassifyError),  # a unit has five crops
    ],
)
def test_bad_settings_fail_before_a_folder_is_made(videos_manifest, tmp_path, settings, error):
    with pytest.raises(error):
        train_tiny(videos_manifest.folder, tmp_path / "r", **settings)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("damage", ["gone", "toml", "keys", "model"])
def test_damaged_runs_are_named(run, tmp_path, damage):
    folder = tmp_path / "r"
    if damage != "gone":
        folder.mkdir()
        text = (run.folder / "config.toml").read_text()
        (folder / "config.toml").write_text(text)
        (folder / "best.keras").write_bytes(b"")
    if damage == "toml":
        (folder / "config.toml").write_text("arch = ")
    elif damage == "keys":
        (folder / "config.toml").write_text(text.replace("patience", "patients"))
    with pytest.raises(RunError, match=str(folder)):
        Run.read(folder).best_model()


def test_a_missing_crop_stops_training_before_a_folder_is_made(dataset, tmp_path):
    manifest = make_manifest(dataset, tmp_path / "m", SplitSettings(mode="videos"))
    info = manifest.folder / "manifest.json"
    info.write_text(info.read_text().replace(manifest.info["root"], "../nowhere"))
    with pytest.raises(TableError, match=r"nowhere.*ffpp-split"):
        train_tiny(manifest.folder, tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_half_precision_trains_and_gives_probabilities_in_single(videos_manifest, tmp_path):
    mixed = train_tiny(videos_manifest.folder, tmp_path / "r", mixed_precision=True, epochs=1)
    model = mixed.best_model()
    convolution = next(x for x in model.layers if isinstance(x, keras.layers.Conv2D))
    assert convolution.compute_dtype == "float16"
    assert convolution.kernel.dtype == "float32"
    table = score_split(mixed, "test").table.filter(like="p_").to_numpy()
    assert table.dtype == np.float32
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-5)
    assert keras.config.dtype_policy().name == "float32"  # only the run was in half


def test_one_sigmoid_is_trained_and_reported_as_two_classes(dataset, tmp_path):
    settings = SplitSettings(mode="binary", ratios=(50, 25, 25))
    manifest = make_manifest(dataset, tmp_path / "m", settings)
    trained = train_tiny(
        manifest.folder, tmp_path / "r", output="sigmoid", epochs=8, augment="none", patience=8
    )
    assert trained.log["accuracy"].iloc[-1] > 0.7
    table = score_split(trained, "train").table
    np.testing.assert_allclose(table["p_fake"] + table["p_real"], 1, atol=1e-6)
    right = (table["p_fake"] > 0.5) == (table["label"] == "fake")
    assert right.mean() > 0.7


def test_a_model_file_that_would_run_code_is_refused(run, tmp_path):
    folder = tmp_path / "r"
    shutil.copytree(run.folder, folder)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(folder / "best.keras")
    with pytest.raises(RunError, match=r"best\.keras: not a Keras model that can be loaded safely"):
        Run.read(folder).best_model()
