"""Progress lines of an extraction."""

from ffpp_tools.console import console
from ffpp_tools.extraction.progress import tally_progress
from ffpp_tools.extraction.workers import Tally


def test_tallies_pass_through_and_the_last_line_has_their_sum(monkeypatch, capsys):
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    tallies = [Tally(1, 10, 0, 50), Tally(1, 1, 2, 50)]
    assert list(tally_progress("clips", 3)(iter(tallies), 2, 100)) == tallies
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "clips: 1 of 3 were extracted before"
    assert lines[1] == "clips: 0/2"
    assert lines[-1].startswith("clips: 2/2, 11 crops, 2 misses, ")
    assert "left" not in lines[-1]


def test_without_work_only_the_earlier_results_are_reported(monkeypatch, capsys):
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    assert list(tally_progress("stills", 4)([], 0, 0)) == []
    assert capsys.readouterr().out.splitlines() == ["stills: 4 of 4 were extracted before"]
