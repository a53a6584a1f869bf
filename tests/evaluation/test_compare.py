import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from classify.errors import ClassifyError
from classify.evaluation.compare import _same_samples, compare, compare_across_manifests
from classify.evaluation.predict import score_split
from classify.evaluation.scores import Scores
from classify.reporting.compare_files import cells, write_comparison, write_matrix
from classify.reporting.report import make_report
from ffpp_tools.errors import TableError
from ffpp_tools.splits.build import SplitSettings, make_manifest
from tests.helpers.pages import Page
from tests.helpers.runs import train_tiny


@pytest.fixture(scope="module")
def leaky(dataset, tmp_path_factory):
    """The paper's split by frames, in which every identity is in every split."""
    folder = tmp_path_factory.mktemp("manifests") / "leaky"
    return make_manifest(dataset, folder, SplitSettings("videos", "paper", shrink=True))


@pytest.fixture(scope="module")
def runs(videos_manifest, leaky, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [
        train_tiny(videos_manifest.folder, folder / "short", epochs=1),
        train_tiny(videos_manifest.folder, folder / "long", epochs=6),
        train_tiny(leaky.folder, folder / "leaky", epochs=1),
    ]


def test_a_row_has_the_metrics_of_the_runs_own_report(runs):
    found = compare(runs[:2])
    assert found.unit == "clip"
    for run in runs[:2]:
        row = found.table.set_index("run").loc[run.folder.name]
        clip = make_report(run).evaluations[1]
        assert row["accuracy"] == clip.measures["accuracy"].value
        assert row["auc"] == pytest.approx(clip.measures["auc_against_originals"].value)
        detection = clip.binary_confusion.loc["fake"]
        assert row["recall_of_fakes"] == detection["fake"] / detection.sum()
        assert row["parameters"] == run.best_model().count_params()
        assert row["megabytes"] == run.checkpoint.stat().st_size / 1e6
        assert row["images_per_second"] > 0
        validated = make_report(run, "val").evaluations[1]
        assert row["val_auc"] == pytest.approx(validated.measures["auc_against_originals"].value)
    assert found.table["val_auc"].is_monotonic_decreasing
    assert found.ordered_by == "validation"


def test_the_two_best_by_validation_are_compared_on_the_same_groups(runs):
    found = compare(runs[:2])
    best, second = found.table.to_dict("records")
    gain = found.differences["auc"]
    assert gain.value == pytest.approx(best["auc"] - second["auc"])
    assert np.isnan(gain.low) or gain.low <= gain.value <= gain.high
    accuracy = found.differences["accuracy"]
    assert accuracy.value == pytest.approx(best["accuracy"] - second["accuracy"])
    assert found.notes == ()


def made_up(right):
    """Return scores that are correct for some runs and splits, and off by one class elsewhere."""

    def scores_of(run, split, progress=None):
        scores = score_split(run, split)
        shift = 0 if (run.folder.name, split) in right else 1
        classes = len(scores.classes)
        said = np.eye(classes)[(scores.actual + shift) % classes]
        columns = {f"p_{name}": said[:, i] for i, name in enumerate(scores.classes)}
        return Scores(scores.table.assign(**columns), scores.classes)

    return scores_of


def test_the_better_run_comes_first_with_the_correct_difference(runs, monkeypatch):
    right = {("short", "val"), ("short", "test")}
    monkeypatch.setattr("classify.evaluation.compare.score_split", made_up(right))
    found = compare([runs[1], runs[0]])
    assert found.table["run"].tolist() == ["short", "long"]
    assert found.table["auc"].tolist()[0] == 1 > found.table["auc"].tolist()[1]
    assert found.table["accuracy"].tolist() == [1, 0]
    assert found.differences["accuracy"].value == 1
    assert found.differences["auc"].value == pytest.approx(1 - found.table["auc"][1])


def test_the_order_is_by_validation_and_not_by_test(runs, monkeypatch):
    """One run is correct on validation and wrong on test, the other the reverse."""
    right = {("short", "val"), ("long", "test")}
    monkeypatch.setattr("classify.evaluation.compare.score_split", made_up(right))
    found = compare([runs[1], runs[0]])
    assert found.table["run"].tolist() == ["short", "long"]
    assert found.table["val_auc"][0] == 1 > found.table["val_auc"][1]
    assert found.table["auc"][0] < found.table["auc"][1] == 1
    assert found.differences["accuracy"].value == -1
    assert found.ordered_by == "validation"
    assert not any("test" in note for note in found.notes)


def refitted(run):
    return dataclasses.replace(run, settings=dataclasses.replace(run.settings, refit=True))


def test_a_refit_comes_last_and_has_no_difference(runs, monkeypatch):
    right = {("long", "test")}
    monkeypatch.setattr("classify.evaluation.compare.score_split", made_up(right))
    found = compare([refitted(runs[1]), runs[0]])
    assert found.table["run"].tolist() == ["short", "long"]
    assert np.isnan(found.table["val_auc"][1])
    assert found.differences == {}
    assert found.notes[0].startswith("long: no AUC on validation")


def test_the_first_note_says_if_the_order_is_by_test(runs, monkeypatch, tmp_path):
    monkeypatch.setattr("classify.evaluation.compare.score_split", made_up({("long", "test")}))
    found = compare([refitted(run) for run in runs[:2]])
    assert found.table["run"].tolist() == ["long", "short"]
    assert found.ordered_by == "test"
    assert "the order is by AUC on test" in found.notes[0]
    write_comparison(tmp_path, found)
    assert json.loads((tmp_path / "comparison.json").read_text())["ordered_by"] == "test"
    html = (tmp_path / "comparison.html").read_text()
    assert "Ordered by AUC on test" in html
    assert html.index(found.notes[0].replace("'", "&#39;")) < html.index("<table>")


def test_a_run_compared_with_itself_has_no_difference(runs, tmp_path):
    import shutil

    from classify.training.runs import Run

    twin = shutil.copytree(runs[1].folder, runs[1].folder.with_name("twin"))
    gain = compare([runs[1], Run.read(twin)]).differences["auc"]
    shutil.rmtree(twin)
    assert gain.value == 0
    assert np.isnan([gain.low, gain.high]).all()


def test_notes_name_runs_on_different_or_leaking_splits(runs):
    found = compare([runs[1], runs[2]])
    first, second = found.table["run"]
    assert found.notes[0].startswith(f"{second}: validated on another split than {first}")
    assert "NOT COMPARABLE" in found.notes[0]
    assert "leaky" in found.notes[1]
    assert "several splits" in found.notes[1]
    assert any("not comparable" in note for note in found.notes)
    assert found.differences == {}


def test_a_comparison_needs_two_runs_with_unique_names(runs):
    for few in (runs[:1], [runs[0], runs[0]]):
        with pytest.raises(ClassifyError, match="two or more runs"):
            compare(few)


def test_a_comparison_is_written_as_table_and_page(runs, tmp_path):
    found = compare(runs[:2])
    write_comparison(tmp_path, found)
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert table["auc"].tolist() == pytest.approx(found.table["auc"].tolist())
    values = json.loads((tmp_path / "comparison.json").read_text())
    assert [row["run"] for row in values["runs"]] == found.table["run"].tolist()
    page = Page()
    page.feed((tmp_path / "comparison.html").read_text())
    assert all(address.startswith("data:") for address in page.fetched)
    assert page.headers.count("row") == 4  # a row per run in both tables
    splits = pd.read_csv(tmp_path / "splits.csv")
    assert splits["run"].tolist() == found.table["run"].tolist()
    columns = ["run", "test_accuracy", "val_log_loss"]
    for run, test_accuracy, val_log_loss in splits[columns].to_numpy():
        one = next(r for r in runs if r.folder.name == run)
        frames = score_split(one, "test")
        assert test_accuracy == pytest.approx((frames.actual == frames.predicted).mean())
        assert val_log_loss == pytest.approx(one.log["val_log_loss"].min())
    beside = pd.read_csv(tmp_path / "accuracy-recall.csv", index_col=0)
    assert beside.columns.tolist() == found.table["run"].tolist()
    first = found.table.iloc[0]
    wanted = [f"{100 * first[name]:.2f}%" for name in ("accuracy", "fakes_predicted")]
    assert beside[first["run"]].tolist() == wanted
    assert (tmp_path / "cost.png").stat().st_size > 0


def test_the_matrix_marks_identity_overlap(runs, videos_manifest, leaky, tmp_path):
    found = compare_across_manifests(runs[1:], [videos_manifest, leaky])
    assert found.auc.shape == (2, 2)
    own = make_report(runs[1]).evaluations[0].measures["auc_against_originals"].value
    assert found.auc.loc["long", "videos"] == pytest.approx(own)
    # The grouped run meets its own training people only in the split by frames.
    assert found.leaks.loc["long"].tolist() == ["no", "yes"]
    assert found.leaks.loc["leaky"].tolist() == ["yes", "yes"]
    assert cells(found).loc["long", "leaky"].endswith("†")
    write_matrix(tmp_path, found)
    read = pd.read_csv(tmp_path / "matrix.csv", index_col=0)
    assert read.to_numpy() == pytest.approx(found.auc.to_numpy())
    html = (tmp_path / "matrix.html").read_text()
    assert html.count("†") >= 3
    assert (tmp_path / "matrix.png").is_file()


def test_identity_overlap_is_unknown_without_the_dataset(runs, leaky, tmp_path, monkeypatch):
    def gone(folder):
        raise TableError(f"{folder}: gone")

    monkeypatch.setattr("classify.evaluation.overlap.dataset_at", gone)
    found = compare_across_manifests(runs[1:2], [leaky])
    assert found.leaks.to_numpy().tolist() == [["unknown"]]
    assert cells(found).to_numpy()[0, 0].endswith("‡")
    assert any("identity group" in note for note in found.notes)


def test_manifests_of_the_same_name_are_rejected(runs, videos_manifest):
    with pytest.raises(ClassifyError, match="duplicate names"):
        compare_across_manifests(runs[:1], [videos_manifest, videos_manifest])


def test_the_same_clips_at_other_frames_are_different_samples(runs):
    frames = score_split(runs[0], "test")
    fewer = Scores(frames.table[frames.table["frame"] % 20 == 0], frames.classes)
    assert len(fewer.clips()) == len(frames.clips())
    assert _same_samples(frames, frames)
    assert not _same_samples(frames, fewer)
