import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from classify.errors import ClassifyError
from classify.report import cell, clip_scores, judge, make_report
from classify.settings import TrainSettings
from classify.train import train
from ffpp_tools.split import SplitSettings, make_manifest
from ffpp_tools.tables import MANIFEST_COLUMNS
from tests.test_demo import hashes

CLASSES = {
    "CelebA": "real",
    "Deepfakes": "fake",
    "FaceSwap": "fake",
    "Youtube": "real",
}


def scored(*rows):
    """Rows (category, compression, clip, probabilities in class order) as predictions."""
    names = list(CLASSES)
    return pd.DataFrame(
        [
            {
                "category": category,
                "class": category,
                "class_index": names.index(category),
                "label": CLASSES[category],
                "compression": compression,
                "clip": clip,
                **{f"p_{name}": p for name, p in zip(names, probabilities, strict=True)},
            }
            for category, compression, clip, probabilities in rows
        ]
    )


PREDICTIONS = scored(
    ("CelebA", "still", "000001", (0.9, 0.1, 0.0, 0.0)),
    ("Deepfakes", "c40", "000_003", (0.0, 0.6, 0.2, 0.2)),
    ("Deepfakes", "c40", "000_003", (0.0, 0.2, 0.2, 0.6)),
    ("Deepfakes", "c23", "000_003", (0.0, 0.1, 0.0, 0.9)),
    ("FaceSwap", "c40", "000_003", (0.0, 0.1, 0.8, 0.1)),
    ("Youtube", "c40", "000", (0.1, 0.3, 0.1, 0.5)),
    ("Youtube", "c40", "003", (0.0, 0.5, 0.3, 0.2)),
)


def test_a_clip_scores_the_mean_of_its_crops_and_same_named_fakes_stay_apart():
    clips = clip_scores(PREDICTIONS).set_index(["category", "compression", "clip"])
    assert len(clips) == 5
    assert not (clips.index.get_level_values("compression") == "still").any()
    means = clips.loc[("Deepfakes", "c40", "000_003"), [f"p_{c}" for c in CLASSES]]
    assert means.tolist() == pytest.approx([0.0, 0.4, 0.2, 0.4])
    assert clips.loc[("FaceSwap", "c40", "000_003"), "p_FaceSwap"] == 0.8


def test_frames_are_judged_with_p_fake_summed_over_the_fake_classes():
    judged = judge(PREDICTIONS, CLASSES, "frame")
    assert judged.samples == 7
    assert judged.accuracy == pytest.approx(4 / 7)
    # P(fake): CelebA .1 | Deepfakes .8 .4 .1 | FaceSwap .9 | Youtube .4 .8
    # fake-real pairs in order: .8 → 2.5, .4 → 1.5, .1 → .5, .9 → 3 of 3 each
    assert judged.auc == pytest.approx((2.5 + 1.5 + 0.5 + 3) / 12)
    assert judged.confusion.loc["Deepfakes"].tolist() == [0, 1, 0, 2]
    assert judged.percent.loc["Youtube"].tolist() == pytest.approx([0, 50, 0, 50])


def test_each_manipulation_is_set_against_youtube_of_its_own_compression():
    table = judge(PREDICTIONS, CLASSES, "frame").by_category
    table = table.set_index(["category", "compression"])
    assert table.loc[("Deepfakes", "c40"), "auc_against_youtube"] == pytest.approx(2 / 4)
    assert np.isnan(table.loc[("Deepfakes", "c23"), "auc_against_youtube"])
    assert table.loc[("FaceSwap", "c40"), "auc_against_youtube"] == 1.0
    assert table.loc[("Youtube", "c40"), "called_fake_percent"] == 50
    assert table.loc[("CelebA", "still"), "called_fake_percent"] == 0
    assert table.loc[("Deepfakes", "c40"), "samples"] == 2


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0, "N/A"), (float("nan"), "N/A"), (100, "100"), (98.8, "98.8"), (0.05, "0.05"), (8.0, "8")],
)
def test_cells_are_printed_as_in_the_papers_tables(value, printed):
    assert cell(value) == printed


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
    assert frame["accuracy"] == pytest.approx((called == predictions["class"]).mean())
    clips = predictions[["category", "clip"]].drop_duplicates()
    assert summary["units"]["clip"]["samples"] == len(clips)
    assert sum(r["samples"] for r in summary["units"]["clip"]["by_category"]) == len(clips)


def test_the_first_line_says_what_kind_of_split_it_was(report):
    assert report.provenance.startswith("Split: grouped. No group of people is on two sides")
    assert "validation loss" in report.provenance
    html = (report.folder / "report.html").read_text()
    assert html.index(report.provenance) < html.index("<h1>")


def test_a_report_on_a_leaking_split_says_so_in_its_first_line(dataset, tmp_path):
    asked = SplitSettings("videos", "paper", shrink=True)
    make_manifest(dataset, tmp_path / "m", asked)
    settings = TrainSettings(arch="sepconv", size=32, epochs=1)
    report = make_report(train(tmp_path / "m", tmp_path / "run", settings))
    assert report.provenance.startswith("Split: paper. PEOPLE APPEAR ON SEVERAL SIDES")
    body = re.sub(r"<[^>]*>", "", (report.folder / "report.html").read_text().split("<body>")[1])
    assert body.strip().startswith("Split: paper. PEOPLE APPEAR ON SEVERAL SIDES")


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
        self.fetched, self.headers, self.alts = [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.fetched += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag == "th":
            self.headers.append(attrs.get("scope"))
        if tag == "img":
            self.alts.append(attrs.get("alt"))


def test_the_page_stands_alone_and_names_its_tables_and_figures(report):
    html = (report.folder / "report.html").read_text()
    page = Page()
    page.feed(html)
    assert all(address.startswith("data:") for address in page.fetched)
    assert "<script" not in html
    assert set(page.headers) == {"col", "row"}
    assert len(page.alts) == 3
    assert all(page.alts)
    assert html.count("<table>") == html.count("<caption>") == 6


def test_names_are_escaped(report):
    html = (report.folder / "report.html").read_text()
    assert "<b>" not in html
    assert "r &amp; &lt;b&gt;d" in html


def test_figures_are_pictures(report):
    for name in ("confusion-frame", "confusion-clip", "learning"):
        assert (report.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_percentages_in_the_page_are_the_tables(report):
    html = (report.folder / "report.html").read_text()
    percent = report.judgements[0].percent
    for name, row in percent.iterrows():
        cells = re.search(rf'<th scope="row">{name}</th>\s*(.*?)</tr>', html, re.S)[1]
        shown = re.findall(r"<td[^>]*>([^<]*)</td>", cells)
        assert shown == [cell(v) for v in row]
