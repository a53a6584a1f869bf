"""Tests of saved predictions: used only if unchanged and of the same samples."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from classify.data.pack import pack
from classify.errors import ChangedError
from classify.evaluation import predict
from classify.evaluation.compare import compare_across_manifests
from classify.evaluation.metrics import log_loss
from classify.evaluation.predict import (
    chosen_tta,
    predict_probabilities,
    score_split,
    tta_remark,
)
from classify.evaluation.thresholds import FILE, operating_point, operating_point_or_default
from classify.reporting.provenance import of_verdicts
from classify.reporting.report import make_report
from classify.training.runs import Run
from ffpp_tools.errors import TableError
from ffpp_tools.splits import shortcuts
from ffpp_tools.store.checksum import with_digest
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
        lambda run, manifest, split, tta, progress: said[split].probabilities.astype(np.float32),
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


@pytest.fixture
def flipping(judged, tmp_path):
    """A copy of the run without predictions and thresholds, with another setting of `tta`.

    Its network is less sure that all classes are equally probable, so that mirror images differ.
    """
    folders = []
    model = judged.best_model()
    model.layers[-1].kernel.assign(300 * model.layers[-1].kernel)
    model.save(tmp_path / "best.keras")

    def copied(tta, **changes):
        folder = judged.folder.with_name(f"tta-{len(folders)}")
        folders.append(shutil.copytree(judged.folder, folder))
        for path in (*folder.glob("predictions-*"), folder / FILE):
            path.unlink()
        shutil.copy(tmp_path / "best.keras", folder)
        return replace(Run.read(folder), settings=replace(judged.settings, tta=tta, **changes))

    yield copied
    for folder in folders:
        shutil.rmtree(folder)


def by_hand(run, split):
    """The probabilities of the crops as they are, and the mean with those of their mirrors."""
    model, images = run.best_model(), np.asarray(pack(run.manifest, split, 48).images)
    plain, mirrored = (predict_probabilities(model, x) for x in (images, images[:, :, ::-1]))
    assert np.abs(plain - mirrored).max() > 1e-3
    return plain, (plain + mirrored) / 2


@pytest.mark.parametrize("split", ["val", "test"])
def test_flips_give_the_mean_of_a_crop_and_its_mirror_image(flipping, split):
    run = flipping("flip")
    _, mean = by_hand(run, split)
    np.testing.assert_allclose(score_split(run, split).probabilities, mean, atol=1e-6)
    saved = pd.read_parquet(run.folder / f"predictions-{split}.parquet")
    np.testing.assert_allclose(saved.filter(like="p_"), mean, atol=1e-6)
    assert saved.attrs["tta"] == "flip"
    other = score_split(run, split, run.manifest).probabilities  # as of another manifest
    np.testing.assert_allclose(other, mean, atol=1e-6)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_one_pass_gives_both_augmentations_as_two_passes_do(output):
    from classify.models import build

    model = build("sepconv", 2, 32, output=output)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    together = predict._predicted(model, images, 2, None)
    for tta in ("none", "flip"):
        alone = predict_probabilities(model, images, 2, tta=tta)
        np.testing.assert_array_equal(together[tta], alone)


def test_one_sigmoid_is_also_averaged():
    from classify.models import build

    model = build("sepconv", 2, 32, output="sigmoid")
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    one, other = (predict_probabilities(model, x, 2) for x in (images, images[:, :, ::-1]))
    flipped = predict_probabilities(model, images, 2, tta="flip")
    np.testing.assert_allclose(flipped, (one + other) / 2, atol=1e-6)
    np.testing.assert_allclose(flipped.sum(axis=1), 1, atol=1e-6)


def test_predictions_with_and_without_flips_are_never_confused(judged, flipping, capsys):
    run = flipping("flip")
    flipped = score_split(run, "test").probabilities
    plain = score_split(replace(run, settings=judged.settings), "test").probabilities
    np.testing.assert_allclose(plain, by_hand(run, "test")[0], atol=1e-6)
    np.testing.assert_allclose(score_split(run, "test").probabilities, flipped, atol=1e-6)
    assert np.abs(plain - flipped).max() > 1e-4
    table = pd.read_parquet(run.folder / "predictions-test.parquet")
    assert "again" not in capsys.readouterr().out
    table.attrs = {k: v for k, v in table.attrs.items() if k != "tta"}  # said to be without flips
    table.to_parquet(run.folder / "predictions-test.parquet", index=False)
    without = score_split(replace(run, settings=judged.settings), "test").probabilities
    np.testing.assert_allclose(without, plain, atol=1e-6)


@pytest.mark.parametrize("better", ["none", "flip"])
def test_flips_are_chosen_if_they_lower_the_validation_log_loss(flipping, monkeypatch, better):
    run = flipping("auto")
    plain, mean = by_hand(run, "val")
    actual = run.manifest.samples("val")["class_index"].to_numpy()
    losses = [float(log_loss(actual, p, np.ones((1, len(p))))[0]) for p in (plain, mean)]
    if (losses[1] < losses[0]) != (better == "flip"):  # then lower losses are made higher ones
        original = predict._log_loss
        monkeypatch.setattr(predict, "_log_loss", lambda scores: -original(scores))
    assert operating_point(run).tta == better
    assert json.loads((run.folder / FILE).read_text())["tta"] == better
    expected = {"none": plain, "flip": mean}[better]
    np.testing.assert_allclose(score_split(run, "val").probabilities, expected, atol=1e-6)


def test_equal_losses_and_runs_without_validation_give_no_flips(flipping, monkeypatch):
    monkeypatch.setattr(predict, "_log_loss", lambda scores: 1.0)
    assert chosen_tta(flipping("auto")) == "none"
    assert chosen_tta(flipping("auto", refit=True)) == "none"
    assert operating_point(flipping("auto", refit=True)).tta == "none"
    assert operating_point(flipping("flip", refit=True)).tta == "flip"


UNDECIDED = "is none, because --tta auto had no validation split to decide on."


def test_a_report_says_that_a_refit_could_not_choose(flipping):
    run = flipping("auto", refit=True)
    made = make_report(run)
    assert made.provenance.count(UNDECIDED) == 1
    page = " ".join((made.folder / "report.html").read_text().split())
    assert "Test-time augmentation is none: probabilities are those of a crop without its" in page
    card = (made.folder / "model-card.md").read_text()
    assert "| test-time augmentation | none, because --tta auto had no validation split" in card
    assert UNDECIDED in of_verdicts(run, operating_point(run), [])
    notes = compare_across_manifests([run], [run.manifest]).notes
    assert f"{run.folder.name}: Test-time augmentation {UNDECIDED}" in notes
    for tta in ("none", "flip"):
        assert tta_remark(flipping(tta, refit=True)) == ""


def test_results_without_the_validation_data_say_that_nothing_was_chosen(flipping):
    run = flipping("auto")
    config = run.folder / "config.toml"
    config.write_text(config.read_text().replace('tta = "none"', 'tta = "auto"'))
    elsewhere = away(run)
    other = run.manifest
    plain = by_hand(run, "test")[0]
    np.testing.assert_allclose(
        score_split(elsewhere, "test", other).probabilities, plain, atol=1e-6
    )
    assert UNDECIDED in tta_remark(elsewhere)
    point = operating_point_or_default(elsewhere)
    assert UNDECIDED in of_verdicts(elsewhere, point, [])


@pytest.mark.parametrize("record", ["predictions-val.parquet", FILE])
def test_the_choice_is_made_once_and_kept_in_a_moved_run(flipping, monkeypatch, record):
    run = flipping("auto")
    monkeypatch.setattr(predict, "_log_loss", lambda scores: -np.ptp(scores.probabilities))
    chosen = operating_point(run)
    other = {"none": "flip", "flip": "none"}[chosen.tta]
    for name in ("predictions-val.parquet", FILE):
        if name != record:
            (run.folder / name).unlink()

    def again(scores):
        raise AssertionError("chosen again")

    monkeypatch.setattr(predict, "_log_loss", again)
    assert chosen_tta(run) == chosen.tta
    if record == FILE:
        elsewhere = replace(away(run), settings=run.settings)
        assert operating_point_or_default(elsewhere) == chosen
        rewritten(run.folder / FILE, tta=other)  # a changed file decides nothing
        with pytest.raises(AssertionError, match="chosen again"):
            chosen_tta(run)


def test_a_choice_for_another_checkpoint_is_made_again(flipping, monkeypatch):
    run = flipping("auto")
    monkeypatch.setattr(predict, "_log_loss", lambda scores: 1.0)
    operating_point(run)
    values = json.loads((run.folder / FILE).read_text())
    values = {k: v for k, v in values.items() if k != "digest"}
    (run.folder / FILE).write_text(
        json.dumps(with_digest(values | {"tta": "flip", "checkpoint": "0" * 64}))
    )
    assert chosen_tta(run) == "none"


def test_the_thresholds_file_of_a_run_without_flips_may_have_no_entry_for_them(run, capsys):
    values = json.loads((run.folder / FILE).read_text())
    del values["tta"], values["digest"]
    (run.folder / FILE).write_text(json.dumps(with_digest(values)))
    operating_point(run)
    assert "rewritten" not in capsys.readouterr().out
    assert "tta" not in json.loads((run.folder / FILE).read_text())


def test_a_report_names_the_flips(flipping):
    made = make_report(flipping("flip"), robust=True)
    page = " ".join((made.folder / "report.html").read_text().split())
    assert (
        "Test-time augmentation is flip: probabilities are the mean over a crop and its mirror "
        "image." in page
    )
    card = (made.folder / "model-card.md").read_text()
    assert "| test-time augmentation | flip: the probabilities are the mean over" in card
    report = json.loads((made.folder / "report.json").read_text())
    assert report["operating"]["tta"] == "flip"
    assert made.frames.probabilities == pytest.approx(by_hand(made.run, "test")[1], abs=1e-6)
