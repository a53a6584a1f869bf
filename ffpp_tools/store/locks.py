"""One process at a time: in a folder, or at a file that several want to make."""

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

# What a file system says that has no locks, such as NFS without its lock service.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
SOFT = ".soft"  # ends the name of a file whose being there is the lock, where there are no others


@contextmanager
def folder_lock(folder: Path, command: str) -> Iterator[None]:
    """Be the one process that writes to a folder. The lock ends with the process, however it ends.

    Args:
        folder: made if it is not there.
        command: what is done, for those who are refused meanwhile.

    Raises:
        LockedError: another process writes there; it is named.
        FfppError: the folder cannot be written to.
    """
    path, holder, new = folder / LOCK, folder / HOLDER, not folder.exists()
    try:
        lock = _acquired(path, wait=False)
    except BlockingIOError as error:
        raise LockedError(_refusal(folder)) from error
    try:
        since = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"
        values = {"command": command, "pid": os.getpid(), "host": platform.node(), "since": since}
        write_atomically(holder, json.dumps(values).encode())
        yield
    finally:
        # Whoever opened the lock's file meanwhile notices that it is gone, and makes another.
        for name in (holder, path):
            with suppress(OSError):
                name.unlink(missing_ok=True)
        lock.release()
        if new:  # and nothing was written there
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock file, after whoever else holds it.

    Raises:
        FfppError: the file cannot be made.
    """
    lock = _acquired(path, wait=True)
    try:
        yield
    finally:
        lock.release()


def _acquired(path: Path, wait: bool) -> BaseFileLock:
    """A lock that is held.

    Raises:
        BlockingIOError: somebody else holds it, and `wait` is False.
        FfppError: the file cannot be made.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    timeout = -1 if wait else 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _held(FileLock(path, timeout=timeout, fallback_to_soft=False))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        path.unlink(missing_ok=True)
        return _held(SoftFileLock(path.with_name(path.name + SOFT), timeout=timeout))
    except Timeout as error:
        raise BlockingIOError(errno.EWOULDBLOCK, "locked", str(path)) from error
    except OSError as error:
        raise FfppError(f"{path}: cannot be written ({error.strerror or error})") from error


def _held(lock: BaseFileLock) -> BaseFileLock:
    lock.acquire()
    return lock


def _refusal(folder: Path) -> str:
    """Who writes to a folder, and what to do."""
    try:
        by = dict(read_json(folder / HOLDER))
        told = f"{by['command']} (process {by['pid']} on {by['host']}, since {by['since']})"
        who = "".join(letter for letter in told if letter.isprintable())
    except (OSError, ValueError, KeyError, TypeError):  # it has only begun, or is another release's
        who = "another process"
    text = f"{folder}: {who} is writing there. Wait until it has ended, or name another folder"
    soft = folder / (LOCK + SOFT)
    if soft.exists():
        text += f". This file system has no locks: if that process no longer runs, delete {soft}"
    return text
