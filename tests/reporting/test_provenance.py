"""What a report says of how far its figures can be trusted."""

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
