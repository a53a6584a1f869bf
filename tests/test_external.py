"""Reports on predictions of somebody else's detector."""

import numpy as np
import pandas as pd
import pytest

from classify.errors import ClassifyError
from classify.external import read_predictions
from classify.report import report_on_file
from ffpp_tools.split import SplitSettings, make_manifest


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
        for name in ("accuracy", "auc", "average_precision"):
            assert j.measures[name].value == 1
        assert np.isnan(j.measures["recall_at_1_percent"].value)  # too few reals to tell
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
