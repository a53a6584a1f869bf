"""Networks are trained with blended faces, and everything that reads a run knows their class."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from classify.errors import ClassifyError, RunEndedError
from classify.evaluation.predict import score_split
from classify.inference import export
from classify.inference.gradcam import explain
from classify.reporting.report import make_report
from classify.training import checkpoints
from classify.training.runs import load_model
from classify.training.train import resume
from ffpp_tools.splits.build import SplitSettings, make_manifest
from tests.helpers.runs import train_tiny

RATIOS = (50, 25, 25)


@pytest.fixture(scope="module")
def binary(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("m") / "binary"
    return make_manifest(dataset, folder, SplitSettings(mode="binary", ratios=RATIOS))


@pytest.fixture(scope="module")
def six(videos_manifest, tmp_path_factory):
    """A run of five classes and that of blended faces."""
    folder = tmp_path_factory.mktemp("runs") / "six"
    return train_tiny(videos_manifest.folder, folder, blend=0.5, blend_class=True)


@pytest.mark.parametrize("changes", [{"blend": 0.5}, {"blend": 1.0, "output": "sigmoid"}])
def test_a_binary_run_keeps_its_two_classes(binary, tmp_path, changes):
    run = train_tiny(binary.folder, tmp_path / "r", augment="robust", **changes)
    assert run.classes == {"fake": "fake", "real": "real"}
    assert np.isfinite(run.log["log_loss"]).all()
    assert list(score_split(run, "test").classes) == ["fake", "real"]
    measured = list((binary.folder / "packed").glob("landmarks-train-*.npy"))
    assert len(measured) == 1


def test_the_class_of_blends_is_a_fake_without_samples_in_every_result(six, videos_manifest):
    names = sorted([*videos_manifest.classes, "Blended"])
    assert list(six.classes) == names
    scores = score_split(six, "test")
    assert [c for c in scores.table if c.startswith("p_")] == [f"p_{name}" for name in names]
    fakes = [f"p_{name}" for name, label in six.classes.items() if label == "fake"]
    assert "p_Blended" in fakes
    np.testing.assert_allclose(scores.p_fake, scores.table[fakes].sum(axis=1), atol=1e-6)
    assert set(scores.table["class"]) == set(videos_manifest.classes)
    index = scores.table["class"].map(names.index)
    np.testing.assert_array_equal(scores.table["class_index"], index)
    again = score_split(six, "test")  # read from the file
    np.testing.assert_array_equal(again.probabilities, scores.probabilities)
    assert six.best_model().output_shape == (None, 6)


def test_a_report_shows_the_class_of_blends_without_samples(six):
    made = make_report(six)
    confusion = made.evaluations[0].confusion
    assert confusion.loc["Blended"].sum() == 0
    assert "Blended" in confusion.columns
    assert confusion.to_numpy().sum() == len(made.frames)
    assert np.isfinite(made.evaluations[0].measures["auc"].value)


def test_explanations_are_of_the_manifests_classes(six, videos_manifest):
    explained = explain(six)
    assert [e.name for e in explained] == list(videos_manifest.classes)
    for explanation in explained:
        assert set(explanation.samples["class"]) == {explanation.name}
        assert set(explanation.samples["predicted"]) <= set(six.classes)


@pytest.mark.slow
def test_an_exported_network_names_the_class_of_blends(six, tmp_path):
    folder = tmp_path / "exported"
    export.export(six, "saved-model", folder)
    about = json.loads(next(folder.glob("*.json")).read_text())
    assert about["output"] == list(six.classes)


def test_an_interrupted_run_resumes_to_the_same_weights(six, videos_manifest, tmp_path):
    folder = tmp_path / "cut"

    saved = checkpoints.save_last

    def save_and_stop(*arguments):
        saved(*arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save_last", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(videos_manifest.folder, folder, blend=0.5, blend_class=True)
    shutil.rmtree(videos_manifest.folder / "packed")  # landmarks too are measured again
    resumed = resume(folder)
    pd.testing.assert_series_equal(resumed.log["loss"], six.log["loss"])
    for ours, theirs in zip(
        load_model(folder / "last.keras").get_weights(),
        load_model(six.folder / "last.keras").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(RunEndedError):
        resume(folder)


def test_several_classes_need_a_class_for_blends(videos_manifest, tmp_path):
    with pytest.raises(ClassifyError, match="--blend-class"):
        train_tiny(videos_manifest.folder, tmp_path / "r", blend=0.5)
    assert not (tmp_path / "r").exists()


def test_real_crops_without_landmarks_are_an_error_before_the_run_exists(
    binary, tmp_path, monkeypatch
):
    count = len(binary.samples("train"))
    nowhere = np.full((count, 68, 2), np.nan, np.float32)
    monkeypatch.setattr("classify.training.train.landmarks", lambda *_: nowhere)
    with pytest.raises(ClassifyError, match="facial landmarks"):
        train_tiny(binary.folder, tmp_path / "r", blend=0.5)
    assert not (tmp_path / "r").exists()
