"""Worker processes exit when the process that started them does, even if it is killed."""

from __future__ import annotations

import multiprocessing
import os
import select
import threading
import time
from typing import Any

POLL_S = 0.5  # interval at which the parent's process ID is polled if no pidfd is available


def parallel_options() -> dict[str, Any]:
    """Options of `joblib.Parallel` for workers that exit with this process."""
    return {"initializer": exit_with_parent, "initargs": (os.getpid(),)}


def exit_with_parent(parent: int) -> None:
    """Exit this process when its parent does, or at once if the parent has already exited.

    Otherwise, workers of a killed process would wait for tasks for minutes.
    """
    if os.name == "posix" and os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: int) -> None:
    _wait_for_exit(parent)
    os._exit(1)


def _wait_for_exit(parent: int) -> None:
    """Return once the parent process has exited."""
    started_by = multiprocessing.parent_process()
    if os.name != "posix" and started_by is not None:
        started_by.join()
        return
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(parent)
        except OSError:  # exited, or forbidden: poll the process ID below
            pass
        else:
            if os.getppid() == parent:  # else the descriptor is another process's
                select.select([descriptor], [], [])
            return
    while os.getppid() == parent:
        time.sleep(POLL_S)
