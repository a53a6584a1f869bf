"""Tests of the remarks on how reliable a report's metrics are."""

import numpy as np
import pytest

from classify.evaluation.scores import Scores
from classify.reporting.provenance import remarks
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.shortcuts import ProbeResult
from tests.helpers.scores import SCORES, judged, of_people, scored


def said_of(scores, shortcuts=(), **audit):
    info = {"audit": {"not_known": [], "miss_rates": {}} | audit}
    return " ".join(remarks([judged(scores)], Manifest(None, info), shortcuts))


def of_scores(fake, real):
    """Return Deepfakes and Youtube of one person per given probability of Deepfakes."""
    rows = [("Deepfakes", f"{n:03d}_900", (0.0, p, 0.0, 1 - p)) for n, p in enumerate(fake)]
    rows += [("Youtube", f"{n:03d}", (0.0, p, 0.0, 1 - p)) for n, p in enumerate(real, 500)]
    found = scored(*((category, "c40", *rest) for category, *rest in rows))
    return Scores(found.table.assign(group=found.table["clip"]), found.classes)


@pytest.mark.parametrize(
    ("fake", "real", "said"),
    [
        (np.linspace(0.1, 0.5, 30), np.linspace(0.4, 0.9, 30), "NO BETTER THAN CHANCE"),
        (np.linspace(0.1, 0.9, 30), np.linspace(0.09, 0.89, 30), "perhaps no better than chance"),
        (np.linspace(0.6, 0.9, 30), np.linspace(0.1, 0.4, 30), ""),
    ],
)
def test_the_first_remark_is_on_chance_performance(fake, real, said):
    found = said_of(of_scores(fake, real))
    assert said in found
    assert found.startswith("Per frame, AUC against originals is") is bool(said)


@pytest.mark.parametrize(("called_real", "said"), [(0, "Every"), (2, "Nearly every"), (3, "")])
def test_classifying_nearly_everything_as_fake_has_a_remark(called_real, said):
    found = said_of(of_scores([0.9] * 60, [0.1] * called_real + [0.8] * (60 - called_real)))
    assert (f"{said} frame is classified as fake" in found) is bool(said)
    assert ("is classified as fake" in found) is bool(said)


def answer(auc, kind="method against its originals"):
    return ProbeResult("Deepfakes against Youtube", kind, 1.0, auc, 30, 300, "sharpness")


@pytest.mark.parametrize(
    ("shortcuts", "said"),
    [
        ([], "`ffpp-audit` was not run on this manifest"),
        ([answer(0.6), answer(0.83)], "reach AUC 0.83 for Deepfakes against Youtube"),
        ([answer(0.6)], ""),
        ([answer(np.nan)], ""),
        ([answer(0.99, "real against real")], ""),
    ],
)
def test_strong_low_level_features_have_a_remark(shortcuts, said):
    found = said_of(SCORES, shortcuts)
    assert said in found
    assert ("ow-level image features" in found) is bool(said)


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
def test_real_stills_and_fake_video_have_a_remark(stills, videos, found_out):
    scores = scored(
        ("CelebA", "still", "000001", (stills, 1 - stills, 0.0, 0.0)),
        *(("Youtube", "c40", "000", (0.0, 1 - real, 0.0, real)) for real in videos),
        ("Deepfakes", "c40", "000_003", (0.0, 0.9, 0.1, 0.0)),
    )
    assert ("separating stills from video" in said_of(scores)) is found_out


@pytest.mark.parametrize(("people", "remarked"), [(19, True), (20, False)])
def test_too_few_groups_for_an_interval_have_a_remark(people, remarked):
    said = said_of(of_people(("FaceSwap", 25), ("Youtube", people)))
    assert (f"only {people} independent identity groups of Youtube" in said) is remarked


@pytest.mark.parametrize("differ", [False, True])
def test_unequal_miss_rates_have_a_remark(differ):
    said = said_of(SCORES, miss_rates={"Youtube": 0.0, "Deepfakes": 0.1}, misses_differ=differ)
    assert ("The rate of frames without a detected face differs" in said) is differ
