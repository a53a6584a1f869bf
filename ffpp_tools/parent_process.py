"""Worker processes end with the process that started them, however that ends."""

from __future__ import annotations

import multiprocessing
import os
import select
import threading
import time
from typing import Any

POLL_S = 0.5  # where nothing but the number of the parent tells that it is gone


def parallel_options() -> dict[str, Any]:
    """Options of `joblib.Parallel` for workers that end with this process."""
    return {"initializer": exit_with_parent, "initargs": (os.getpid(),)}


def exit_with_parent(parent: int) -> None:
    """End this process when its parent is gone, which it may be by now.

    Without this, a worker of a killed process waits for tasks for minutes.
    """
    if os.name == "posix" and os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_outlive, args=(parent,), daemon=True).start()


def _outlive(parent: int) -> None:
    _wait(parent)
    os._exit(1)


def _wait(parent: int) -> None:
    """Come back when a process is gone."""
    started_by = multiprocessing.parent_process()
    if os.name != "posix" and started_by is not None:
        started_by.join()
        return
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(parent)
        except OSError:  # gone, or forbidden: the number tells
            pass
        else:
            if os.getppid() == parent:  # else it is another process's descriptor
                select.select([descriptor], [], [])
            return
    while os.getppid() == parent:
        time.sleep(POLL_S)
