"""Tests of saved predictions: used only if unchanged and of the same samples."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from classify.errors import ChangedError
from classify.evaluation.predict import score_split
from classify.evaluation.thresholds import FILE, operating_point, operating_point_or_default
from classify.reporting.provenance import of_verdicts
from classify.reporting.report import make_report
from classify.training.runs import Run
from ffpp_tools.errors import TableError
from ffpp_tools.splits import shortcuts
from tests.helpers.runs import train_tiny

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def judged(videos_manifest, tmp_path_factory):
    """A run with predictions of val and test, its operating point and its report."""
    run = train_tiny(videos_manifest.folder, tmp_path_factory.mktemp("runs") / "r", epochs=1)
    for split in ("val", "test"):
        score_split(run, split)
    operating_point(run)
    return run


@pytest.fixture
def run(judged, monkeypatch):
    """A copy of the run that tests may change, with a stub for the network's output."""
    said = {split: score_split(judged, split) for split in ("val", "test")}
    monkeypatch.setattr(
        "classify.evaluation.predict._probabilities",
        lambda run, manifest, split, progress: said[split].probabilities.astype(np.float32),
    )
    folder = shutil.copytree(judged.folder, judged.folder.with_name("copy"))
    yield Run.read(folder)
    shutil.rmtree(folder)


@pytest.fixture
def no_data(monkeypatch):
    """Make the dataset unavailable: no crop can be read."""

    def gone(*_):
        raise TableError("faces.parquet is missing")

    monkeypatch.setattr("classify.evaluation.predict._probabilities", gone)


def fewer(table):
    right = table.filter(like="p_").to_numpy().argmax(axis=1) == table["class_index"]
    return table[right.to_numpy()]


def doubled(table):
    return pd.concat([table, table[:20]])


def doubled_in_place(table):
    """Replace rows by copies of others, so that the number of rows stays the same."""
    return table.iloc[[0, *range(len(table) - 1)]]


def shuffled(table):
    return table.sample(frac=1, random_state=0)


def relabelled(table):
    return table.assign(class_index=table.filter(like="p_").to_numpy().argmax(axis=1))


def regrouped(table):
    return table.assign(group=[f"group {i}" for i in range(len(table))])


def believed(table):
    """Set the probability of the actual class to 1 for every face."""
    columns = [name for name in table if name.startswith("p_")]
    table[columns] = np.eye(len(columns), dtype=np.float32)[table["class_index"]]
    return table


CHANGES = (fewer, doubled, doubled_in_place, shuffled, relabelled, regrouped, believed)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_predictions_are_computed_again_with_a_message(judged, run, change, capsys):
    path = run.folder / "predictions-test.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    found = score_split(run, "test")
    expected = score_split(judged, "test")
    pd.testing.assert_frame_equal(found.table, expected.table, atol=1e-6)
    assert "predictions-test.parquet was computed again: " in capsys.readouterr().out
    score_split(run, "test")
    assert "again" not in capsys.readouterr().out


@pytest.mark.parametrize("change", [fewer, believed])
def test_changed_predictions_are_rejected_without_the_data(run, no_data, change):
    score_split(run, "test")  # as they are, they need no data
    path = run.folder / "predictions-test.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    with pytest.raises(
        ChangedError, match=r"predictions-test\.parquet does not .* put the dataset"
    ):
        score_split(run, "test")


def test_predictions_of_another_split_or_checkpoint_are_not_used(judged, run):
    for split, other in (("test", "val"), ("val", "test")):
        source = judged.folder / f"predictions-{other}.parquet"
        shutil.copy(source, run.folder / f"predictions-{split}.parquet")
        expected = score_split(judged, split).table
        pd.testing.assert_frame_equal(score_split(run, split).table, expected, atol=1e-6)


def without_digest(path):
    """Rewrite the file as an older version did, without a digest."""
    table = pd.read_parquet(path)
    table.attrs = {"checkpoint": table.attrs["checkpoint"]}
    table.to_parquet(path, index=False)


def test_predictions_of_an_older_version_are_computed_again_or_read_without_data(
    judged, run, no_data, monkeypatch, capsys
):
    path = run.folder / "predictions-test.parquet"
    without_digest(path)
    expected = score_split(judged, "test").table
    pd.testing.assert_frame_equal(score_split(run, "test").table, expected)
    assert "is used unchecked: an older version wrote it" in capsys.readouterr().out
    monkeypatch.undo()  # the network computes them again
    pd.testing.assert_frame_equal(score_split(run, "test").table, expected, atol=1e-6)
    assert "digest" in pd.read_parquet(path).attrs


def rewritten(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_changed_threshold_in_the_file_is_not_used(judged, run, capsys):
    rewritten(run.folder / FILE, frame_threshold=0.01, temperature=3.0)
    assert operating_point(run) == operating_point(judged)
    assert f"{FILE} was rewritten: it differed from the fit" in capsys.readouterr().out
    assert json.loads((run.folder / FILE).read_text())["frame_threshold"] != 0.01


def away(run):
    """Return the run without its manifest, as on another machine."""
    text = (run.folder / "config.toml").read_text()
    (run.folder / "config.toml").write_text(text.replace("manifests", "nowhere"))
    return Run.read(run.folder)


def test_without_the_data_a_threshold_needs_an_intact_digest(judged, run, capsys):
    elsewhere = away(run)
    assert operating_point_or_default(elsewhere) == operating_point(judged)
    rewritten(run.folder / FILE, clip_threshold=0.01)
    for function in (operating_point, operating_point_or_default):
        with pytest.raises(ChangedError, match=r"operating\.json was changed after it was written"):
            function(elsewhere)
    kept = json.loads((judged.folder / FILE).read_text())
    older = {k: v for k, v in kept.items() if k not in ("digest", "manifest", "no_better")}
    (run.folder / FILE).write_text(json.dumps(older))
    found = operating_point_or_default(elsewhere)
    assert found.temperature == operating_point(judged).temperature
    assert "is used unchecked: an older version wrote it" in capsys.readouterr().out


def test_a_changed_report_gives_no_performance_of_verdicts(run):
    make_report(run)
    at = operating_point(run)
    assert "On its own test split its AUC against originals was" in of_verdicts(run, at, [])
    path = run.folder / "report/report.json"
    report = json.loads(path.read_text())
    report["units"]["clip"]["auc_against_originals"]["value"] = 0.999
    path.write_text(json.dumps(report))
    said = of_verdicts(run, at, [])
    assert "report.json was changed after it was written" in said
    assert "0.999" not in said
    del report["digest"]  # of an older version
    path.write_text(json.dumps(report))
    assert "AUC against originals was 0.999" in of_verdicts(run, at, [])


def test_a_changed_log_is_restored_from_the_checkpoint(judged, run, capsys):
    path = run.folder / "log.csv"
    pd.read_csv(path).assign(val_log_loss=0.01, val_accuracy=1.0).to_csv(path, index=False)
    pd.testing.assert_frame_equal(run.log, judged.log)
    assert "log.csv was restored" in capsys.readouterr().out
    path.write_text(path.read_text().splitlines()[0] + "\n")  # its one epoch was being written
    assert len(run.log) == 0


def test_a_run_of_an_older_version_without_log_loss_is_reported(run):
    """The config.toml has no monitor, and the log only the loss with regularisation."""
    config = run.folder / "config.toml"
    lines = [line for line in config.read_text().splitlines() if "monitor" not in line]
    config.write_text("\n".join(lines) + "\n")
    row = pd.read_csv(run.folder / "log.csv").drop(columns=["log_loss", "val_log_loss"])
    log = pd.concat([row, row.assign(epoch=1, val_loss=0.1), row.assign(epoch=2)])
    log.to_csv(run.folder / "log.csv", index=False)
    (run.folder / "last.keras").unlink()
    older = Run.read(run.folder)
    assert (older.settings.monitor, older.kept_epoch) == ("val_loss", 2)
    found = make_report(older)
    selection = "selected by validation loss (including the regularisation of the head)"
    assert selection in found.provenance
    report = json.loads((found.folder / "report.json").read_text())
    assert (report["best_epoch"], report["val_log_loss"]) == (2, None)
    card = (found.folder / "model-card.md").read_text()
    assert "epoch 2, which had the lowest validation loss, including regularisation" in card
    assert "| validation log loss at that epoch | not recorded |" in card


def test_changed_probe_results_are_rejected(videos_manifest, tmp_path):
    copy = shutil.copytree(videos_manifest.folder, tmp_path / "m")
    manifest = type(videos_manifest).read(copy)
    answer = shortcuts.ProbeResult("fake against real", "fake against real", 0.9, 0.8, 4, 50, "red")
    shortcuts.write(manifest, [answer])
    assert shortcuts.read(manifest) == [answer]
    path = copy / "probe.json"
    path.write_text(path.read_text().replace("0.8", "0.5"))
    with pytest.raises(TableError, match="changed after it was written; run `ffpp-audit` again"):
        shortcuts.read(manifest)
