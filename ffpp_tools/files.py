"""Files and folders: whole or not there, and never somebody else's."""

from __future__ import annotations

import codecs
import ctypes
import errno
import hashlib
import json
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

from ffpp_tools.errors import FfppError

LOCK, HOLDER = ".lock", ".lock.json"  # of a folder; see `locks`
# A file that is being written; release 0.1 put a process's number in place of a random one.
TEMPORARY = re.compile(r".+\.[0-9a-f]{16}\.tmp|.+\.(json|parquet)\.\d+\.tmp|saving-.+\.keras")
# What may lie in any folder without being part of what it holds.
PRIVATE = re.compile(r"\.lock(\.soft|\.json)?|.+\.[0-9a-f]{16}\.tmp")


class IrregularError(OSError):
    """A FIFO, a socket or a device where a file should be."""

    def __str__(self) -> str:
        return str(self.strerror)


def special_file_kind(path: Path) -> str:
    """What is at a path that is neither file nor folder, such as "a FIFO"; else nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    devices = dict.fromkeys((stat.S_IFCHR, stat.S_IFBLK), "a device")
    return (kinds | devices).get(stat.S_IFMT(mode), "")


def regular_file(path: Path) -> Path:
    """The same path, which may be opened: a FIFO may never answer, and a device never end.

    Raises:
        IrregularError: it is a FIFO, a socket or a device.
    """
    if what := special_file_kind(path):
        raise IrregularError(errno.EINVAL, f"{what}, not a file", str(path))
    return path


def sha256(path: Path) -> str:
    """The hash of a file's bytes."""
    with regular_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """A text file of UTF-8, with or without the mark that Windows puts first; or of UTF-16 with it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text.
    """
    return _decoded(regular_file(path).read_bytes())


def _decoded(data: bytes) -> str:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if wide else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or nested deeper than anything this project writes.
    """
    return parse_json(regular_file(path).read_bytes())


def parse_json(data: bytes) -> Any:
    """What the bytes of a JSON file hold; raises ValueError as `read_json` does."""
    return _parsed(json.loads, data)


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds; errors as those of `read_json`."""
    return _parsed(tomllib.loads, regular_file(path).read_bytes())


def _parsed(parse: Callable[[str], Any], data: bytes) -> Any:
    try:
        return parse(_decoded(data))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextmanager
def wrap_write_errors(path: Path) -> Iterator[None]:
    """Name the file that is being written where the system refuses: a full disk names none.

    Raises:
        FfppError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise FfppError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def unless_read_only() -> Iterator[None]:
    """Leave undone what is written into a folder that may only be read.

    Raises:
        FfppError: it cannot be written for another reason.
    """
    try:
        yield
    except FfppError as error:
        if getattr(error.__cause__, "errno", None) not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name, then rename: a reader sees all of it or none.

    Raises:
        FfppError: the file cannot be written.
    """
    with atomic_replacement(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_replacement(path: Path, name: str = "") -> Iterator[Path]:
    """A file under another name, which nobody else has, that becomes `path` when it is whole.

    Args:
        path: of the file; its folder is made. What was there before stays until then.
        name: the other one, which `TEMPORARY` has to know; random if none is given.

    Yields:
        The other name, to write to.

    Raises:
        FfppError: the file cannot be written; nothing of it is left.
    """
    temporary = path.with_name(name or f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with wrap_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # a power cut must not leave the name without the bytes
            temporary.replace(path)
    except FfppError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def delete_temporary_files(*folders: Path) -> None:
    """Delete what killed processes have left half written in folders, not below them.

    The caller holds a lock under which alone anything is written there: a temporary file does not
    tell whether the process that writes it, maybe on another machine, is alive.
    """
    for folder in folders:
        for path in folder.glob("*"):
            if TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


def checked_paths(paths: Iterable[Path]) -> list[Path]:
    """The same paths, all of whose names can be written into tables.

    Raises:
        FfppError: a name is not UTF-8, or holds a carriage return, at which CSV readers end a row.
    """
    found = list(paths)
    for path in found:
        if "\r" in str(path):
            raise FfppError(f"{str(path)!r}: its name holds a carriage return; rename it")
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise FfppError(f"{str(path)!r}: its name is not UTF-8; rename it") from error
    return found


def sync_to_disk(folder: Path) -> None:
    """Come back when all that was written below `folder` is on the disk.

    One call for many files: an `fsync` for each would wait for the disk as often.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "syncfs"):  # only Linux flushes a single file system
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        libc.syncfs(descriptor)
    finally:
        os.close(descriptor)


def escapes_root(path: str) -> bool:
    """Whether a path that should lie below some folder does not."""
    return PurePath(path).is_absolute() or ".." in PurePath(path).parts


def path_within(root: Path, path: str) -> Path:
    """Where a path of a table or manifest lies, which must be below its root.

    Raises:
        FfppError: it would lead elsewhere.
    """
    if escapes_root(path):
        raise FfppError(f"{path!r} leads out of {root}; no table of this project says so")
    return root / path


def exists(path: Path) -> bool:
    """Whether a file is there, as far as one may know: not in a folder that may not be searched."""
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises for such a folder)


def occupied(folder: Path) -> bool:
    """Whether something is in the way of making `folder`: files in it, or a file of its name.

    A lock, or a temporary file of a process that was killed, is not.
    """
    if not folder.is_dir():
        return folder.exists()
    return any(not PRIVATE.fullmatch(path.name) for path in folder.iterdir())
