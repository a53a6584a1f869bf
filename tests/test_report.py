import base64
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from classify import metrics
from classify.errors import ClassifyError
from classify.external import read_predictions
from classify.judge import auc_against_originals, flat, judge
from classify.metrics import best_temperature, best_threshold
from classify.operating import FILE, Operating, operating
from classify.page import cell, starred
from classify.provenance import known_people, of_run, remarks
from classify.report import make_report, report_on_file
from classify.report_files import errors, worst_clips
from classify.runs import Run
from classify.scores import Scores, classes_of
from classify.settings import TrainSettings
from classify.train import train
from ffpp_tools.manifest import MANIFEST_COLUMNS, Manifest
from ffpp_tools.split import SplitSettings, make_manifest
from tests.test_demo import hashes

CLASSES = {
    "CelebA": "real",
    "Deepfakes": "fake",
    "FaceSwap": "fake",
    "Youtube": "real",
}


def scored(*rows):
    """Rows (category, compression, clip, probabilities in class order) as scores."""
    names = list(CLASSES)
    table = pd.DataFrame(
        [
            {
                "face_id": f"{category}/{compression}/{clip}/{number:06d}",
                "category": category,
                "class": category,
                "class_index": names.index(category),
                "label": CLASSES[category],
                "compression": compression,
                "clip": clip,
                "group": clip if compression == "still" else "Youtube/000",
                "frame": number,
                **{f"p_{name}": p for name, p in zip(names, probabilities, strict=True)},
            }
            for number, (category, compression, clip, probabilities) in enumerate(rows)
        ]
    )
    return Scores(table, CLASSES)


SCORES = scored(
    ("CelebA", "still", "000001", (0.9, 0.1, 0.0, 0.0)),
    ("Deepfakes", "c40", "000_003", (0.0, 0.6, 0.2, 0.2)),
    ("Deepfakes", "c40", "000_003", (0.0, 0.2, 0.2, 0.6)),
    ("Deepfakes", "c23", "000_003", (0.0, 0.1, 0.0, 0.9)),
    ("FaceSwap", "c40", "000_003", (0.0, 0.1, 0.8, 0.1)),
    ("Youtube", "c40", "000", (0.1, 0.3, 0.1, 0.5)),
    ("Youtube", "c40", "003", (0.0, 0.5, 0.3, 0.2)),
)


FIXED = Operating("a test")


def judged(scores=SCORES, at=FIXED, unit="frame"):
    return judge(scores, unit, at, {"Deepfakes": 0.04})


def test_a_clip_scores_the_mean_of_its_crops_and_same_named_fakes_stay_apart():
    clips = SCORES.clips().table.set_index(["category", "compression", "clip"])
    assert len(clips) == 5
    assert not (clips.index.get_level_values("compression") == "still").any()
    means = clips.loc[("Deepfakes", "c40", "000_003"), [f"p_{c}" for c in CLASSES]]
    assert means.tolist() == pytest.approx([0.0, 0.4, 0.2, 0.4])
    assert clips.loc[("FaceSwap", "c40", "000_003"), "p_FaceSwap"] == 0.8


def test_four_fakes_of_one_name_are_four_clips():
    methods = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    rows = pd.concat(
        [
            SCORES.table.iloc[[1]].assign(category=m, **{"class": m}, p_Deepfakes=p)
            for m, p in zip(methods, (0.1, 0.2, 0.3, 0.4), strict=True)
        ]
    )
    clips = Scores(rows, CLASSES).clips().table
    assert clips["category"].tolist() == list(methods)
    assert clips["clip"].tolist() == ["000_003"] * 4
    assert clips["p_Deepfakes"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert worst_clips(Scores(rows, CLASSES))["clip"].nunique() == 4


def test_frames_are_judged_with_p_fake_summed_over_the_fake_classes():
    found = judged()
    assert found.samples == 7
    assert found.measures["accuracy"].value == pytest.approx(4 / 7)
    # P(fake): CelebA .1 | Deepfakes .8 .4 .1 | FaceSwap .9 | Youtube .4 .8
    # fake-real pairs in order: .8 → 2.5, .4 → 1.5, .1 → .5, .9 → 3 of 3 each
    assert found.measures["auc"].value == pytest.approx((2.5 + 1.5 + 0.5 + 3) / 12)
    # without CelebA, the easy one, and each compression with its own: 2 of 4, 2 of 2, and no c23
    against = found.measures["auc_against_originals"].value
    assert against == pytest.approx((2 / 4 + 2 / 2) / 2)
    assert found.confusion.loc["Deepfakes"].tolist() == [0, 1, 0, 2]
    assert found.percent.loc["Youtube"].tolist() == pytest.approx([0, 50, 0, 50])


def test_each_manipulation_is_set_against_its_originals_of_its_own_compression():
    table = flat(judged().manipulations).set_index(["category", "compression"])
    assert table.loc[("Deepfakes", "c40"), "auc"] == pytest.approx(2 / 4)
    assert np.isnan(table.loc[("Deepfakes", "c23"), "auc"])
    assert table.loc[("FaceSwap", "c40"), "auc"] == 1.0
    assert table.loc[("FaceSwap", "c40"), "eer"] == 0.0
    assert table.loc[("Deepfakes", "c40"), "auc_against_all"] == pytest.approx(4 / 6)
    assert table.loc[("Deepfakes", "c40"), "samples"] == 2
    assert table.loc[("Deepfakes", "c40"), "missed"] == 0.04


def test_detection_follows_the_threshold_that_validation_chose():
    at = Operating("a test", frame_threshold=0.35, clip_threshold=0.65)
    found = judged(at=at)
    assert found.detection.loc["fake"].tolist() == [3, 1]
    assert found.detection.loc["real"].tolist() == [2, 1]
    rates = flat(found.manipulations).set_index(["category", "compression"])["detected"]
    assert rates["Deepfakes", "c40"] == 1.0
    reals = flat(found.reals).set_index("category")["called_real"]
    assert (reals["CelebA"], reals["Youtube"]) == (1.0, 0.0)
    clips = judged(SCORES.clips(), at, "clip")
    assert clips.threshold == 0.65
    assert clips.detection.loc["fake"].tolist() == [1, 2]  # means .6, .1 and .9


def test_a_manifests_own_class_goes_before_the_category():
    """Such as a manifest whose class Deepfakes holds FaceSwap's crops too."""
    samples = pd.DataFrame({"category": ["FaceSwap", "Youtube"], "label": ["fake", "real"]})
    for own, expected in (("Deepfakes", "Deepfakes"), ("swaps", "FaceSwap")):
        table = samples.assign(**{"class": [own, "Youtube"]})
        assert classes_of(table, CLASSES).tolist() == [expected, "Youtube"]
    assert classes_of(samples, {"fake": "fake", "real": "real"}).tolist() == ["fake", "real"]


def test_at_the_threshold_itself_a_sample_is_called_real():
    scores = scored(
        ("FaceSwap", "c40", "000_003", (0.0, 0.0, 0.5, 0.5)),
        ("Youtube", "c40", "000", (0.0, 0.0, 0.5, 0.5)),
    )
    found = judged(scores)
    assert found.detection.to_numpy().tolist() == [[0, 1], [0, 1]]
    assert found.manipulations[0].detected.value == 0
    assert found.reals[0].called_real.value == 1


def of_people(*counts):
    """Scores of (category, people): two clips of each person, wrong and right by turns."""
    rows = [
        (category, "c40", f"{person}-{clip}", (0.0, *((0.6, 0.4, 0.0), (0.3, 0.2, 0.5))[clip]))
        for category, people in counts
        for person in range(people)
        for clip in range(2)
    ]
    scores = scored(*rows)
    own = {"group": scores.table["clip"].str.split("-").str[0], "class": scores.table["label"]}
    return Scores(scores.table.assign(**own), CLASSES)


def test_people_are_counted_and_drawn_not_clips():
    found = judged(of_people(("Deepfakes", 3), ("FaceSwap", 5), ("Youtube", 4)))
    assert found.fewest == ("Deepfakes", 3)
    assert (found.samples, found.groups) == (24, 5)
    assert found.measures["accuracy"].groups == 3
    deepfakes, faceswap = found.manipulations
    assert (deepfakes.groups, faceswap.groups, found.reals[0].groups) == (3, 5, 4)
    assert (deepfakes.auc.groups, faceswap.auc.groups) == (3, 4)  # the fewer of both sides
    assert (deepfakes.auc_against_all.groups, faceswap.auc_against_all.groups) == (3, 4)
    # Everybody is half right, so that other people would change nothing.
    assert np.isnan([deepfakes.detected.low, deepfakes.detected.high]).all()


def test_the_tempered_measures_are_those_of_the_tempered_probabilities():
    found = judged(at=Operating("", temperature=3.0))
    tempered = metrics.tempered(SCORES.probabilities, 3.0)
    right = SCORES.actual == SCORES.predicted
    once = np.ones((1, len(SCORES)))
    for name, probabilities in (("", SCORES.probabilities), ("_tempered", tempered)):
        loss = metrics.log_loss(SCORES.actual, probabilities, once)[0]
        assert found.measures[f"log_loss{name}"].value == pytest.approx(loss)
        error = metrics.calibration_error(right, probabilities.max(axis=1))
        assert getattr(found, f"calibration_error{name}") == pytest.approx(error)
    assert found.calibration_error != pytest.approx(found.calibration_error_tempered)


def test_a_draw_without_one_manipulation_is_judged_by_the_others():
    without_faceswap = np.where(SCORES.table["category"] == "FaceSwap", 0.0, 1.0)
    second_youtube_twice = np.where(SCORES.table["clip"] == "003", 2.0, 1.0)
    found = auc_against_originals(SCORES, np.stack([without_faceswap, second_youtube_twice]))
    # Deepfakes .8 .4 against .4 and twice .8: 2 and .5 of 3 each.
    assert found == pytest.approx([2 / 4, (2.5 / 6 + 1) / 2])


def said_of(scores, **audit):
    info = {"audit": {"not_known": [], "miss_rates": {}} | audit}
    return " ".join(remarks([judged(scores)], Manifest(None, info)))


@pytest.mark.parametrize(
    ("stills", "videos", "found_out"),
    [
        (0.9, (0.1, 0.2, 0.8), True),
        (0.9, (0.1, 0.8, 0.9), False),
        (0.9, (0.7, 0.8, 0.9), False),
        (0.2, (0.1, 0.2, 0.8), False),
    ],
    ids=["few videos pass", "most videos pass", "all pass", "no still passes"],
)
def test_stills_that_pass_as_real_where_video_does_not_are_remarked_upon(stills, videos, found_out):
    scores = scored(
        ("CelebA", "still", "000001", (stills, 1 - stills, 0.0, 0.0)),
        *(("Youtube", "c40", "000", (0.0, 1 - real, 0.0, real)) for real in videos),
        ("Deepfakes", "c40", "000_003", (0.0, 0.9, 0.1, 0.0)),
    )
    assert ("telling stills from video" in said_of(scores)) is found_out


@pytest.mark.parametrize(("people", "remarked"), [(19, True), (20, False)])
def test_fewer_people_than_an_interval_needs_are_remarked_upon(people, remarked):
    said = said_of(of_people(("FaceSwap", 25), ("Youtube", people)))
    assert (f"Youtube shows {people} groups of people (no category fewer)" in said) is remarked


@pytest.mark.parametrize(("rate", "remarked"), [(0.04, False), (0.06, True)])
def test_unequal_misses_are_remarked_upon(rate, remarked):
    said = said_of(SCORES, miss_rates={"Youtube": 0.0, "Deepfakes": rate})
    assert ("Categories differ in how often no face was found" in said) is remarked


def part_of(scores, keep):
    return Scores(scores.table[keep(scores.table)].reset_index(drop=True), scores.classes)


@pytest.mark.parametrize(
    "keep",
    [
        lambda t: t["label"] == "fake",
        lambda t: t["label"] == "real",
        lambda t: t["compression"] == "still",
        lambda t: t["category"] == "FaceSwap",
    ],
    ids=["only fakes", "only reals", "only stills", "one clip"],
)
def test_what_a_split_does_not_hold_has_no_measure_and_harms_no_other(keep):
    found = judged(part_of(SCORES, keep))
    assert np.isnan(found.measures["auc"].value)
    assert np.isnan(found.measures["eer"].value)
    assert np.isfinite(found.measures["accuracy"].value)
    assert (
        len(found.manipulations) + len(found.reals)
        == found.scores.table.groupby(["category", "compression"]).ngroups
    )


def test_generated_stills_have_no_originals_and_count_only_against_all_reals():
    table = SCORES.table.assign(category=SCORES.table["category"].replace("FaceSwap", "DCGAN"))
    found = judged(Scores(table, CLASSES))
    (gan,) = (m for m in found.manipulations if m.category == "DCGAN")
    assert np.isnan(gan.auc.value)
    assert gan.auc_against_all.value == 1.0
    assert found.measures["auc_against_originals"].value == pytest.approx(2 / 4)  # Deepfakes alone


def test_errors_are_the_surest_wrong_predictions_one_of_each_clip():
    wrong = errors(
        Scores(
            pd.concat([SCORES.table, SCORES.table.assign(frame=9, p_Youtube=0.0)]).assign(
                path="x", face_id=lambda t: t["face_id"] + t["frame"].astype(str)
            ),
            CLASSES,
        )
    )
    assert wrong["probability"].is_monotonic_decreasing
    assert not wrong.duplicated(["category", "compression", "clip"]).any()
    first = wrong.iloc[0]
    assert (first["class"], first["predicted"], first["probability"]) == (
        "Deepfakes",
        "Youtube",
        0.9,
    )
    assert "CelebA" not in set(wrong["class"])  # never taken for anything else


def test_the_clips_furthest_from_the_truth_come_first():
    # Wrong by: c23 Deepfake .9, Youtube 003 .8, c40 Deepfake .4, Youtube 000 .4, FaceSwap .1
    order = list(dict.fromkeys(worst_clips(SCORES)["clip"]))
    assert order[:2] == ["Deepfakes, c23, 000_003", "Youtube, c40, 003"]
    assert order[-1] == "FaceSwap, c40, 000_003"


def test_reals_come_first_in_the_papers_tables():
    order = list(judged().in_paper_order.index)
    assert order == ["CelebA", "Youtube", "Deepfakes", "FaceSwap"]
    assert list(judged().confusion.index) == list(CLASSES)
    assert [starred(v) for v in (9.99, 10, float("nan"))] == ["*", "10", "*"]


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0, "N/A"), (float("nan"), "N/A"), (100, "100"), (98.8, "98.8"), (0.05, "0.05"), (8.0, "8")],
)
def test_cells_are_printed_as_in_the_papers_tables(value, printed):
    assert cell(value) == printed


@pytest.fixture
def undrawn(monkeypatch):
    """Reports with empty pictures: to draw them is most of the work, and not what is looked at."""
    monkeypatch.setattr("classify.page.image", lambda figure, kind: b"<svg></svg>")


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


def test_the_first_line_says_what_kind_of_split_it_was(report):
    assert report.provenance.startswith("Split: grouped. No group of people is on two sides")
    assert "validation loss" in report.provenance
    html = (report.folder / "report.html").read_text()
    assert html.index(report.provenance) < html.index("<h1>")


def test_a_report_on_a_leaking_split_says_so_in_its_first_line(report, dataset, tmp_path):
    asked = SplitSettings("videos", "paper", shrink=True)
    leaking = make_manifest(dataset, tmp_path / "m", asked)
    said = of_run(report.run, leaking, "test", report.operating)
    assert said.startswith("Split: paper. PEOPLE APPEAR ON SEVERAL SIDES")
    body = re.sub(r"<[^>]*>", "", (report.folder / "report.html").read_text().split("<body>")[1])
    assert body.strip().startswith(report.provenance)


def test_of_a_refit_nothing_was_chosen_on_validation(report, videos_manifest):
    refit = dataclasses.replace(
        report.run, settings=dataclasses.replace(report.run.settings, refit=True)
    )
    at = operating(refit)
    assert at == Operating("the run was trained on val too")
    assert at.threshold("frame") == at.threshold("clip") == 0.5
    said = {split: of_run(refit, videos_manifest, split, at) for split in ("test", "val")}
    assert "nothing was chosen" in said["test"]
    assert "these figures say what it memorised" in said["val"]


def test_people_that_chose_the_checkpoint_are_known_to_a_run_too(report, videos_manifest):
    found = {s: known_people(report.run, videos_manifest, s) for s in ("train", "val", "test")}
    assert {s: (known.shared, known.asked) for s, known in found.items()} == {
        "train": (2, 2),
        "val": (1, 1),
        "test": (0, 1),
    }


@pytest.mark.parametrize(
    ("split", "words"), [("val", "this very split: these figures flatter"), ("train", "memorised")]
)
def test_reports_on_other_splits_say_so_and_leave_the_first_alone(report, split, words):
    before = hashes(report.folder)
    other = make_report(report.run, split)
    assert words in other.provenance
    assert other.folder.name == f"report-{split}"
    assert hashes(report.folder) == before


def test_an_unknown_split_is_refused(report):
    with pytest.raises(ClassifyError, match="test, val, train"):
        make_report(report.run, "holdout")


class Page(HTMLParser):
    """Collects what a page would fetch, its tables' headers and its pictures' texts."""

    def __init__(self):
        super().__init__()
        self.fetched, self.headers, self.alts, self.pictures = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.fetched += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag == "th":
            self.headers.append(attrs.get("scope"))
        if tag == "img":
            self.alts.append(attrs.get("alt"))
            self.pictures.append(attrs["src"])


def test_the_page_stands_alone_and_names_its_tables_and_figures(report):
    html = (report.folder / "report.html").read_text()
    page = Page()
    page.feed(html)
    assert all(address.startswith("data:") for address in page.fetched)
    assert "<script" not in html
    assert set(page.headers) == {"col", "row"}
    assert len(page.alts) >= 4 + 4 + 1 + 1  # figures per frame and per clip, over time, learning
    assert all(page.alts)
    assert html.count("<table>") == html.count("<caption>") == 14


def pictures_in(path):
    """What the pictures of a page hold."""
    page = Page()
    page.feed(path.read_text())
    return [base64.b64decode(address.partition("base64,")[2]) for address in page.pictures]


def files_with_pictures(folder):
    """The names of all files below a folder that are pictures, by what is in them."""
    known = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM")
    return {p.name for p in folder.rglob("*") if p.is_file() and p.read_bytes().startswith(known)}


def test_a_report_for_others_holds_its_figures_and_no_other_picture(report):
    figures = {p.read_bytes() for p in report.folder.glob("*.svg")}
    shown = pictures_in(report.folder / "report.html")
    faces = [picture for picture in shown if picture not in figures]
    assert len(faces) == min(12, len(errors(report.frames))) > 0
    try:
        make_report(report.run, faces=False)
        assert set(pictures_in(report.folder / "report.html")) == figures
        named = {f"{path.stem}.png" for path in report.folder.glob("*.svg")}
        assert files_with_pictures(report.folder) == named
        assert "data:image/jpeg" not in (report.folder / "report.html").read_text()
        assert "Faces were left out" in (report.folder / "report.html").read_text()
    finally:
        make_report(report.run)
    assert pictures_in(report.folder / "report.html") == shown
    assert "left out of this page" not in (report.folder / "report.html").read_text()


def test_names_are_escaped(report):
    html = (report.folder / "report.html").read_text()
    assert "<b>" not in html
    assert "r &amp; &lt;b&gt;d" in html


def test_figures_are_pictures(report):
    names = ("confusion", "roc", "precision-recall", "calibration")
    every = [f"{name}-{unit}" for name in names for unit in ("frame", "clip")]
    for name in (*every, "clips-over-time", "learning"):
        assert (report.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (report.folder / f"{name}.svg").read_bytes()


def test_percentages_in_the_page_are_the_tables(report):
    html = (report.folder / "report.html").read_text()
    percent = report.judgements[0].in_paper_order
    table = html[html.index("Confusion in per cent") :]
    for name, row in percent.iterrows():
        cells = re.search(rf'<th scope="row">{name}</th>\s*(.*?)</tr>', table, re.S)[1]
        shown = re.findall(r"<td[^>]*>([^<]*)</td>", cells)
        assert shown == [cell(v) for v in row]


def test_thresholds_and_temperature_come_from_validation_and_are_chosen_once(report):
    at = report.operating
    val = Scores(pd.read_parquet(report.run.folder / "predictions-val.parquet"), report.run.classes)
    clips = val.clips()
    assert at == Operating(
        "",
        best_threshold(val.is_fake, val.p_fake),
        best_threshold(clips.is_fake, clips.p_fake),
        best_temperature(val.actual, val.probabilities),
    )
    assert [j.threshold for j in report.judgements] == [at.frame_threshold, at.clip_threshold]
    written = (report.run.folder / FILE).stat().st_mtime_ns
    assert operating(report.run) == at
    assert (report.run.folder / FILE).stat().st_mtime_ns == written
    (report.run.folder / FILE).write_text("{")
    assert operating(report.run) == at
    kept = json.loads((report.run.folder / FILE).read_text())
    assert kept["temperature"] == at.temperature
    of_another = kept | {"checkpoint": "0" * 64, "frame_threshold": 0.99}
    (report.run.folder / FILE).write_text(json.dumps(of_another))
    assert operating(report.run) == at


@pytest.mark.usefixtures("undrawn")
def test_a_runs_own_predictions_as_csv_give_the_same_figures(report, videos_manifest, tmp_path):
    given = report.folder / "predictions.csv"
    again = report_on_file(given, videos_manifest, folder=tmp_path / "again")
    assert again.provenance.startswith("Predictions of predictions.csv: whom")
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


def detector(manifest, p_fake, split="test"):
    """A CSV of a detector with P(fake) as a function of a manifest's rows."""
    samples = pd.concat([manifest.samples(s) for s in (split, "val")])
    return samples.assign(p_fake=p_fake(samples))[["face_id", "p_fake"]]


def report_of(table, manifest, folder):
    folder.mkdir()
    table.to_csv(folder / "theirs.csv", index=False)
    return report_on_file(folder / "theirs.csv", manifest)


@pytest.mark.usefixtures("undrawn")
def test_a_constant_classifier_gets_the_report_it_deserves(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: 0.7)
    report = report_of(table, videos_manifest, tmp_path / "c")
    for j in report.judgements:
        assert j.measures["auc"].value == 0.5
        assert j.measures["auc_against_originals"].value == 0.5
        assert all(m.auc.value == 0.5 and m.eer.value == 0.5 for m in j.manipulations)
        assert np.isnan([j.measures["auc"].low, j.measures["auc"].high]).all()
    said = " ".join(report.remarks)
    assert "Per frame every sample gets nearly the same P(fake), 0.70 to 0.70" in said
    assert "Every clip is called fake" in said
    html = (report.folder / "report.html").read_text()
    assert "decides nothing" in html


@pytest.mark.usefixtures("undrawn")
def test_a_perfect_classifier_gets_full_marks_and_a_word_on_how_few_people_it_was_asked_about(
    videos_manifest, tmp_path
):
    def right(samples):
        return np.where(samples["label"] == "fake", 0.9, 0.2)

    report = report_of(detector(videos_manifest, right), videos_manifest, tmp_path / "p")
    for j in report.judgements:
        for name in ("accuracy", "auc", "average_precision", "recall_at_1_percent"):
            assert j.measures[name].value == 1
        assert j.measures["eer"].value == 0
        assert all(m.detected.value == 1 for m in j.manipulations)
        assert j.detection.loc["fake", "real"] == j.detection.loc["real", "fake"] == 0
    assert "not to be trusted" in " ".join(report.remarks)
    assert (report.folder / "errors.csv").read_text().count("\n") == 1  # the headline


@pytest.mark.usefixtures("undrawn")
def test_a_detector_that_only_tells_stills_from_video_is_found_out(dataset, tmp_path):
    asked = SplitSettings("binary", ratios=(50, 25, 25), shrink=True)
    manifest = make_manifest(dataset, tmp_path / "m", asked)

    def by_source(samples):
        noise = np.random.default_rng(0).random(len(samples)) / 10
        return np.where(samples["compression"] == "still", 0.1, 0.8) + noise

    report = report_of(detector(manifest, by_source), manifest, tmp_path / "s")
    frame = report.judgements[0]
    assert frame.measures["auc"].value > 0.7
    for m in frame.manipulations:
        assert m.auc_against_all.value > m.auc.value + 0.1
    reals = {r.category: r.called_real.value for r in frame.reals}
    assert reals == {"CelebA": 1.0, "CelebA-HQ": 1.0, "Youtube": 0.0}
    assert any("telling stills from video" in remark for remark in report.remarks)


@pytest.mark.usefixtures("undrawn")
def test_a_path_will_do_for_a_face_and_p_fake_may_be_given_without_p_real(
    videos_manifest, tmp_path
):
    samples = videos_manifest.samples("test")
    rng = np.random.default_rng(0)
    table = samples[["path"]].assign(p_fake=rng.random(len(samples)), else_what="x")
    report = report_of(table, videos_manifest, tmp_path / "r")
    assert report.operating.frame_threshold == 0.5
    assert "none could be chosen: the file does not hold all of val" in report.provenance
    assert list(report.frames.classes) == ["fake", "real"]
    assert report.frames.p_fake == pytest.approx(table["p_fake"])


def with_face_twice(table):
    return pd.concat([table, table.iloc[:1]])


def test_other_columns_and_faces_are_left_alone(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: np.linspace(0.3, 0.9, len(samples)))
    train = videos_manifest.samples("train")[["face_id"]].assign(p_fake=np.nan)
    more = pd.concat([table.assign(p_value=3.0, note="x"), train, train])
    for one, other in zip(
        *(read(t, videos_manifest, tmp_path / "p.csv") for t in (table, more)), strict=True
    ):
        pd.testing.assert_frame_equal(one.table, other.table)


def read(table, manifest, path, split="test"):
    table.to_csv(path, index=False)
    return read_predictions(path, manifest, split)


def test_where_every_class_has_a_column_p_fake_beside_them_is_left_alone(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: 0.5)
    names = list(videos_manifest.classes)
    given = np.random.default_rng(0).dirichlet(np.ones(len(names)), len(table))
    every = table.assign(**{f"p_{name}": given[:, i] for i, name in enumerate(names)})
    found, _ = read(every, videos_manifest, tmp_path / "p.csv")
    assert found.classes == videos_manifest.classes
    assert found.probabilities == pytest.approx(given[: len(found)])


def test_a_threshold_is_chosen_by_all_of_val_or_by_none_of_it(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: np.linspace(0.3, 0.9, len(samples)))
    judged_test, val = read(table, videos_manifest, tmp_path / "all.csv")
    assert list(val.table["face_id"]) == list(videos_manifest.samples("val")["face_id"])
    again, nothing = read(table.iloc[:-1], videos_manifest, tmp_path / "some.csv")
    assert nothing is None
    pd.testing.assert_frame_equal(again.table, judged_test.table)
    of_val, nothing = read(table, videos_manifest, tmp_path / "val.csv", "val")
    assert nothing is None  # val is what is judged, and chooses nothing for itself
    pd.testing.assert_frame_equal(of_val.table, val.table)


@pytest.mark.usefixtures("undrawn")
def test_a_file_report_never_lands_on_somebody_elses_files(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: 0.5)
    path = tmp_path / "predictions.csv"
    table.assign(note="mine").to_csv(path, index=False)
    before = path.read_bytes()
    with pytest.raises(ClassifyError, match="something else than a report"):
        report_on_file(path, videos_manifest, folder=tmp_path)
    report_on_file(path, videos_manifest)
    (tmp_path / "predictions-report/notes.txt").write_text("mine")
    report_on_file(path, videos_manifest)  # its own may be replaced
    assert report_on_file(path, videos_manifest, "val").folder.name == "predictions-report-val"
    assert path.read_bytes() == before
    assert (tmp_path / "predictions-report/notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="face_id"), "a column face_id or path is needed"),
        (lambda t: t.drop(columns="p_fake"), "a column p_fake is needed, or one for each class"),
        (lambda t: t.iloc[1:], "1 of .* faces of .*test.csv are missing, such as "),
        (with_face_twice, "more than once"),
        (lambda t: t.assign(p_fake=[np.nan, *t["p_fake"][1:]]), "line 2: p_fake is nan"),
        (lambda t: t.assign(p_fake=t["p_fake"] + 1), "line 2: p_fake is 1.*, no probability"),
        (lambda t: t.assign(p_fake="high"), "line 2: p_fake is high, no probability"),
        (lambda t: t.assign(p_fake=t["p_fake"] - 1), "line 2: p_fake is -0.7, no probability"),
        (lambda t: t.assign(p_real=0.9), "sum up to 1.*, not 1"),
        (lambda t: t.assign(p_fake=0.3, p_real=0.3), r"sum up to 0\.600, not 1"),
        (
            lambda t: t.drop(columns="p_fake").assign(p_Youtube=0.1, p_Somebody=0.9),
            "p_Somebody is of no known class",
        ),
    ],
)
def test_predictions_that_cannot_be_judged_are_refused(change, words, videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: np.linspace(0.3, 0.9, len(samples)))
    with pytest.raises(ClassifyError, match=words):
        report_of(change(table), videos_manifest, tmp_path / "r")
    assert [p.name for p in (tmp_path / "r").iterdir()] == ["theirs.csv"]


@pytest.mark.usefixtures("undrawn")
def test_a_run_is_judged_on_another_manifest_at_its_own_threshold(report, dataset, tmp_path):
    other = make_manifest(dataset, tmp_path / "m", SplitSettings("videos", "paper", shrink=True))
    found = make_report(report.run, "test", other)
    assert found.folder == report.run.folder / "report-on-m"
    assert found.operating == report.operating
    # The paper's split draws frames, so that everybody is everywhere.
    assert "PEOPLE OF ITS OWN TRAINING ARE IN THIS SPLIT: " in found.provenance
    assert len(found.frames) == len(other.samples("test"))


@pytest.mark.usefixtures("undrawn")
def test_people_that_a_run_was_not_trained_on_are_told_apart_from_those_it_was(
    report, dataset, videos_manifest, tmp_path
):
    same_sides = make_manifest(
        dataset, tmp_path / "m", SplitSettings("videos", ratios=(50, 25, 25), per_class=8)
    )
    own = set(videos_manifest.samples("test")["group"])
    assert set(same_sides.samples("test")["group"]) == own
    found = make_report(report.run, "test", same_sides)
    assert "None of its training's people are in this split" in found.provenance


def test_classes_that_the_network_does_not_know_are_refused(report, dataset, tmp_path):
    stills = make_manifest(dataset, tmp_path / "m", SplitSettings("multiclass", shrink=True))
    with pytest.raises(ClassifyError, match=r"CelebA, CelebA-HQ is none of the detector's classes"):
        make_report(report.run, "test", stills)


@pytest.mark.usefixtures("undrawn")
def test_a_binary_manifest_of_known_categories_is_judged_by_category(
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
    assert found.judgements[0].confusion.equals(report.judgements[0].confusion)


def test_the_runs_own_manifest_is_no_other_one(report, videos_manifest):
    found = make_report(report.run, "test", videos_manifest)
    assert found.folder == report.folder
    assert found.provenance == report.provenance


@pytest.mark.usefixtures("undrawn")
def test_a_report_elsewhere_says_what_chose_its_checkpoint_and_exports_its_own_faces_alone(
    report, dataset, tmp_path
):
    other = make_manifest(dataset, tmp_path / "m", SplitSettings("videos", "paper", shrink=True))
    found = make_report(report.run, "test", other)
    assert "checkpoint was chosen by validation loss on the run's own manifest" in found.provenance
    exported = pd.read_csv(found.folder / "predictions.csv")
    assert exported["face_id"].tolist() == other.samples("test")["face_id"].tolist()
    another = make_manifest(
        dataset, tmp_path / "x/m", SplitSettings("videos", "paper", shrink=True, seed=1)
    )
    assert make_report(report.run, "test", another).folder != found.folder
    assert make_report(report.run, "test", other).folder == found.folder


@pytest.mark.usefixtures("undrawn")
def test_faces_that_were_cropped_otherwise_are_told(report, dataset, tmp_path):
    away = shutil.copytree(report.run.folder, tmp_path / "far" / "away")
    faces = json.loads((away / "faces.json").read_text())
    faces["crop"]["margin"] = 1.0
    faces["find"]["search"] = "full"
    (away / "faces.json").write_text(json.dumps(faces))
    other = make_manifest(dataset, tmp_path / "m", SplitSettings("videos", ratios=(50, 25, 25)))
    found = make_report(Run.read(away), "test", other)  # which needs none of the run's own data
    assert "ITS FACES WERE CROPPED OTHERWISE" in found.provenance
    assert "(margin 1.0 there, 1.3 here, search full there, fast here)" in found.provenance
    assert "Whether its training's people are in this split is not known" in found.provenance


def test_a_report_made_again_leaves_nothing_of_the_one_before(report):
    (report.folder / "robustness.csv").write_text("old")
    listed = json.loads((report.folder / "report.json").read_text())
    listed["files"] += ["robustness.csv", "../log.csv"]
    (report.folder / "report.json").write_text(json.dumps(listed))
    (report.folder / "notes.txt").write_text("mine")
    make_report(report.run)
    assert not (report.folder / "robustness.csv").exists()
    assert (report.folder / "notes.txt").exists()
    assert (report.run.folder / "log.csv").exists()


def test_what_the_audit_did_not_look_at_is_said(report):
    unknown = report.manifest.info["audit"]["not_known"]
    assert unknown
    assert any(unknown[0] in remark for remark in report.remarks)
