"""Arrays computed from a manifest's crops once, and mapped from a file afterwards."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from classify.errors import PackError
from ffpp_tools.store.locks import file_lock

FOLDER = "packed"  # of the arrays, in the manifest's folder
KEY = 16  # hexadecimal digits in an array's name that stand for its contents
CHUNK = 64  # positions per task of a thread

Array = npt.NDArray[Any]
# Adds a progress bar to an iterable of known length.
ProgressBar = Callable[[Iterable[int], int], Iterable[int]]


def cached_array(
    folder: Path,
    name: str,
    contents: str,
    is_current: Callable[[Array], bool],
    write: Callable[[Path], None],
) -> Array:
    """Return an array mapped from its file, which is written first if it is missing or stale.

    The file is `packed/{name}-{key}.npy` in the manifest's folder. The key is a hash of the
    contents: an array is never reused for other contents, and replaces those of the same name. One
    process writes it, others wait and map it. If the folder is read-only, the array is written to
    the system's folder for temporary files, for this process alone.

    Args:
        folder: the manifest's folder.
        name: what the array holds, such as the split.
        contents: everything that the values depend on, in words.
        is_current: whether an array found in the file may be used.
        write: writes the array to a path, as `write_array` does.
    """
    key = hashlib.sha256(contents.encode()).hexdigest()[:KEY]
    path = folder / FOLDER / f"{name}-{key}.npy"
    if (found := _found(path, is_current)) is not None:
        return found
    if not os.access(path.parent if path.parent.exists() else folder, os.W_OK):
        with TemporaryDirectory(prefix=f"{FOLDER}-", ignore_cleanup_errors=True) as temporary:
            write(Path(temporary) / path.name)
            return _mapped(Path(temporary) / path.name)  # the mapping outlives the file's name
    with file_lock(path.with_suffix(".lock")):
        if (found := _found(path, is_current)) is not None:  # another process was faster
            return found
        write(path)
        for old in path.parent.glob(f"{name}-{'[0-9a-f]' * KEY}.npy"):
            if old != path:
                old.unlink()
    return _mapped(path)


def write_array(
    path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, fill: Callable[[Array], None]
) -> None:
    """Write an array under a temporary name, then rename it: it is complete or missing.

    Args:
        path: a `.npy` file.
        shape: of the array.
        dtype: of the array.
        fill: sets all values of the array, which is mapped from the file.

    Raises:
        PackError: the array cannot be written.
    """
    temporary = path.with_suffix(".tmp")
    try:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        _reserve(temporary)
        fill(array)
        array.flush()
        temporary.replace(path)
    except OSError as error:
        raise PackError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def for_each(task: Callable[[int], None], count: int, progress: ProgressBar | None) -> None:
    """Run a task for each position from 0 to count - 1, in as many threads as there are cores."""

    def chunk(start: int) -> range:
        positions = range(start, min(start + CHUNK, count))
        for position in positions:
            task(position)
        return positions

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        chunks = threads.map(chunk, range(0, count, CHUNK))
        done = (position for positions in chunks for position in positions)
        try:
            for _ in progress(done, count) if progress else done:
                pass
        finally:
            threads.shutdown(cancel_futures=True)


def _found(path: Path, is_current: Callable[[Array], bool]) -> Array | None:
    """Return the array at `path`; None if it is missing, truncated or stale."""
    try:
        array = _mapped(path)
    except (OSError, EOFError, ValueError):
        return None
    return array if is_current(array) else None


def _mapped(path: Path) -> Array:
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _reserve(path: Path) -> None:
    """Reserve a file's disk space, so that a full disk raises an error instead of a crash."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
