"""Tables and sentences that commands print."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.cli import printing as of_classify
from classify.inference.media import Person, Verdict
from ffpp_tools.cli import printing as of_ffpp
from ffpp_tools.console import console
from ffpp_tools.doctor.machine import NOTE, OK, Finding
from ffpp_tools.splits.shortcuts import ProbeResult


@pytest.fixture
def printed(monkeypatch, capsys):
    """A function that returns the output since its last call."""
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    monkeypatch.setattr(console, "_width", 160)
    capsys.readouterr()
    return lambda: capsys.readouterr().out


def test_a_remedy_is_printed_below_its_finding(printed):
    of_ffpp.findings(
        [
            Finding("Python", OK, "3.11"),
            Finding("[bold]clips", NOTE, "one\nis empty", "fetch it again"),
        ]
    )
    lines = [" ".join(line.split()) for line in printed().splitlines()]
    assert lines == [
        "ok Python 3.11",
        r"note [bold]clips one\nis empty",
        "→ fetch it again",
    ]


def test_a_probe_with_too_few_groups_has_no_auc(printed):
    kind = "fake against real"
    of_ffpp.shortcut_table(
        [
            ProbeResult("A against B", kind, 0.876, 0.5, 12, 340, "sharpness"),
            ProbeResult("C against B", kind, np.nan, np.nan, 1, 20, ""),
        ]
    )
    first, second = (line for line in printed().splitlines() if "against" in line)
    assert [cell.strip() for cell in first.strip("│").split("│")] == [
        *("A against B", "0.88", "0.50", "12", "340", "sharpness")
    ]
    assert second.count("too few groups") == 2


def test_verdicts_have_a_row_per_person_or_one_if_no_face_is_found(printed):
    person = Person(0, "fake", 0.71, 0.9, 0.6, 0.8, {}, 10, 0.0, 2.0)
    frames = pd.DataFrame()
    of_classify.verdicts(
        [
            Verdict(Path("[red]a.mp4"), "video", (person,), 10, 0.55, frames, error="cut short"),
            Verdict(Path("b.mp4"), "video", (), 7, 0.55, frames),
        ],
        "Split: grouped.",
    )
    heading, *lines = printed().splitlines()
    assert heading == "Split: grouped."
    assert "classified as fake above 0.550 (videos)" in lines[0]
    (a,) = (line for line in lines if "[red]a.mp4" in line)
    (b,) = (line for line in lines if "b.mp4" in line)
    for cell in ("fake (incomplete)", "0.710", "0.600 to 0.800", "90.0"):
        assert cell in a
    assert "no face found" in b
    assert "0 of 7" in b
