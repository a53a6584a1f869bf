"""One process at a time in a folder, wherever the folder lies and however a process ends."""

import errno
import os
import platform
import signal
import subprocess
import sys

import pytest

from ffpp_tools.errors import FfppError, LockedError
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.files import HOLDER, LOCK, occupied, write_atomically
from ffpp_tools.store.locks import SOFT, file_lock, folder_lock
from tests.helpers.worlds import SETTINGS

HOLD = """
import errno, fcntl, sys, time
from pathlib import Path

def refuse(descriptor, how):
    raise OSError(errno.ENOLCK, "No locks available")

if sys.argv[2:]:
    fcntl.flock = refuse
from ffpp_tools.store.locks import alone_in
with alone_in(Path(sys.argv[1]), "ffpp-extract"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that has no locks, such as NFS without its lock service."""

    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)


def test_the_second_is_told_who_the_first_is_and_leaves_nothing(tmp_path):
    folder = tmp_path / "out"
    with folder_lock(folder, "ffpp-extract"):
        (folder / "frames.parquet").touch()
        with pytest.raises(LockedError) as refusal, folder_lock(folder, "ffpp-stills"):
            pass
        said = str(refusal.value)
    who = f"ffpp-extract (process {os.getpid()} on {platform.node()}, since 20"
    assert said.startswith(f"{folder}: {who}")
    assert said.endswith("Wait until it has ended, or name another folder")
    assert [p.name for p in folder.iterdir()] == ["frames.parquet"]
    with folder_lock(folder, "ffpp-stills"):
        pass


def test_a_folder_in_which_nothing_was_written_is_gone_again(tmp_path):
    with folder_lock(tmp_path / "out", "ffpp-clean"):
        pass
    assert not (tmp_path / "out").exists()


def killed(folder, *without_locks):
    """Kill a process that holds a folder, which is told of while it lives."""
    command = [sys.executable, "-c", HOLD, str(folder), *without_locks]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(LockedError, match=rf"\(process {holder.pid} on"),
            folder_lock(folder, "ffpp-extract"),
        ):
            pass
        holder.send_signal(signal.SIGKILL)


def test_a_lock_ends_with_its_process_and_what_is_left_of_it_is_nothing(few, tmp_path):
    folder = tmp_path / "out"
    killed(folder)
    assert {p.name for p in folder.iterdir()} == {LOCK, HOLDER}
    assert not occupied(folder)
    extract_dataset(few[:1], folder, SETTINGS)  # it is no foreign folder
    assert not {LOCK, HOLDER} & {p.name for p in folder.iterdir()}


def test_a_file_that_is_a_lock_ends_with_its_process_too(tmp_path, without_locks):
    folder = tmp_path / "out"
    killed(folder, "without locks")
    assert (folder / (LOCK + SOFT)).exists()
    assert not occupied(folder)
    with folder_lock(folder, "ffpp-extract"):
        pass
    assert list(folder.iterdir()) == []


def test_without_locks_of_the_file_system_a_file_is_the_lock(tmp_path, without_locks):
    folder = tmp_path / "out"
    with folder_lock(folder, "classify train"):
        (folder / "log.csv").touch()
        soft = folder / (LOCK + SOFT)
        with (
            pytest.raises(LockedError, match="if that process no longer runs, delete") as said,
            folder_lock(folder, "classify train"),
        ):
            pass
        assert str(said.value).endswith(str(soft))
    assert [p.name for p in folder.iterdir()] == ["log.csv"]
    with file_lock(tmp_path / "a.lock"):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(FfppError, match=r"file/out/\.lock: cannot be written \(Not a directory\)"),
        folder_lock(tmp_path / "file/out", "ffpp-split"),
    ):
        pass


@pytest.mark.parametrize("command", ["ffpp-extract", "ffpp-clean", "ffpp-identify"])
def test_commands_leave_a_dataset_alone_that_another_writes_to(
    command, dataset, ffpp, tmp_path, typed
):
    out = tmp_path / "fresh" if command == "ffpp-extract" else dataset
    words = [ffpp, "--out", out, "--margin", 1.5] if command == "ffpp-extract" else [out]
    with folder_lock(out, "ffpp-stills"):
        before = sorted(out.iterdir())
        status, _, said = typed(command, *words)
        assert sorted(out.iterdir()) == before
    assert status == 1
    assert "ffpp-stills (process" in " ".join(said.split())


def test_temporary_names_say_nothing_of_a_process(tmp_path, monkeypatch):
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(a.name), replace(a, b)))
    for _ in range(2):
        write_atomically(tmp_path / "a.json", b"{}")
    assert seen[0] != seen[1]
    assert not any(str(os.getpid()) in name.split(".") for name in seen)
