"""Verdicts as JSON and CSV, and pages for videos."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from classify.evaluation.thresholds import OperatingPoint
from classify.inference.media import FRAME_COLUMNS, Classifier, Person, Verdict
from classify.inference.media_files import VerdictFiles, as_dict
from ffpp_tools.extraction.settings import ClipSettings, StillSettings

CLASSES = {"Deepfakes": "fake", "Youtube": "real"}
CLASSIFIER = Classifier(None, CLASSES, OperatingPoint("a test"), ClipSettings(), StillSettings())
FACE = np.full((8, 8, 3), 90, np.uint8)


def verdict(path, people=2):
    """The verdict on a video with `people` people in two frames each."""
    rows = [(n, f, f / 25, 1, 2, 3, 4, 0.8, 0.8, 0.2) for n in range(people) for f in (0, 1)]
    columns = [*FRAME_COLUMNS, "p_fake", "p_Deepfakes", "p_Youtube"]
    shared = {"probabilities": {"Deepfakes": 0.8, "Youtube": 0.2}, "frames": 2}
    return Verdict(
        Path(path),
        "video",
        tuple(Person(n, "fake", 0.8, 1.0, 0.8, 0.8, **shared, first_s=0.0, last_s=0.04)
              for n in range(people)),
        2,
        0.5,
        pd.DataFrame(rows, columns=columns),
        [(0, FACE)] if people else (),
    )  # fmt: skip


def test_files_are_lines_and_people_and_faces_are_rows(tmp_path):
    files = VerdictFiles(tmp_path, CLASSIFIER, "the provenance")
    files.add(verdict("x/clip.mp4"))
    files.add(verdict("y/CLIP.mp4"))
    files.add(verdict("z/nobody.mp4", people=0))
    lines = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [line["page"] for line in lines] == ["videos/clip.html", "videos/CLIP-2.html", ""]
    assert [len(line["people"]) for line in lines] == [2, 2, 0]
    assert {line["about"] for line in lines} == {"the provenance"}
    people = pd.read_csv(tmp_path / "verdicts.csv")
    assert people["p_Deepfakes"].fillna(-1).tolist() == [0.8, 0.8, 0.8, 0.8, -1]
    assert people["status"].tolist() == [*["ok"] * 4, "no face found"]
    faces = pd.read_csv(tmp_path / "frames.csv")
    assert faces["path"].value_counts().to_dict() == {"x/clip.mp4": 4, "y/CLIP.mp4": 4}
    assert {p.name for p in (tmp_path / "videos").iterdir()} == {"clip.html", "CLIP-2.html"}


def test_pages_of_an_earlier_call_are_deleted_and_faces_are_omitted_on_request(tmp_path):
    VerdictFiles(tmp_path, CLASSIFIER, "").add(verdict("before.mp4"))
    shown = (tmp_path / "videos/before.html").read_text()
    VerdictFiles(tmp_path, CLASSIFIER, "", faces=False).add(verdict("after.mp4"))
    assert [p.name for p in (tmp_path / "videos").iterdir()] == ["after.html"]
    hidden = (tmp_path / "videos/after.html").read_text()
    assert (shown.count("<img"), hidden.count("<img")) == (2, 1)  # the timeline, and the face


def test_nan_is_written_as_null():
    values = as_dict(verdict("a.mp4", people=1))
    assert values["people"][0]["p_fake"] == 0.8
    unreadable = Verdict(Path("b"), "video", (), 0, float("nan"), pd.DataFrame(), error="damaged")
    assert as_dict(unreadable)["threshold"] is None
    assert as_dict(unreadable)["status"] == "unreadable"
