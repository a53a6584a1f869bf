"""Printed lines, tables and JSON, and escaped control characters."""

import json
import re
import sys

import pytest
from rich.table import Table

from ffpp_tools import console
from ffpp_tools.console import live_status, log, print_json, print_line, print_table
from ffpp_tools.errors import SettingsError
from ffpp_tools.script import ffpp_script
from tests.helpers.pages import OBEYED


def test_no_color_is_respected(command):
    words = ("ffpp-doctor", "nowhere")
    coloured = command(*words, FORCE_COLOR="1").stdout
    plain = command(*words, FORCE_COLOR="1", NO_COLOR="1").stdout
    colour = re.compile(r"\x1b\[[\d;]*3[1-7]m")
    assert colour.search(coloured)
    assert not colour.search(plain)


def test_without_a_terminal_progress_is_printed_as_lines_at_intervals(monkeypatch, capsys):
    for every, lines in ((0, ["one", "two"]), (60, [])):
        monkeypatch.setattr("ffpp_tools.console.LINE_S", every)
        with live_status("none") as update:
            update("one")
            update("two")
        assert capsys.readouterr().out.splitlines() == lines


def test_control_characters_are_escaped_in_all_output(monkeypatch, capsys, tmp_path):
    evil = "a\x1b[31m \x9b2J \x07 \r \u202egnp \udcc3 [red] é"
    (tmp_path / "begun").touch()
    monkeypatch.setattr(sys, "argv", ["ffpp-evil"])
    monkeypatch.setattr(console._json_output, "requested", True)

    def evil_names():
        log.keep(tmp_path)
        print_line(f"{evil}\n2026-01-01 00:00:00  forged")
        table = Table(evil)
        table.add_row(evil.replace("[red]", ""))
        print_table(table)
        with live_status(evil) as update:
            update(f"{evil} again")
        print_json({evil: evil})
        raise SettingsError(f"{evil}: no such thing")

    with pytest.raises(SystemExit):
        ffpp_script(evil_names, "")()
    out, err = capsys.readouterr()
    logged = (tmp_path / "log.txt").read_text()
    for text in (out, err, logged):
        assert not OBEYED.search(text)
        assert "a\\x1b[31m \\x9b2J \\x07 \\r \\u202egnp \\udcc3" in text or text is out
    assert "[red] é\\n2026-01-01 00:00:00  forged\n" in out
    assert "[red] é\\n2026-01-01 00:00:00  forged\n" in logged
    assert json.loads(out[out.index("{") :]) == {evil: evil}
    assert err.endswith("[red] é: no such thing\n")
