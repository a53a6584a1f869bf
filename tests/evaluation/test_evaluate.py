"""What judgements say, from predictions that are made up."""

import numpy as np
import pandas as pd
import pytest

from classify.evaluation import metrics
from classify.evaluation.evaluate import auc_against_originals, evaluate_scores, flat
from classify.evaluation.scores import Scores, classes_of
from classify.evaluation.thresholds import OperatingPoint
from classify.reporting.formatting import cell, starred
from classify.reporting.provenance import remarks
from classify.reporting.report_files import confident_errors, worst_clips
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.shortcuts import ProbeResult

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


FIXED = OperatingPoint("a test")


def judged(scores=SCORES, at=FIXED, unit="frame"):
    return evaluate_scores(scores, unit, at, {"Deepfakes": 0.04})


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
    at = OperatingPoint("a test", frame_threshold=0.35, clip_threshold=0.65)
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
    # Everybody is half right; three people who agree do not tell that all others would.
    assert deepfakes.detected.low < 0.1
    assert deepfakes.detected.high > 0.9


def test_the_tempered_measures_are_those_of_the_tempered_probabilities():
    found = judged(at=OperatingPoint("", temperature=3.0))
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


def said_of(scores, shortcuts=(), **audit):
    info = {"audit": {"not_known": [], "miss_rates": {}} | audit}
    return " ".join(remarks([judged(scores)], Manifest(None, info), shortcuts))


def of_scores(fake, real):
    """Deepfakes and Youtube of as many people, with these probabilities of Deepfakes."""
    rows = [("Deepfakes", f"{n:03d}_900", (0.0, p, 0.0, 1 - p)) for n, p in enumerate(fake)]
    rows += [("Youtube", f"{n:03d}", (0.0, p, 0.0, 1 - p)) for n, p in enumerate(real, 500)]
    found = scored(*((category, "c40", *rest) for category, *rest in rows))
    return Scores(found.table.assign(group=found.table["clip"]), found.classes)


@pytest.mark.parametrize(
    ("fake", "real", "said"),
    [
        (np.linspace(0.1, 0.5, 30), np.linspace(0.4, 0.9, 30), "NO BETTER THAN GUESSING"),
        (np.linspace(0.1, 0.9, 30), np.linspace(0.09, 0.89, 30), "perhaps no better than guessing"),
        (np.linspace(0.6, 0.9, 30), np.linspace(0.1, 0.4, 30), ""),
    ],
)
def test_what_is_no_better_than_guessing_is_remarked_upon_first(fake, real, said):
    found = said_of(of_scores(fake, real))
    assert said in found
    assert found.startswith("Per frame its AUC against originals is") is bool(said)


@pytest.mark.parametrize(("called_real", "said"), [(0, "Every"), (2, "Nearly every"), (3, "")])
def test_calling_nearly_everything_fake_is_remarked_upon(called_real, said):
    found = said_of(of_scores([0.9] * 60, [0.1] * called_real + [0.8] * (60 - called_real)))
    assert (f"{said} frame is called fake" in found) is bool(said)
    assert ("is called fake" in found) is bool(said)


def answer(auc, kind="method against its originals"):
    return ProbeResult("Deepfakes against Youtube", kind, 1.0, auc, 30, 300, "sharpness")


@pytest.mark.parametrize(
    ("shortcuts", "said"),
    [
        ([], "`ffpp-audit` of its manifest was not run"),
        ([answer(0.6), answer(0.83)], "reach AUC 0.83 in Deepfakes against Youtube"),
        ([answer(0.6)], ""),
        ([answer(np.nan)], ""),
        ([answer(0.99, "real against real")], ""),
    ],
)
def test_what_gives_fakes_away_without_a_look_at_the_face_is_remarked_upon(shortcuts, said):
    found = said_of(SCORES, shortcuts)
    assert said in found
    assert ("heap properties" in found) is bool(said)


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


@pytest.mark.parametrize("differ", [False, True])
def test_unequal_misses_are_remarked_upon_where_the_audit_finds_them(differ):
    said = said_of(SCORES, miss_rates={"Youtube": 0.0, "Deepfakes": 0.1}, misses_differ=differ)
    assert ("Categories differ in how often no face was found" in said) is differ


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
    wrong = confident_errors(
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
