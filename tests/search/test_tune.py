import dataclasses
import shutil
import tomllib
from contextlib import nullcontext

import keras
import numpy as np
import pandas as pd
import pytest
import tomli_w

from classify.data.augment import PRESETS
from classify.errors import ClassifyError, LossError, RunError
from classify.evaluation.predict import score_split
from classify.models import build, freeze
from classify.models.heads import HEADS
from classify.search import tune as tuning
from classify.search.tune import Search, applicable_settings, resume, tune
from classify.training.runs import Run
from classify.training.settings import TrainSettings, read_config
from classify.training.train import train, train_or_resume
from ffpp_tools.errors import CropError, TableError
from tests.helpers.runs import TINY

BASE = dataclasses.replace(TINY, epochs=2)
THREE = Search(trials=3)


@pytest.fixture(scope="module")
def tuned(videos_manifest, tmp_path_factory):
    """A short random search without interruption."""
    return tune(videos_manifest.folder, tmp_path_factory.mktemp("tuned") / "t", BASE, THREE)


def test_every_row_of_the_trials_describes_a_run(tuned):
    assert len(tuned.trials) == 3
    losses = tuned.trials["val_log_loss"]
    assert losses.is_monotonic_increasing
    for row in tuned.trials.to_dict("records"):
        run = Run.read(tuned.folder / "trials" / row["trial"])
        assert run.settings.learning_rate == pytest.approx(row["learning_rate"])
        assert run.settings.augment == row["augment"]
        scores = score_split(run, "val")
        of_actual = scores.probabilities[np.arange(len(scores)), scores.actual]
        assert row["val_log_loss"] == pytest.approx(-np.log(of_actual).mean())
        assert row["val_accuracy"] == pytest.approx((scores.predicted == scores.actual).mean())
    assert tuned.trials["learning_rate"].between(1e-4, 1e-2).all()
    assert tuned.trials["learning_rate"].nunique() == 3
    assert set(tuned.trials["augment"]) <= set(PRESETS)
    table = pd.read_csv(tuned.folder / "trials.csv")
    assert table["val_log_loss"].tolist() == pytest.approx(losses.tolist())


def test_the_test_split_is_not_used(tuned):
    for folder in (tuned.folder / "trials").iterdir():
        assert not list(folder.glob("predictions-test*"))


@pytest.mark.slow
def test_the_best_settings_reproduce_the_best_trial(tuned, videos_manifest, tmp_path):
    settings, manifest = read_config(tuned.folder / "best.toml")
    best = Run.read(tuned.folder / "trials" / tuned.trials["trial"][0])
    assert manifest.resolve() == videos_manifest.folder.resolve()
    assert settings == best.settings
    again = train(manifest, tmp_path / "r", settings)
    np.testing.assert_allclose(again.log["val_loss"], best.log["val_loss"], rtol=1e-4)


class Stopping(keras.callbacks.Callback):
    """Ctrl-C after the first epoch of the second trial."""

    seen = 0

    def on_epoch_end(self, epoch, logs=None):
        Stopping.seen += 1
        if Stopping.seen == BASE.epochs + 1:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_search_resumes_where_it_stopped(tuned, videos_manifest, tmp_path):
    folder = tmp_path / "t"
    with pytest.raises(KeyboardInterrupt):
        tune(videos_manifest.folder, folder, BASE, THREE, lambda _: nullcontext(Stopping()))
    first = (folder / "trials/0/best.keras").stat().st_mtime_ns
    again = resume(folder, lambda _: nullcontext(Stopping()))
    assert (folder / "trials/0/best.keras").stat().st_mtime_ns == first  # not trained again
    assert Stopping.seen == 3 * BASE.epochs  # nor was the second trial's first epoch
    columns = ["trial", "learning_rate", "augment"]
    pd.testing.assert_frame_equal(again.trials[columns], tuned.trials[columns])
    losses = again.trials["val_log_loss"]
    np.testing.assert_allclose(losses, tuned.trials["val_log_loss"], rtol=1e-4)
    # A finished search is read again.
    assert len(resume(folder).trials) == 3


@pytest.mark.slow
def test_hyperband_trains_the_best_trials_for_more_epochs(videos_manifest, tmp_path):
    base = dataclasses.replace(TINY, epochs=3)
    found = tune(videos_manifest.folder, tmp_path / "t", base, Search("hyperband")).trials
    assert sorted(found["epochs"].unique()) == [1, 3]
    short, long = found[found["epochs"] == 1], found[found["epochs"] == 3]
    promoted = long.merge(short, on=["learning_rate", "augment"])
    assert len(promoted) == 1
    assert promoted["val_log_loss_y"].item() == pytest.approx(short["val_log_loss"].min())
    assert read_config(tmp_path / "t/best.toml")[0].epochs == 3


@pytest.mark.slow
def test_a_trial_whose_loss_diverges_late_is_not_the_best(tuned):
    folder = shutil.copytree(tuned.folder, tuned.folder.with_name("late"))
    best = tuned.trials["trial"][0]
    (folder / "trials" / best / "not-finite.txt").touch()  # as written by `train`
    again = resume(folder).trials.set_index("trial")
    assert again.index[-1] == best
    assert np.isnan(again.loc[best, "val_log_loss"])
    assert read_config(folder / "best.toml")[0] != read_config(tuned.folder / "best.toml")[0]


@pytest.mark.slow
def test_a_trial_whose_loss_diverges_is_reported_and_the_search_continues(
    videos_manifest, tmp_path, monkeypatch
):
    monkeypatch.setattr(tuning, "RATES", (1e29, 1e30))
    with pytest.raises(LossError, match="no trial had a finite loss"):
        tune(videos_manifest.folder, tmp_path / "t", BASE, Search(trials=4))
    table = pd.read_csv(tmp_path / "t/trials.csv")
    assert len(table) == 4  # more failures than keras-tuner itself would allow
    assert table["val_log_loss"].isna().all()


def drawn(folder, search):
    """The settings that a search tries, without training."""
    tried = []

    def objective(values, trial):
        tried.append(values)
        return 1.0

    tuning._tuner(folder, BASE, search, objective).search()
    return tried


def test_the_settings_tried_depend_only_on_the_seed(tmp_path):
    searches = [Search(trials=4), Search(trials=4), Search(trials=4, seed=1), Search(trials=5)]
    first, again, other, more = (
        drawn(tmp_path / str(number), search) for number, search in enumerate(searches)
    )
    assert first == again == more[:4]
    assert (len(first), len(more)) == (4, 5)
    assert not {v["learning_rate"] for v in first} & {v["learning_rate"] for v in other}


def test_an_error_in_the_data_ends_the_search(dataset, videos_manifest, tmp_path):
    world = shutil.copytree(dataset.parent, tmp_path / "world")
    manifest = world / videos_manifest.folder.relative_to(dataset.parent)
    shutil.rmtree(manifest / "packed", ignore_errors=True)
    next((world / "dataset/faces/Youtube").rglob("*.png")).unlink()
    with pytest.raises(CropError, match=r"\.png: cannot be read"):
        tune(manifest, tmp_path / "t", BASE, THREE)


def test_only_settings_of_the_network_are_varied():
    assert applicable_settings("sepconv", tuning.VARIED) == ["learning_rate", "augment"]
    assert applicable_settings("vgg16", tuning.VARIED) == list(tuning.VARIED)


@pytest.mark.slow
def test_all_choices_are_valid_for_the_smallest_backbone():
    for head in HEADS:
        network = build("vgg16", 2, 32, head=head, dropout=max(tuning.DROPOUTS))
        for frozen in tuning.FREEZES:
            freeze(network, frozen, False)


@pytest.mark.slow
def test_heads_dropout_and_freezing_are_searched_too(videos_manifest, tmp_path):
    base = TrainSettings(arch="mobilenet", weights="none", size=32, batch_size=32, epochs=1)
    vary = ("head", "dropout", "freeze")
    found = tune(videos_manifest.folder, tmp_path / "t", base, Search(trials=3, vary=vary)).trials
    for row in found.to_dict("records"):
        settings = Run.read(tmp_path / "t/trials" / row["trial"]).settings
        assert [getattr(settings, name) for name in vary] == [row[name] for name in vary]
    assert found[list(vary)].drop_duplicates().shape == (3, 3)


@pytest.mark.parametrize(
    ("base", "search", "message"),
    [
        ({}, {"method": "grid"}, "unknown method"),
        ({}, {"vary": ("epochs",)}, "epochs cannot be varied"),
        ({}, {"trials": 0}, "trials"),
        ({}, {"vary": ("head",)}, "nothing to search"),
        ({"refit": True}, {}, "no validation split"),
        ({"head_epochs": 1}, {"method": "hyperband"}, "Hyperband starts"),
        ({}, {"method": "hyperband", "vary": ("augment",)}, "without learning_rate there are few"),
        ({}, {"vary": ("augment", "augment")}, "each setting once"),
        ({"size": 33, "arch": "xception", "weights": "none"}, {}, "an input of at least 71"),
    ],
)
def test_an_invalid_search_is_refused(base, search, message, videos_manifest, tmp_path):
    with pytest.raises(ClassifyError, match=message):
        tune(
            videos_manifest.folder,
            tmp_path / "t",
            dataclasses.replace(BASE, **base),
            Search(**search),
        )
    assert not (tmp_path / "t").exists()


def test_a_search_is_not_resumed_on_other_data(tuned, videos_manifest, tmp_path):
    with pytest.raises(RunError, match="not a search"):
        resume(tmp_path)
    folder = shutil.copytree(tuned.folder, tmp_path / "t")
    config = tomllib.loads((folder / "tune.toml").read_text())
    config["manifest"]["path"] = str(videos_manifest.folder)
    config["manifest"]["sha256"] = "0" * 64
    (folder / "tune.toml").write_text(tomli_w.dumps(config))
    with pytest.raises(RunError, match="start another search"):
        resume(folder)
    config["manifest"]["path"] = "nowhere"
    (folder / "tune.toml").write_text(tomli_w.dumps(config))
    with pytest.raises(TableError, match="no manifest"):
        resume(folder)


def test_a_run_with_other_settings_is_refused(tuned, videos_manifest):
    folder = tuned.folder / "trials" / tuned.trials["trial"][0]
    with pytest.raises(RunError, match="other settings"):
        train_or_resume(videos_manifest.folder, folder, dataclasses.replace(BASE, epochs=1))
