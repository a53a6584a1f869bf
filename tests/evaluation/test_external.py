"""Tests of reports on external predictions."""

import json

import numpy as np
import pandas as pd
import pytest

from classify.errors import ClassifyError
from classify.evaluation.external import read_predictions
from classify.reporting.report import report_on_file
from ffpp_tools.splits.build import SplitSettings, make_manifest


def detector(manifest, p_fake, split="test"):
    """Return predictions of a detector whose P(fake) is a function of a manifest's rows."""
    samples = pd.concat([manifest.samples(s) for s in (split, "val")], ignore_index=True)
    return samples.assign(p_fake=p_fake(samples))[["face_id", "p_fake"]]


def report_of(table, manifest, folder):
    folder.mkdir()
    table.to_csv(folder / "theirs.csv", index=False)
    return report_on_file(folder / "theirs.csv", manifest)


@pytest.mark.usefixtures("undrawn")
def test_the_report_warns_of_a_constant_classifier(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: 0.7)
    report = report_of(table, videos_manifest, tmp_path / "c")
    for j in report.evaluations:
        assert j.measures["auc"].value == 0.5
        assert j.measures["auc_against_originals"].value == 0.5
        assert all(m.auc.value == 0.5 and m.eer.value == 0.5 for m in j.manipulations)
        assert np.isnan([j.measures["auc"].low, j.measures["auc"].high]).all()
    said = " ".join(report.remarks)
    assert "Per frame, all samples have nearly the same P(fake), 0.70 to 0.70" in said
    assert "Every clip is classified as fake" in said
    html = (report.folder / "report.html").read_text()
    assert "does not discriminate" in html


@pytest.mark.usefixtures("undrawn")
def test_a_perfect_classifier_has_perfect_metrics_and_a_warning_of_few_groups(
    videos_manifest, tmp_path
):
    def right(samples):
        return np.where(samples["label"] == "fake", 0.9, 0.2)

    report = report_of(detector(videos_manifest, right), videos_manifest, tmp_path / "p")
    for j in report.evaluations:
        for name in ("accuracy", "auc", "average_precision"):
            assert j.measures[name].value == 1
        assert np.isnan(j.measures["recall_at_1_percent"].value)  # too few reals to tell
        assert j.measures["eer"].value == 0
        assert all(m.detected.value == 1 for m in j.manipulations)
        assert j.binary_confusion.loc["fake", "real"] == j.binary_confusion.loc["real", "fake"] == 0
    assert "intervals are unreliable" in " ".join(report.remarks)
    assert (report.folder / "errors.csv").read_text().count("\n") == 1  # the headline


@pytest.mark.usefixtures("undrawn")
def test_the_report_warns_of_a_detector_of_stills_against_video(dataset, tmp_path):
    asked = SplitSettings("binary", ratios=(50, 25, 25), shrink=True)
    manifest = make_manifest(dataset, tmp_path / "m", asked)

    def by_source(samples):
        noise = np.random.default_rng(0).random(len(samples)) / 10
        return np.where(samples["compression"] == "still", 0.1, 0.8) + noise

    report = report_of(detector(manifest, by_source), manifest, tmp_path / "s")
    frame = report.evaluations[0]
    assert frame.measures["auc"].value > 0.7
    for m in frame.manipulations:
        assert m.auc_against_all.value > m.auc.value + 0.1
    reals = {r.category: r.called_real.value for r in frame.reals}
    assert reals == {"CelebA": 1.0, "CelebA-HQ": 1.0, "Youtube": 0.0}
    assert any("separating stills from video" in remark for remark in report.remarks)


@pytest.mark.usefixtures("undrawn")
def test_path_may_replace_face_id_and_p_fake_is_enough(videos_manifest, tmp_path):
    samples = videos_manifest.samples("test")
    rng = np.random.default_rng(0)
    table = samples[["path"]].assign(p_fake=rng.random(len(samples)), else_what="x")
    report = report_of(table, videos_manifest, tmp_path / "r")
    assert report.operating_point.frame_threshold == 0.5
    assert "none could be fitted: the file does not cover all of val" in report.provenance
    assert list(report.frames.classes) == ["fake", "real"]
    assert report.frames.p_fake == pytest.approx(table["p_fake"])


def read(table, manifest, path, split="test"):
    table.to_csv(path, index=False)
    return read_predictions(path, manifest, split)


def with_face_twice(table):
    return pd.concat([table, table.iloc[:1]])


def test_other_columns_and_faces_are_ignored(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: np.linspace(0.3, 0.9, len(samples)))
    train = videos_manifest.samples("train")[["face_id"]].assign(p_fake=np.nan)
    more = pd.concat([table.assign(p_value=3.0, note="x"), train, train])
    for one, other in zip(
        *(read(t, videos_manifest, tmp_path / "p.csv") for t in (table, more)), strict=True
    ):
        pd.testing.assert_frame_equal(one.table, other.table)


def test_p_fake_must_agree_with_the_columns_of_the_classes(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: 0.5)
    names = list(videos_manifest.classes)
    given = np.random.default_rng(0).dirichlet(np.ones(len(names)), len(table))
    fake = [label == "fake" for label in videos_manifest.classes.values()]
    table["p_fake"] = given[:, fake].sum(axis=1).round(2)
    every = table.assign(**{f"p_{name}": given[:, i] for i, name in enumerate(names)})
    found, _ = read(every, videos_manifest, tmp_path / "p.csv")
    assert found.classes == videos_manifest.classes
    assert found.probabilities == pytest.approx(given[: len(found)])
    every.loc[2, "p_fake"] = 1 - every.loc[2, "p_fake"]
    with pytest.raises(ClassifyError, match=r"line 4: p_fake is 0\.\d+, but the fake .*1 rows"):
        read(every, videos_manifest, tmp_path / "p.csv")


def spread(samples):
    return np.linspace(0.3, 0.9, len(samples))


def crops(change):
    """Return rows that name crops by path, in a given spelling."""
    return lambda m, t: t.assign(path=[change(m, path) for path in t["path"]]).drop(
        columns="face_id"
    )


def by_frame(_, table):
    return table.drop(columns=["face_id", "path"]).rename(columns={"clip": "video"})


SPELLINGS = {
    "absolute": crops(lambda m, path: str(m.root / path)),
    "not resolved": crops(lambda m, path: f"{m.root}/../{m.root.name}/./{path}"),
    "with a dot": crops(lambda m, path: f"./{path}"),
    "of Windows": crops(lambda m, path: "D:\\data\\set\\" + path.replace("/", "\\")),
    "of another machine": crops(lambda m, path: f"/somewhere/else/{path}"),
    "ids with backslashes": lambda m, t: t.assign(face_id=t["face_id"].str.replace("/", "\\")),
    "ids as files": lambda m, t: t.assign(face_id=f"{m.root}/faces/" + t["face_id"] + ".png"),
    "clip and frame": by_frame,
}


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS)
def test_crops_are_found_in_any_spelling_of_their_paths(spelt, videos_manifest, tmp_path):
    samples = pd.concat([videos_manifest.samples(s) for s in ("test", "val")], ignore_index=True)
    table = samples.assign(p_fake=spread)[
        ["face_id", "path", "category", "compression", "clip", "frame", "p_fake"]
    ]
    expected, _ = read(table[["face_id", "p_fake"]], videos_manifest, tmp_path / "e.csv")
    shuffled = spelt(videos_manifest, table).sample(frac=1, random_state=0)
    found, val = read(shuffled, videos_manifest, tmp_path / "p.csv")
    pd.testing.assert_frame_equal(found.table, expected.table)
    assert val is not None


def test_paths_into_another_dataset_are_rejected(videos_manifest, tmp_path):
    table = videos_manifest.samples("test")[["path"]].assign(p_fake=0.5)
    other = tmp_path / "other" / table["path"][0]
    other.parent.mkdir(parents=True)
    other.touch()
    theirs = table.assign(path=f"{tmp_path}/other/" + table["path"])
    with pytest.raises(ClassifyError, match=r"paths under .*/other may belong to other crops"):
        read(theirs, videos_manifest, tmp_path / "p.csv")
    theirs.loc[1:, "path"] = "/a/" + table["path"]
    theirs.loc[:0, "path"] = "/b/" + table["path"]
    with pytest.raises(ClassifyError, match=r"paths under /b and /a may belong to other crops"):
        read(theirs, videos_manifest, tmp_path / "p.csv")


def as_text(table, separator=",", comma=False, head=str, encoding="utf-8"):
    rows = [separator.join(map(head, table.columns))]
    for row in table.itertuples(index=False):
        cells = (str(v).replace(".", ",") if comma and isinstance(v, float) else v for v in row)
        rows.append(separator.join(map(str, cells)))
    return ("\n".join(rows) + "\n").encode(encoding)


@pytest.mark.parametrize(
    "how",
    [
        {"separator": ";"},
        {"separator": ";", "comma": True},
        {"separator": "\t", "encoding": "utf-16"},
        {"separator": ", ", "head": str.upper},
        {"head": " {} ".format, "encoding": "utf-8-sig"},
    ],
)
def test_files_from_spreadsheets_are_read(how, videos_manifest, tmp_path):
    table = detector(videos_manifest, spread)
    expected, _ = read(table, videos_manifest, tmp_path / "e.csv")
    (tmp_path / "p.csv").write_bytes(as_text(table, **how))
    found, _ = read_predictions(tmp_path / "p.csv", videos_manifest, "test")
    pd.testing.assert_frame_equal(found.table, expected.table)


def test_rounding_errors_of_probabilities_are_clipped(videos_manifest, tmp_path):
    table = detector(videos_manifest, spread)
    table.loc[:1, "p_fake"] = [1.0000001, -1e-7]
    found, _ = read(table, videos_manifest, tmp_path / "p.csv")
    assert list(found.p_fake[:2]) == [1, 0]
    names = list(videos_manifest.classes)
    every = table.assign(**{f"p_{name}": 0.199999 for name in names}).drop(columns="p_fake")
    found, _ = read(every, videos_manifest, tmp_path / "p.csv")
    assert found.probabilities.sum(axis=1) == pytest.approx(0.999995, abs=1e-12)
    with pytest.raises(ClassifyError, match=r"line 2: p_fake is 1\.002, not a probability"):
        read(table.assign(p_fake=1.002), videos_manifest, tmp_path / "p.csv")


def clip_scores(manifest, p_fake=lambda rows: np.where(rows["label"] == "fake", 0.9, 0.6)):
    """Return one score per clip of test and val, as from a detector with its own crops."""
    samples = pd.concat([manifest.samples(s) for s in ("test", "val")], ignore_index=True)
    clips = samples.drop_duplicates(["category", "compression", "clip"], ignore_index=True)
    return clips.assign(p_fake=p_fake(clips))[["category", "compression", "clip", "p_fake"]]


@pytest.mark.usefixtures("undrawn")
def test_scores_per_clip_give_all_metrics_per_clip(videos_manifest, tmp_path):
    report = report_of(clip_scores(videos_manifest), videos_manifest, tmp_path / "r")
    (judged,) = report.evaluations
    samples = videos_manifest.samples("test")
    assert judged.unit == "clip"
    assert judged.samples == samples.groupby(["category", "compression", "clip"]).ngroups
    assert judged.measures["auc"].value == 1
    assert {m.category for m in judged.manipulations} == set(samples["category"]) - {"Youtube"}
    assert report.operating_point.clip_threshold == pytest.approx(0.75)  # by val
    assert "EVALUATED PER CLIP ONLY" in report.remarks[0]
    names = {path.name for path in report.folder.iterdir()}
    assert {"manipulations-clip.csv", "roc-clip.svg", "errors.csv"} <= names
    assert not [name for name in names if "frame" in name or "over-time" in name]
    assert list(json.loads((report.folder / "report.json").read_text())["units"]) == ["clip"]
    assert "EVALUATED PER CLIP ONLY" in (report.folder / "report.html").read_text()
    again = report_on_file(
        report.folder / "predictions.csv", videos_manifest, folder=tmp_path / "a"
    )
    assert again.evaluations[0].measures == judged.measures


@pytest.mark.usefixtures("undrawn")
def test_the_report_warns_of_inverted_scores(videos_manifest, tmp_path):
    def swapped(rows):
        return np.where(rows["label"] == "fake", 0.2, 0.9)

    report = report_of(clip_scores(videos_manifest, swapped), videos_manifest, tmp_path / "r")
    said = "HIGHER FOR REALS THAN FOR FAKES (AUC 0.000). If the column is P(real)"
    assert any(said in remark for remark in report.remarks)


@pytest.mark.parametrize(
    "spelt",
    [
        lambda t: t.drop(columns="compression"),  # there is one alone
        lambda t: t.assign(clip=t["clip"] + ".mp4", category=t["category"].str.lower()),
        lambda t: t.assign(clip="x/" + t["category"] + "/c23/videos/" + t["clip"] + ".mp4")[
            ["clip", "p_fake"]
        ],
        lambda t: t.rename(columns={"clip": " Video "}),
    ],
)
def test_clips_are_found_in_any_spelling(spelt, videos_manifest, tmp_path):
    table = clip_scores(videos_manifest, spread)
    expected, _ = read(table, videos_manifest, tmp_path / "e.csv")
    found, val = read(spelt(table), videos_manifest, tmp_path / "p.csv")
    pd.testing.assert_frame_equal(found.table, expected.table)
    assert val is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.iloc[2:], r"2 of the \d+ clips of .*test\.csv, such as \w+/c23/"),
        (with_face_twice, "appears more than once .*: give each clip one row"),
        (lambda t: t[["clip", "p_fake"]], "is ambiguous, .* or .*: add category and compression"),
        (lambda t: t.rename(columns={"p_fake": "score"}), "it has .*score.*fake or of real"),
        (lambda t: t.assign(p_fake=97.5), r"is 97\.5, not a prob.*\. If it is in per cent, div"),
        (lambda t: t.assign(p_fake="97%"), "is 97%, not a probability. If it is in per cent"),
        (lambda t: t.assign(p_fake=-3.2), r"is -3\.2, not a prob.*\. If it is a logit, give 1"),
        (lambda t: t.assign(P_FAKE=0.5), "more than one column p_fake"),
    ],
)
def test_invalid_scores_per_clip_are_rejected(change, words, videos_manifest, tmp_path):
    with pytest.raises(ClassifyError, match=words):
        read(change(clip_scores(videos_manifest)), videos_manifest, tmp_path / "p.csv")


def test_decimal_commas_between_commas_are_rejected(videos_manifest, tmp_path):
    (tmp_path / "p.csv").write_bytes(as_text(detector(videos_manifest, spread), comma=True))
    with pytest.raises(ClassifyError, match="line 2 has 3 fields, but the header has 2"):
        read_predictions(tmp_path / "p.csv", videos_manifest, "test")


def test_validation_scores_need_all_of_val(videos_manifest, tmp_path):
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
def test_a_report_never_overwrites_other_files(videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: 0.5)
    path = tmp_path / "predictions.csv"
    table.assign(note="mine").to_csv(path, index=False)
    before = path.read_bytes()
    with pytest.raises(ClassifyError, match="other files than a report"):
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
        (lambda t: t.drop(columns="face_id"), "needs a column face_id or path"),
        (lambda t: t.drop(columns="p_fake"), "needs a column p_fake, or one for each class"),
        (lambda t: t.iloc[1:], "1 of the .* faces of .*test.csv, such as "),
        (lambda t: t.assign(face_id="a"), "no face_id, such as 'a', is in .*, such as 'D"),
        (with_face_twice, "more than once"),
        (lambda t: t.assign(p_fake=[np.nan, *t["p_fake"][1:]]), "line 2: p_fake is nan"),
        (lambda t: t.assign(p_fake=t["p_fake"] + 1), "line 2: p_fake is 1.*, not a probability"),
        (lambda t: t.assign(p_fake="high"), "line 2: p_fake is high, not a probability"),
        (lambda t: t.assign(p_fake=t["p_fake"] - 1), "line 2: p_fake is -0.7, not a probability"),
        (lambda t: t.assign(p_real=0.9), "sum to 1.*, not 1"),
        (lambda t: t.assign(p_fake=0.3, p_real=0.3), r"sum to 0\.600, not 1"),
        (
            lambda t: t.drop(columns="p_fake").assign(p_Youtube=0.1, p_Somebody=0.9),
            "p_Somebody has no known class",
        ),
    ],
)
def test_invalid_predictions_are_rejected(change, words, videos_manifest, tmp_path):
    table = detector(videos_manifest, lambda samples: np.linspace(0.3, 0.9, len(samples)))
    with pytest.raises(ClassifyError, match=words):
        report_of(change(table), videos_manifest, tmp_path / "r")
    assert [p.name for p in (tmp_path / "r").iterdir()] == ["theirs.csv"]
