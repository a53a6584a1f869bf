"""Networks are trained with blended faces, and everything that reads a run knows their class."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from classify.errors import ClassifyError, RunEndedError
from classify.evaluation.compare import compare
from classify.evaluation.predict import score_split
from classify.inference import export
from classify.inference.gradcam import explain
from classify.inference.media import classifier_of, classify_file
from classify.inference.media_files import VerdictFiles
from classify.reporting.report import make_report, report_on_file
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
    assert six.best_model().output_shape == (None, 6)


def test_saved_predictions_with_the_class_of_blends_are_read_again(six, monkeypatch, capsys):
    scores = score_split(six, "test")
    monkeypatch.setattr("classify.evaluation.predict._probabilities", None)  # not called
    again = score_split(six, "test")
    pd.testing.assert_frame_equal(again.table, scores.table)
    assert "again" not in capsys.readouterr().out


def test_a_report_predicts_the_class_of_blends_and_has_no_row_of_it(six, tmp_path):
    made = make_report(six)
    confusion = made.evaluations[0].confusion
    assert confusion.loc["Blended"].sum() == 0
    assert "Blended" in confusion.columns
    assert confusion.to_numpy().sum() == len(made.frames)
    assert np.isfinite(made.evaluations[0].measures["auc"].value)
    for evaluation in made.evaluations:
        shown = evaluation.in_paper_order
        assert {*shown.index, "Blended"} == set(shown.columns) == set(six.classes)
        assert np.isfinite(shown.to_numpy()).all()
        assert list(evaluation.per_class.index) == list(six.manifest.classes)
        text = (made.folder / f"classification-report-{evaluation.unit}.txt").read_text()
        assert "Blended" not in text
    page = (made.folder / "report.html").read_text()
    assert '<th scope="col">Blended</th>' in page
    assert '<th scope="row">Blended</th>' not in page
    card = (made.folder / "model-card.md").read_text()
    assert "| classes | Blended (fake), Deepfakes (fake)," in card
    assert "| blend\\_class | true |" in card
    again = report_on_file(made.folder / "predictions.csv", six.manifest, folder=tmp_path / "again")
    for ours, theirs in zip(again.evaluations, made.evaluations, strict=True):
        assert ours.measures["auc"].value == pytest.approx(theirs.measures["auc"].value)
        pd.testing.assert_frame_equal(ours.confusion, theirs.confusion)


def test_a_run_with_the_class_of_blends_is_compared_with_one_without(
    six, videos_manifest, tmp_path
):
    five = train_tiny(videos_manifest.folder, tmp_path / "five", epochs=1)
    found = compare([six, five])
    assert not any("another" in note for note in found.notes)  # the splits are the same
    assert set(found.table["run"]) == {"six", "five"}
    assert np.isfinite(found.table[["val_auc", "accuracy", "auc"]].to_numpy()).all()
    assert np.isfinite(found.differences["accuracy"].value)


def test_a_verdict_on_a_picture_counts_blends_as_fake(six, tmp_path):
    classifier = classifier_of(six)
    samples = six.manifest.samples("test")
    verdict = classify_file(six.manifest.root / samples["path"].iloc[0], classifier)
    (person,) = verdict.people
    assert list(person.probabilities) == list(six.classes)
    assert sum(person.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert person.p_fake == pytest.approx(1 - person.probabilities["Youtube"], abs=1e-5)
    VerdictFiles(tmp_path / "v", classifier, "a run").add(verdict)
    (row,) = pd.read_csv(tmp_path / "v/verdicts.csv").to_dict("records")
    assert row["p_Blended"] == pytest.approx(person.probabilities["Blended"])


def test_explanations_are_of_the_manifests_classes(six, videos_manifest):
    explained = explain(six)
    assert [e.name for e in explained] == list(videos_manifest.classes)
    for explanation in explained:
        assert set(explanation.samples["class"]) == {explanation.name}
        assert set(explanation.samples["predicted"]) <= set(six.classes)


def test_an_exported_network_names_the_class_of_blends(six, tmp_path):
    folder = tmp_path / "exported"
    export.export(six, "litert", folder)
    about = json.loads((folder / "about.json").read_text())
    assert about["output"] == list(six.classes)
    assert about["classes"]["Blended"] == "fake"


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
