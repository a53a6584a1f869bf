import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from classify.errors import ClassifyError
from classify.evaluation.metrics import best_temperature, best_threshold
from classify.evaluation.overlap import identity_overlap
from classify.evaluation.scores import Scores
from classify.evaluation.thresholds import FILE, OperatingPoint, operating_point
from classify.reporting.provenance import of_run
from classify.reporting.report import make_report, report_on_file
from classify.reporting.report_files import confident_errors
from classify.training.runs import Run
from classify.training.settings import TrainSettings
from classify.training.train import train
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import MANIFEST_COLUMNS, Manifest
from tests.helpers.files import hashes
from tests.helpers.pages import Page, files_with_pictures, pictures_in


@pytest.fixture(scope="module")
def report(videos_manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "r & <b>d"
    settings = TrainSettings(arch="sepconv", size=32, epochs=2, batch_size=16)
    run = train(videos_manifest.folder, folder, settings)
    return make_report(run)


def test_the_tables_on_disk_are_those_of_the_predictions(report):
    predictions = pd.read_parquet(report.run.folder / "predictions-test.parquet")
    assert list(predictions.columns[: len(MANIFEST_COLUMNS)]) == list(MANIFEST_COLUMNS)
    scores = predictions.filter(like="p_").to_numpy()
    classes = list(report.run.manifest.classes)
    called = np.array(classes)[scores.argmax(axis=1)]
    expected = pd.crosstab(predictions["class"], called).reindex(columns=classes, fill_value=0)
    written = pd.read_csv(report.folder / "confusion-frame.csv", index_col=0)
    assert written.to_numpy().tolist() == expected.to_numpy().tolist()
    summary = json.loads((report.folder / "report.json").read_text())
    frame = summary["units"]["frame"]
    assert frame["samples"] == len(predictions)
    assert frame["accuracy"]["value"] == pytest.approx((called == predictions["class"]).mean())
    clips = predictions[["category", "clip"]].drop_duplicates()
    clip = summary["units"]["clip"]
    assert clip["samples"] == len(clips)
    assert sum(r["samples"] for r in (*clip["manipulations"], *clip["reals"])) == len(clips)


def test_the_first_line_describes_the_split(report):
    assert report.provenance.startswith(
        "Split: grouped. No identity group is known to be in two splits"
    )
    assert "selected by validation log loss" in report.provenance
    html = (report.folder / "report.html").read_text()
    assert html.index(report.provenance) < html.index("<h1>")


def test_a_report_on_a_leaking_split_says_so_in_its_first_line(report, dataset, tmp_path):
    asked = SplitSettings("videos", "paper", shrink=True)
    leaking = make_manifest(dataset, tmp_path / "m", asked)
    said = of_run(report.run, leaking, "test", report.operating_point)
    assert said.startswith("Split: paper. PEOPLE APPEAR IN SEVERAL SPLITS")
    body = re.sub(r"<[^>]*>", "", (report.folder / "report.html").read_text().split("<body>")[1])
    assert body.strip().startswith(report.provenance)


def test_nothing_is_selected_on_validation_for_a_refit(report, videos_manifest):
    refit = dataclasses.replace(
        report.run, settings=dataclasses.replace(report.run.settings, refit=True)
    )
    at = operating_point(refit)
    assert at == OperatingPoint("the run was also trained on val")
    assert at.threshold("frame") == at.threshold("clip") == 0.5
    said = {split: of_run(refit, videos_manifest, split, at) for split in ("test", "val")}
    assert "nothing was selected" in said["test"]
    assert "these metrics include memorisation" in said["val"]


def test_identities_of_val_count_as_seen_by_a_run(report, videos_manifest):
    found = {s: identity_overlap(report.run, videos_manifest, s) for s in ("train", "val", "test")}
    assert {s: (known.shared, known.total) for s, known in found.items()} == {
        "train": (2, 2),
        "val": (1, 1),
        "test": (0, 1),
    }


@pytest.mark.parametrize(
    ("split", "words"), [("val", "these metrics are optimistic"), ("train", "memorisation")]
)
def test_reports_on_other_splits_say_so_and_do_not_change_the_first(report, split, words):
    before = hashes(report.folder)
    other = make_report(report.run, split)
    assert words in other.provenance
    assert other.folder.name == f"report-{split}"
    assert hashes(report.folder) == before


def test_an_unknown_split_is_rejected(report):
    with pytest.raises(ClassifyError, match="test, val, train"):
        make_report(report.run, "holdout")


def test_the_page_is_self_contained_and_names_its_tables_and_figures(report):
    html = (report.folder / "report.html").read_text()
    page = Page()
    page.feed(html)
    assert all(address.startswith("data:") for address in page.fetched)
    assert "<script" not in html
    assert set(page.headers) == {"col", "row"}
    assert len(page.alts) >= 4 + 4 + 1 + 1  # figures per frame and per clip, over time, learning
    assert all(page.alts)
    assert html.count("<table>") == html.count("<caption>") == 12


def test_a_report_without_faces_has_its_figures_and_no_other_image(report):
    figures = {p.read_bytes() for p in report.folder.glob("*.svg")}
    shown = pictures_in(report.folder / "report.html")
    faces = [picture for picture in shown if picture not in figures]
    assert len(faces) == min(12, len(confident_errors(report.frames))) > 0
    try:
        make_report(report.run, faces=False)
        assert set(pictures_in(report.folder / "report.html")) == figures
        named = {f"{path.stem}.png" for path in report.folder.glob("*.svg")}
        assert files_with_pictures(report.folder) == named
        assert "data:image/jpeg" not in (report.folder / "report.html").read_text()
        assert "Faces are omitted" in (report.folder / "report.html").read_text()
    finally:
        make_report(report.run)
    assert pictures_in(report.folder / "report.html") == shown
    assert "omitted from this page" not in (report.folder / "report.html").read_text()


def test_names_are_escaped(report):
    html = (report.folder / "report.html").read_text()
    assert "<b>" not in html
    assert "r &amp; &lt;b&gt;d" in html


def test_figures_are_image_files(report):
    names = ("confusion", "roc", "precision-recall", "calibration")
    every = [f"{name}-{unit}" for name in names for unit in ("frame", "clip")]
    for name in (*every, "clips-over-time", "learning"):
        assert (report.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (report.folder / f"{name}.svg").read_bytes()


def test_percentages_in_the_page_are_the_tables(report):
    html = (report.folder / "report.html").read_text()
    percent = report.evaluations[0].in_paper_order
    table = html[html.index("Confusion matrix in per cent") :]
    for name, row in percent.iterrows():
        cells = re.search(rf'<th scope="row">{name}</th>\s*(.*?)</tr>', table, re.S)[1]
        shown = re.findall(r"<td[^>]*>([^<]*)</td>", cells)
        assert shown == [f"{v:.1f}" for v in row]


def test_thresholds_and_temperature_are_fitted_once_on_validation(report):
    at = report.operating_point
    val = Scores(pd.read_parquet(report.run.folder / "predictions-val.parquet"), report.run.classes)
    clips = val.clips()
    best = [best_threshold(scores.is_fake, scores.p_fake) for scores in (val, clips)]
    assert at == OperatingPoint(
        "",
        *(0.5 if value is None else value for value in best),
        best_temperature(val.actual, val.probabilities),
        tuple(u for u, value in zip(("frame", "clip"), best, strict=True) if value is None),
    )
    assert [j.threshold for j in report.evaluations] == [at.frame_threshold, at.clip_threshold]
    written = (report.run.folder / FILE).stat().st_mtime_ns
    assert operating_point(report.run) == at
    assert (report.run.folder / FILE).stat().st_mtime_ns == written
    (report.run.folder / FILE).write_text("{")
    assert operating_point(report.run) == at
    kept = json.loads((report.run.folder / FILE).read_text())
    assert kept["temperature"] == at.temperature
    of_another = kept | {"checkpoint": "0" * 64, "frame_threshold": 0.99}
    (report.run.folder / FILE).write_text(json.dumps(of_another))
    assert operating_point(report.run) == at


@pytest.mark.usefixtures("undrawn")
def test_a_runs_own_predictions_as_csv_give_the_same_metrics(report, videos_manifest, tmp_path):
    given = report.folder / "predictions.csv"
    again = report_on_file(given, videos_manifest, folder=tmp_path / "again")
    assert again.provenance.startswith("Predictions of predictions.csv; the training data")
    first, second = (
        json.loads((folder / "report.json").read_text())
        for folder in (report.folder, tmp_path / "again")
    )
    assert "data:image/jpeg" in (again.folder / "report.html").read_text()
    report_on_file(given, videos_manifest, folder=tmp_path / "again", faces=False)
    assert "data:image/jpeg" not in (again.folder / "report.html").read_text()
    for key in ("units", "operating", "remarks"):
        assert second[key] == first[key]
    for name in ("confusion-paper-clip.csv", "manipulations-frame.csv", "errors.csv"):
        assert (again.folder / name).read_text() == (report.folder / name).read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_run_is_evaluated_on_another_manifest_at_its_own_threshold(report, dataset, tmp_path):
    other = make_manifest(dataset, tmp_path / "m", SplitSettings("videos", "paper", shrink=True))
    found = make_report(report.run, "test", other)
    assert found.folder == report.run.folder / "report-on-m"
    assert found.operating_point == report.operating_point
    # The paper's split draws frames, so that all people are in all splits.
    assert "IDENTITIES OF ITS TRAINING DATA ARE IN THIS SPLIT: " in found.provenance
    assert len(found.frames) == len(other.samples("test"))


@pytest.mark.usefixtures("undrawn")
def test_a_split_without_identity_overlap_is_recognised(report, dataset, videos_manifest, tmp_path):
    same_sides = make_manifest(
        dataset, tmp_path / "m", SplitSettings("videos", ratios=(50, 25, 25), per_class=8)
    )
    own = set(videos_manifest.samples("test")["group"])
    assert set(same_sides.samples("test")["group"]) == own
    found = make_report(report.run, "test", same_sides)
    assert "No identity overlap with its training data is known" in found.provenance


def test_classes_unknown_to_the_network_are_rejected(report, dataset, tmp_path):
    stills = make_manifest(dataset, tmp_path / "m", SplitSettings("multiclass", shrink=True))
    with pytest.raises(ClassifyError, match=r"the detector has no class for CelebA, CelebA-HQ"):
        make_report(report.run, "test", stills)


@pytest.mark.usefixtures("undrawn")
def test_a_binary_manifest_of_known_categories_is_evaluated_by_category(
    report, videos_manifest, tmp_path
):
    labels = ["fake", "real"]
    for split in ("train", "val", "test"):
        samples = videos_manifest.samples(split)
        samples["class"] = samples["label"]
        samples["class_index"] = samples["label"].map(labels.index)
        (tmp_path / "b").mkdir(exist_ok=True)
        samples.to_csv(tmp_path / "b" / f"{split}.csv", index=False)
    from ffpp_tools.files import sha256

    info = dict(videos_manifest.info)
    info["root"] = str(videos_manifest.root)
    info["classes"] = {"fake": "fake", "real": "real"}
    info["files"] = {f"{s}.csv": sha256(tmp_path / "b" / f"{s}.csv") for s in info["counts"]}
    (tmp_path / "b/manifest.json").write_text(json.dumps(info))
    found = make_report(report.run, "test", Manifest.read(tmp_path / "b"))
    assert found.evaluations[0].confusion.equals(report.evaluations[0].confusion)


def test_the_runs_own_manifest_is_recognised(report, videos_manifest):
    found = make_report(report.run, "test", videos_manifest)
    assert found.folder == report.folder
    assert found.provenance == report.provenance


@pytest.mark.usefixtures("undrawn")
def test_a_report_on_another_manifest_names_the_selection_and_has_only_its_own_faces(
    report, dataset, tmp_path
):
    other = make_manifest(dataset, tmp_path / "m", SplitSettings("videos", "paper", shrink=True))
    found = make_report(report.run, "test", other)
    assert "selected by validation log loss on the run's own manifest" in found.provenance
    exported = pd.read_csv(found.folder / "predictions.csv")
    assert exported["face_id"].tolist() == other.samples("test")["face_id"].tolist()
    another = make_manifest(
        dataset, tmp_path / "x/m", SplitSettings("videos", "paper", shrink=True, seed=1)
    )
    assert make_report(report.run, "test", another).folder != found.folder
    assert make_report(report.run, "test", other).folder == found.folder


@pytest.mark.usefixtures("undrawn")
def test_differences_in_cropping_are_named(report, dataset, tmp_path):
    away = shutil.copytree(report.run.folder, tmp_path / "far" / "away")
    faces = json.loads((away / "faces.json").read_text())
    faces["crop"]["margin"] = 1.0
    faces["find"]["search"] = "full"
    (away / "faces.json").write_text(json.dumps(faces))
    other = make_manifest(dataset, tmp_path / "m", SplitSettings("videos", ratios=(50, 25, 25)))
    found = make_report(Run.read(away), "test", other)  # which needs none of the run's own data
    assert "FACES WERE DETECTED OR CROPPED DIFFERENTLY" in found.provenance
    differences = "margin 1.0 in training, 1.3 here, search full in training, fast here"
    assert f"({differences})" in found.provenance
    assert "Identity overlap with its training data is unknown" in found.provenance


def test_a_new_report_deletes_the_files_of_the_previous_one(report):
    (report.folder / "robustness.csv").write_text("old")
    listed = json.loads((report.folder / "report.json").read_text())
    listed["files"] += ["robustness.csv", "../log.csv"]
    (report.folder / "report.json").write_text(json.dumps(listed))
    (report.folder / "notes.txt").write_text("mine")
    make_report(report.run)
    assert not (report.folder / "robustness.csv").exists()
    assert (report.folder / "notes.txt").exists()
    assert (report.run.folder / "log.csv").exists()


def test_limitations_of_the_audit_are_in_a_remark(report):
    unknown = report.manifest.info["audit"]["not_known"]
    assert unknown
    assert any(unknown[0] in remark for remark in report.remarks)
