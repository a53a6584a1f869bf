"""Text files, as whatever writes them."""

import errno
import os
from pathlib import Path

import pytest

from ffpp_tools.errors import FfppError
from ffpp_tools.files import (
    atomic_replacement,
    checked_paths,
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

MARKED = ("utf-8", "utf-8-sig", "utf-16")  # the last two as Windows' editor and shell write them


@pytest.mark.parametrize("encoding", MARKED)
def test_a_mark_of_the_encoding_is_no_text(encoding, tmp_path):
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


def test_a_full_disk_is_told_with_the_file(tmp_path):
    with (
        pytest.raises(FfppError, match=r"mine\.csv: cannot be written \(No space left on device\)"),
        wrap_write_errors(tmp_path / "mine.csv"),
        open("/dev/full", "w") as file,  # noqa: PTH123
    ):
        file.write("x")


def test_a_file_that_cannot_be_written_whole_leaves_the_one_before(tmp_path):
    path = tmp_path / "new/a.txt"
    with atomic_replacement(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    said = r"a\.txt: cannot be written \(No space left on device\)"
    with pytest.raises(FfppError, match=said), atomic_replacement(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert [(p.name, p.read_text()) for p in path.parent.iterdir()] == [("a.txt", "whole")]


def test_what_is_kept_beside_a_read_only_folder_is_left_out(tmp_path):
    def refused(number):
        with unless_read_only(), wrap_write_errors(tmp_path / "mine.csv"):
            raise OSError(number, os.strerror(number))

    refused(errno.EROFS)
    refused(errno.EACCES)
    with pytest.raises(FfppError, match="No space left"):
        refused(errno.ENOSPC)


def test_a_name_that_would_end_a_row_of_a_csv_file_is_refused():
    assert checked_paths([Path("a b.png")]) == [Path("a b.png")]
    with pytest.raises(FfppError, match=r"a\\rb\.png': its name holds a carriage return; rename"):
        checked_paths([Path("a\rb.png")])
