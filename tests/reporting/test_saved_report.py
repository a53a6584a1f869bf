"""Tests of reading and deleting a saved report."""

import json

import pytest

from classify.reporting.saved_report import forget, read_saved_report
from ffpp_tools.errors import FormatError
from ffpp_tools.store import format_versions


def test_a_report_deletes_what_it_lists_in_its_own_folder_and_nothing_else(tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    for path in (folder / "report.html", folder / "notes.txt", tmp_path / "best.keras"):
        path.touch()
    listed = ["report.html", "gone.csv", "../best.keras", 3]
    (folder / "report.json").write_text(json.dumps({"files": listed}))
    assert read_saved_report(folder)["files"] == listed
    forget(folder)
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]
    assert (tmp_path / "best.keras").exists()
    forget(folder)  # where there is none, nothing happens


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": "report.html"}'])
def test_an_invalid_list_of_files_counts_as_no_report(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    assert read_saved_report(tmp_path) == {}
    assert read_saved_report(tmp_path / "nowhere") == {}


def test_a_report_of_a_newer_release_is_rejected(tmp_path):
    later = format_versions.VERSIONS[format_versions.REPORT] + 1
    text = json.dumps({format_versions.KEY: later, "files": []})
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(FormatError, match="newer"):
        read_saved_report(tmp_path)
