"""Features of every command: version, JSON output, log, error reports and option files."""

import json
import os
import re
import sys
import tomllib

import pytest

from ffpp_tools.console import log
from ffpp_tools.errors import SettingsError
from ffpp_tools.script import ffpp_script, read_options, restart_in_utf8
from tests.helpers.project import COMMANDS, ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("name", sorted({words[0] for words in COMMANDS}))
def test_every_script_prints_its_version(command, name):
    done = command(name, "--version")
    assert (done.returncode, done.stdout) == (0, f"ffpp-tools {VERSION}\n")


def test_with_json_nothing_else_is_on_standard_output(command):
    done = command("classify", "archs", "--json")
    assert done.returncode == 0
    output = json.loads(done.stdout)
    assert output["networks"][0]["name"] == "baseline"
    assert "baseline" in done.stderr  # the table


def test_console_output_is_logged_in_the_output_folder(command, dataset, tmp_path):
    words = ("--mode", "videos", "--ratios", "50/25/25", "--no-faces", "--out", "m", "--quiet")
    done = command("ffpp-split", dataset, *words)
    assert (done.returncode, done.stdout) == (0, "")
    log_text = (tmp_path / "m/log.txt").read_text()
    first, *_, last = log_text.splitlines()
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  ffpp-split .* --quiet \(ffpp-tools", first)
    assert "No identity group is known to be in two splits" in log_text
    assert re.search(r"ended after \d+\.\d s with status 0$", last)
    assert "\x1b" not in log_text
    command("ffpp-audit", "m", "--no-probe")
    assert len(re.findall("ended after", (tmp_path / "m/log.txt").read_text())) == 2


def test_a_bug_is_shown_and_logged_with_its_traceback(monkeypatch, capsys, tmp_path):
    def broken():
        (tmp_path / "begun").touch()
        log.keep(tmp_path)
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(sys, "argv", ["ffpp-broken"])
    with pytest.raises(SystemExit) as stop:
        ffpp_script(broken, "")()
    assert stop.value.code == 1
    for text in (capsys.readouterr().err, (tmp_path / "log.txt").read_text()):
        assert "ZeroDivisionError: ours\nthis is a bug in ffpp-tools: please report" in text


def test_a_refused_output_folder_gets_no_log(command, videos_manifest, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    words = ("--manifest", videos_manifest.folder, "--weights", "none", "--out", "mine")
    assert command("classify", "train", *words).returncode == 1
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_command_line_options_take_precedence_over_an_option_file(command, dataset, tmp_path):
    (tmp_path / "mine.toml").write_text(
        f'dataset = "{dataset}"\nmode = "binary"\nratios = "50/25/25"\nfaces = false\nout = "a"\n'
    )
    done = command("ffpp-split", "--config", "mine.toml", "--mode", "videos", "--json")
    assert done.returncode == 0, done.stderr
    (manifest,) = json.loads(done.stdout)["manifests"]
    assert (manifest["mode"], manifest["folder"]) == ("videos", "a")
    assert (tmp_path / "a/manifest.json").is_file()
    (tmp_path / "mine.toml").write_text("ratio = 1\n")
    done = command("ffpp-split", "--config", "mine.toml")
    assert done.returncode == 1
    assert "mine.toml: unknown option ratio; known: " in done.stderr


def test_an_option_file_uses_the_names_of_the_options(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("min-face = 3\n")
    assert read_options(path, {"min-face": "min_face"}) == {"min_face": 3}
    path.write_text("min-face = ")
    with pytest.raises(SettingsError, match="not a readable TOML file"):
        read_options(path, {"min-face": "min_face"})
    with pytest.raises(SettingsError, match=r"gone\.toml"):
        read_options(tmp_path / "gone.toml", {})


def test_non_ascii_paths_work_in_an_ascii_locale(command, dataset, tmp_path):
    ascii_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ("--mode", "videos", "--ratios", "50/25/25", "--no-faces", "--out", "mé")
    done = command("ffpp-split", dataset, *words, **ascii_locale)
    assert done.returncode == 0, done.stderr
    assert "manifest: mé" in done.stdout
    assert (tmp_path / "mé/manifest.json").is_file()
    assert "manifest: mé" in (tmp_path / "mé/log.txt").read_text("utf-8")


def test_a_command_restarts_itself_in_utf8_at_most_once(monkeypatch):
    executed = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: executed.append(arguments))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-I", "ffpp-split", "dataset"])
    monkeypatch.setattr(sys, "_xoptions", {})
    monkeypatch.setenv("PYTHONUTF8", "0")
    restart_in_utf8()
    assert executed == [[sys.executable, "-X", "utf8", "-I", "ffpp-split", "dataset"]]
    monkeypatch.setattr(sys, "_xoptions", {"utf8": True})
    restart_in_utf8()
    assert len(executed) == 1
