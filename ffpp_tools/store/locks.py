"""Locks between processes: one writer per folder, and one process at a time per lock file."""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.errors import FfppError, LockedError
from ffpp_tools.files import HOLDER, LOCK, read_json, write_atomically

if TYPE_CHECKING:
    from filelock import BaseFileLock

# Errors of file systems without locks, such as NFS without its lock service.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
SOFT = ".soft"  # suffix of a file whose existence is the lock, on file systems without locks


@contextmanager
def folder_lock(folder: Path, command: str) -> Iterator[None]:
    """Hold the write lock of a folder. The system releases it if the process dies.

    Args:
        folder: the folder, created if it does not exist.
        command: the command's name, shown to other processes that try to write to the folder.

    Raises:
        LockedError: another process is writing to the folder; the message names the process.
        FfppError: the folder cannot be written to.
    """
    path, holder, is_new = folder / LOCK, folder / HOLDER, not folder.exists()
    try:
        lock = _acquire(path, wait=False)
    except BlockingIOError as error:
        raise LockedError(_locked_message(folder)) from error
    try:
        since = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"
        values = {"command": command, "pid": os.getpid(), "host": platform.node(), "since": since}
        write_atomically(holder, json.dumps(values).encode())
        yield
    finally:
        # A process that has opened the lock file notices that it is deleted, and creates a new one.
        for name in (holder, path):
            with suppress(OSError):
                name.unlink(missing_ok=True)
        lock.release()
        if is_new:
            with suppress(OSError):  # the folder is not empty
                folder.rmdir()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock file; wait until no other process holds it.

    Raises:
        FfppError: the file cannot be created.
    """
    lock = _acquire(path, wait=True)
    try:
        yield
    finally:
        lock.release()


def _acquire(path: Path, wait: bool) -> BaseFileLock:
    """Acquire the lock of a file.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
        FfppError: the file cannot be created.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    timeout = -1 if wait else 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _acquired(FileLock(path, timeout=timeout, fallback_to_soft=False))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        path.unlink(missing_ok=True)
        return _acquired(SoftFileLock(path.with_name(path.name + SOFT), timeout=timeout))
    except Timeout as error:
        raise BlockingIOError(errno.EWOULDBLOCK, "locked", str(path)) from error
    except OSError as error:
        raise FfppError(f"{path}: cannot be written ({error.strerror or error})") from error


def _acquired(lock: BaseFileLock) -> BaseFileLock:
    lock.acquire()
    return lock


def _locked_message(folder: Path) -> str:
    """Return the message of a LockedError: which process is writing to the folder, and a remedy."""
    try:
        values = dict(read_json(folder / HOLDER))
        command, pid, host = values["command"], values["pid"], values["host"]
        description = f"{command} (process {pid} on {host}, since {values['since']})"
        writer = "".join(letter for letter in description if letter.isprintable())
    except (OSError, ValueError, KeyError, TypeError):  # not yet written, or of another release
        writer = "another process"
    text = (
        f"{folder}: {writer} is writing to it. Wait until that process ends, or use another folder"
    )
    soft = folder / (LOCK + SOFT)
    if soft.exists():
        text += (
            f". This file system has no locks: if the process is no longer running, delete {soft}"
        )
    return text
