"""How far an extraction is, in words."""

from ffpp_tools.console import console
from ffpp_tools.extraction.progress import tally_progress
from ffpp_tools.extraction.workers import Tally


def test_tallies_pass_through_and_are_added_up_in_the_last_line(monkeypatch, capsys):
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    tallies = [Tally(1, 10, 0, 50), Tally(1, 1, 2, 50)]
    assert list(tally_progress("clips", 3)(iter(tallies), 2, 100)) == tallies
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "clips: 1 of 3 were done before"
    assert lines[1] == "clips: 0/2"
    assert lines[-1].startswith("clips: 2/2, 11 crops, 2 misses, ")
    assert "left" not in lines[-1]


def test_of_nothing_to_do_only_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    assert list(tally_progress("stills", 4)([], 0, 0)) == []
    assert capsys.readouterr().out.splitlines() == ["stills: 4 of 4 were done before"]
