"""The mark of a folder that is being written."""

import json

import pytest

from ffpp_tools.files import HOLDER, LOCK
from ffpp_tools.store.incomplete import MARK, has_foreign_files, is_incomplete, writing_folder


def test_a_folder_that_one_command_left_incomplete_is_foreign_to_all_others(tmp_path):
    folder = tmp_path / "r"
    with (
        pytest.raises(ZeroDivisionError),
        writing_folder(folder, "classify compare", ["a.csv", "videos"]),
    ):
        (folder / "videos").mkdir()
        (folder / "videos/000.html").touch()
        (folder / "a.csv").touch()
        raise ZeroDivisionError
    (folder / "notes.txt").write_text("mine")
    write = json.loads((folder / MARK).read_text())
    assert write == {"format": 1, "command": "classify compare", "writes": ["a.csv", "videos"]}
    assert is_incomplete(folder, "classify compare")
    assert not has_foreign_files(folder, "classify compare")
    assert has_foreign_files(folder, "classify report")
    with writing_folder(folder, "classify compare", ["b.csv"]):
        assert sorted(p.name for p in folder.iterdir()) == [LOCK, HOLDER, "notes.txt", MARK]
        (folder / "b.csv").touch()
    assert sorted(p.name for p in folder.iterdir()) == ["b.csv", "notes.txt"]
    assert has_foreign_files(folder, "classify compare")


def test_a_mark_deletes_nothing_outside_its_folder(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    for mine in (tmp_path / "mine", folder / "mine"):
        mine.touch()
    (folder / "link").symlink_to(tmp_path)
    names = ["../mine", str(tmp_path / "mine"), "link/mine", "..", ".", "", 3]
    (folder / MARK).write_text(json.dumps({"command": "ffpp-split", "writes": names}))
    with writing_folder(folder, "ffpp-split"):
        pass
    assert (tmp_path / "mine").exists()
    assert (folder / "mine").exists()
    assert (folder / "link").is_symlink()


def test_a_command_that_fails_before_it_writes_leaves_no_folder(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        writing_folder(tmp_path / "r", "classify export", ["model"]),
    ):
        raise ZeroDivisionError
    assert not (tmp_path / "r").exists()
