"""What a report says, before it is written."""

import dataclasses
from pathlib import Path

import pytest

from classify.cli import printing
from classify.reporting.report_data import Report
from ffpp_tools.console import console
from ffpp_tools.splits.manifest import Manifest
from tests.helpers.scores import FIXED, SCORES, judged

REPORT = Report(
    *("theirs.csv", Path("theirs.csv-report"), "test", "what it may be trusted for", FIXED),
    *(Manifest(Path("manifest"), {}), SCORES),
    validation=None,
    run=None,
)


def test_a_report_on_somebodys_predictions_needs_neither_run_nor_validation(monkeypatch, capsys):
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    judgements = (judged(), judged(SCORES.clips(), unit="clip"))
    capsys.readouterr()
    printing.report(dataclasses.replace(REPORT, judgements=judgements, remarks=("a remark",)))
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    assert said[:2] == ["what it may be trusted for", "  a remark"]
    assert said[-1] == "report: theirs.csv-report/report.html"
    (frames, clips) = (line for line in said if line.startswith("per ") and "people" in line)
    assert frames.startswith("per frame: 7 frames of ")
    assert clips.startswith("per clip: ")


def test_what_was_said_once_is_not_changed():
    assert (REPORT.leaks, REPORT.judgements, REPORT.robustness) == (False, (), None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        REPORT.provenance = "another"
