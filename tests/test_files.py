"""Safe reading and writing of files."""

import errno
import os
from pathlib import Path

import pytest

from ffpp_tools.errors import FfppError
from ffpp_tools.files import (
    atomic_replacement,
    checked_paths,
    link_or_write,
    read_json,
    read_text,
    read_toml,
    unless_read_only,
    wrap_write_errors,
)
from ffpp_tools.script import read_options
from ffpp_tools.sources import official_lists
from ffpp_tools.sources.celeba import HQ_MAPPING, _read_mapping
from ffpp_tools.splits import recipes

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")  # Notepad and PowerShell write the last two


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_files_are_read_in_any_encoding_that_windows_writes(encoding, tmp_path):
    def written(name, text):
        (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
        return tmp_path / name

    assert read_text(written("a.txt", "é\n")) == "é\n"
    assert read_json(written("a.json", '{"é": 1}\n')) == {"é": 1}
    assert read_toml(written("a.toml", 'é = """a\n"""\n'.replace("é", "e"))) == {"e": "a\n"}
    assert read_options(written("o.toml", "every = 3\n"), {"every": "every"}) == {"every": 3}
    text = 'rule = "grouped"\nmode = "videos"\n'
    assert recipes.read(str(written("mine.toml", text))).mode == "videos"
    assert official_lists.read_values(written("identity_CelebA.txt", "000001.jpg 7\n")) == {
        "000001": "7"
    }
    written(HQ_MAPPING, "idx orig_idx orig_file\n0 5 000006.jpg\n")
    assert _read_mapping(tmp_path / HQ_MAPPING) == {0: "000006"}


def test_the_error_on_a_full_disk_names_the_file(tmp_path):
    with (
        pytest.raises(FfppError, match=r"mine\.csv: cannot be written \(No space left on device\)"),
        wrap_write_errors(tmp_path / "mine.csv"),
        open("/dev/full", "w") as file,  # noqa: PTH123
    ):
        file.write("x")


def test_a_failed_write_keeps_the_previous_file(tmp_path):
    path = tmp_path / "new/a.txt"
    with atomic_replacement(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    message = r"a\.txt: cannot be written \(No space left on device\)"
    with pytest.raises(FfppError, match=message), atomic_replacement(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert [(p.name, p.read_text()) for p in path.parent.iterdir()] == [("a.txt", "whole")]


def test_writing_to_a_read_only_folder_is_skipped(tmp_path):
    def failing_write(number):
        with unless_read_only(), wrap_write_errors(tmp_path / "mine.csv"):
            raise OSError(number, os.strerror(number))

    failing_write(errno.EROFS)
    failing_write(errno.EACCES)
    with pytest.raises(FfppError, match="No space left"):
        failing_write(errno.ENOSPC)


def test_a_file_name_with_a_carriage_return_is_an_error():
    assert checked_paths([Path("a b.png")]) == [Path("a b.png")]
    with pytest.raises(FfppError, match=r"a\\rb\.png': the name contains a carriage return; rena"):
        checked_paths([Path("a\rb.png")])


def test_a_file_is_linked_or_else_copied_but_never_replaced(tmp_path, monkeypatch):
    source = tmp_path / "a"
    source.write_bytes(b"x")
    assert link_or_write(source, tmp_path / "b", b"x")
    assert (tmp_path / "b").samefile(source)
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError()))
    assert not link_or_write(source, tmp_path / "c", b"x")
    assert (tmp_path / "c").read_bytes() == b"x"
    assert not (tmp_path / "c").samefile(source)
    with pytest.raises(FfppError, match="b: cannot be written"):
        link_or_write(source, tmp_path / "b", b"y")
