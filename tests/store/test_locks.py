"""Locks of folders and files, on file systems with and without locks."""

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
from ffpp_tools.store.locks import folder_lock
with folder_lock(Path(sys.argv[1]), "ffpp-extract"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that has no locks, such as NFS without its lock service."""

    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)


def test_a_second_process_is_refused_with_the_name_of_the_first_and_leaves_nothing(tmp_path):
    folder = tmp_path / "out"
    with folder_lock(folder, "ffpp-extract"):
        (folder / "frames.parquet").touch()
        with pytest.raises(LockedError) as refusal, folder_lock(folder, "ffpp-stills"):
            pass
        message = str(refusal.value)
    writer = f"ffpp-extract (process {os.getpid()} on {platform.node()}, since 20"
    assert message.startswith(f"{folder}: {writer}")
    assert message.endswith("Wait until that process ends, or use another folder")
    assert [p.name for p in folder.iterdir()] == ["frames.parquet"]
    with folder_lock(folder, "ffpp-stills"):
        pass


def test_a_folder_in_which_nothing_was_written_is_removed(tmp_path):
    with folder_lock(tmp_path / "out", "ffpp-clean"):
        pass
    assert not (tmp_path / "out").exists()


def killed(folder, *without_locks):
    """Kill a process that holds a folder's lock, after checking that errors name it."""
    command = [sys.executable, "-c", HOLD, str(folder), *without_locks]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(LockedError, match=rf"\(process {holder.pid} on"),
            folder_lock(folder, "ffpp-extract"),
        ):
            pass
        holder.send_signal(signal.SIGKILL)


def test_the_lock_of_a_killed_process_is_released_and_its_files_are_ignored(few, tmp_path):
    folder = tmp_path / "out"
    killed(folder)
    assert {p.name for p in folder.iterdir()} == {LOCK, HOLDER}
    assert not occupied(folder)
    extract_dataset(few[:1], folder, SETTINGS)  # the lock files do not make it a foreign folder
    assert not {LOCK, HOLDER} & {p.name for p in folder.iterdir()}


def test_a_soft_lock_of_a_killed_process_is_released_too(tmp_path, without_locks):
    folder = tmp_path / "out"
    killed(folder, "without locks")
    assert (folder / (LOCK + SOFT)).exists()
    assert not occupied(folder)
    with folder_lock(folder, "ffpp-extract"):
        pass
    assert list(folder.iterdir()) == []


def test_a_file_is_the_lock_on_a_file_system_without_locks(tmp_path, without_locks):
    folder = tmp_path / "out"
    with folder_lock(folder, "classify train"):
        (folder / "log.csv").touch()
        soft = folder / (LOCK + SOFT)
        with (
            pytest.raises(LockedError, match="if the process is no longer running, delete") as said,
            folder_lock(folder, "classify train"),
        ):
            pass
        assert str(said.value).endswith(str(soft))
    assert [p.name for p in folder.iterdir()] == ["log.csv"]
    with file_lock(tmp_path / "a.lock"):
        pass


def test_an_unwritable_folder_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(FfppError, match=r"file/out/\.lock: cannot be written \(Not a directory\)"),
        folder_lock(tmp_path / "file/out", "ffpp-split"),
    ):
        pass


@pytest.mark.parametrize("command", ["ffpp-extract", "ffpp-clean", "ffpp-identify"])
def test_commands_do_not_touch_a_dataset_that_another_process_is_writing(
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


def test_temporary_file_names_do_not_contain_the_process_id(tmp_path, monkeypatch):
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(a.name), replace(a, b)))
    for _ in range(2):
        write_atomically(tmp_path / "a.json", b"{}")
    assert seen[0] != seen[1]
    assert not any(str(os.getpid()) in name.split(".") for name in seen)
