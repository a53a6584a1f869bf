"""Tests of the contents of a report, before it is written."""

import dataclasses
from pathlib import Path

import pytest

from classify.cli import printing
from classify.reporting.report_data import Report
from ffpp_tools.console import console
from ffpp_tools.splits.manifest import Manifest
from tests.helpers.scores import FIXED, SCORES, judged

REPORT = Report(
    *("theirs.csv", Path("theirs.csv-report"), "test", "the provenance", FIXED),
    *(Manifest(Path("manifest"), {}), SCORES),
    validation=None,
    run=None,
)


def test_a_report_on_external_predictions_needs_neither_run_nor_validation(monkeypatch, capsys):
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    evaluations = (judged(), judged(SCORES.clips(), unit="clip"))
    capsys.readouterr()
    printing.report(dataclasses.replace(REPORT, evaluations=evaluations, remarks=("a remark",)))
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    assert said[:2] == ["the provenance", "  a remark"]
    assert said[-1] == "report: theirs.csv-report/report.html"
    (frames, clips) = (x for x in said if x.startswith("per ") and "identity group" in x)
    assert frames.startswith("per frame: 7 frames from ")
    assert clips.startswith("per clip: ")


def test_a_report_is_immutable():
    assert (REPORT.leaks, REPORT.evaluations, REPORT.robustness) == (False, (), None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        REPORT.provenance = "another"
