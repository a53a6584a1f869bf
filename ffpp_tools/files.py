"""Safe file access: atomic writes, regular files only, no path traversal."""

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
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from ffpp_tools.errors import FfppError

LOCK, HOLDER = ".lock", ".lock.json"  # in a locked folder; see `store.locks`
# Names of files that are being written; release 0.1 used the process ID as the suffix.
TEMPORARY = re.compile(r".+\.[0-9a-f]{16}\.tmp|.+\.(json|parquet)\.\d+\.tmp|saving-.+\.keras")
# Files that any folder may contain and that are not part of its content.
PRIVATE = re.compile(r"\.lock(\.soft|\.json)?|.+\.[0-9a-f]{16}\.tmp")


class IrregularError(OSError):
    """The path is a FIFO, a socket or a device, not a regular file."""

    def __str__(self) -> str:
        return str(self.strerror)


def special_file_kind(path: Path) -> str:
    """Name the kind of a special file, such as "a FIFO"; empty for any other path."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    devices = dict.fromkeys((stat.S_IFCHR, stat.S_IFBLK), "a device")
    return (kinds | devices).get(stat.S_IFMT(mode), "")


def regular_file(path: Path) -> Path:
    """Return the path unchanged if it is safe to open.

    Opening a FIFO may block forever, and reading a device may never end.

    Raises:
        IrregularError: the path is a FIFO, a socket or a device.
    """
    if kind := special_file_kind(path):
        raise IrregularError(errno.EINVAL, f"{kind}, not a file", str(path))
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with regular_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """Read a text file: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not text.
    """
    return _decoded(regular_file(path).read_bytes())


def _decoded(data: bytes) -> str:
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, from_pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        from_pairs: makes the value of an object from its keys and values; a dict by default.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not JSON, or is nested too deeply.
    """
    parse = partial(json.loads, object_pairs_hook=from_pairs)
    return _parsed(parse, regular_file(path).read_bytes())


def parse_json(data: bytes) -> Any:
    """Parse the bytes of a JSON file; raises ValueError as `read_json` does."""
    return _parsed(json.loads, data)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises the same errors as `read_json`."""
    return _parsed(tomllib.loads, regular_file(path).read_bytes())


def _parsed(parse: Callable[[str], Any], data: bytes) -> Any:
    try:
        return parse(_decoded(data))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextmanager
def wrap_write_errors(path: Path) -> Iterator[None]:
    """Turn write errors into errors that name the file; on a full disk, the system's names none.

    Raises:
        FfppError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise FfppError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def unless_read_only() -> Iterator[None]:
    """Skip writing if the folder is read-only.

    Raises:
        FfppError: the file cannot be written for another reason.
    """
    try:
        yield
    except FfppError as error:
        if getattr(error.__cause__, "errno", None) not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary file, then rename it; readers never see a partial file.

    Raises:
        FfppError: the file cannot be written.
    """
    with atomic_replacement(path) as temporary:
        temporary.write_bytes(data)


def link_or_write(source: Path, target: Path, data: bytes) -> bool:
    """Create a hard link to a file or, where that is impossible, a copy.

    Args:
        source: the file.
        target: path that does not exist; its folder does.
        data: the content of `source`.

    Returns:
        Whether `target` is a hard link.

    Raises:
        FfppError: the file cannot be written.
    """
    with suppress(OSError):  # another file system, or one without hard links
        os.link(os.path.realpath(source), target)
        return True
    with wrap_write_errors(target), target.open("xb") as file:
        file.write(data)
    return False


@contextmanager
def atomic_replacement(path: Path, name: str = "") -> Iterator[Path]:
    """Write to a uniquely named temporary file that replaces `path` once it is complete.

    Args:
        path: file to write. Its folder is created; an existing file stays until it is replaced.
        name: name of the temporary file, which must match `TEMPORARY`; random if empty.

    Yields:
        The path of the temporary file to write to.

    Raises:
        FfppError: the file cannot be written; the temporary file is deleted.
    """
    temporary = path.with_name(name or f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with wrap_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # after a power cut, the renamed file must not be empty
            temporary.replace(path)
    except FfppError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def delete_temporary_files(*folders: Path) -> None:
    """Delete the temporary files that killed processes have left in folders, not in subfolders.

    The caller must hold the lock that all writers to these folders take: a temporary file alone
    does not show whether its writer, possibly on another machine, is still alive.
    """
    for folder in folders:
        for path in folder.glob("*"):
            if TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


def checked_paths(paths: Iterable[Path]) -> list[Path]:
    """Return the paths if all of them can be written to tables.

    Raises:
        FfppError: a path is not UTF-8, or contains a carriage return, at which CSV readers end a
            row.
    """
    checked = list(paths)
    for path in checked:
        if "\r" in str(path):
            raise FfppError(f"{str(path)!r}: the name contains a carriage return; rename the file")
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise FfppError(f"{str(path)!r}: the name is not UTF-8; rename the file") from error
    return checked


def sync_to_disk(folder: Path) -> None:
    """Return once everything written under `folder` is on the disk.

    One call covers many files; an `fsync` per file would wait for the disk each time.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "syncfs"):  # only Linux can flush a single file system
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        libc.syncfs(descriptor)
    finally:
        os.close(descriptor)


def escapes_root(path: str) -> bool:
    """Whether a path is absolute or contains "..", and so may point outside its root."""
    return PurePath(path).is_absolute() or ".." in PurePath(path).parts


def path_within(root: Path, path: str) -> Path:
    """Resolve a path from a table or manifest against its root.

    Raises:
        FfppError: the path points outside the root.
    """
    if escapes_root(path):
        raise FfppError(f"{path!r} points outside {root}; the table or manifest is damaged")
    return root / path


def exists(path: Path) -> bool:
    """Whether a path exists; False if its folder may not be searched."""
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises for such a folder)


def occupied(folder: Path) -> bool:
    """Whether `folder` already contains files, or a file of that name exists.

    Locks and temporary files of killed processes do not count.
    """
    if not folder.is_dir():
        return folder.exists()
    return any(not PRIVATE.fullmatch(path.name) for path in folder.iterdir())
