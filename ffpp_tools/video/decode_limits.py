"""Time and size limits for decoding."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ffpp_tools.errors import DecodeError, SettingsError
from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS

T = TypeVar("T")

_END = object()


@dataclass(frozen=True)
class Limits:
    """Limits above which a clip is not decoded, or decoding is stopped.

    time_s: maximum time until the decoder returns the next wanted frame, in seconds.
    pixels: maximum width × height that the frames of a video may declare.
    """

    time_s: float = 120.0
    pixels: int = MAX_FRAME_PIXELS

    def __post_init__(self) -> None:
        """Validate the fields."""
        if not 0 < self.time_s <= threading.TIMEOUT_MAX:
            raise SettingsError(f"timeout ({self.time_s}) must be more than 0 seconds and finite")
        if self.pixels < 1:
            raise SettingsError(f"max-pixels ({self.pixels}) must be at least 1")


class _Helper:
    """A thread that runs one call at a time; `busy` during a call, forever if the call hangs."""

    def __init__(self) -> None:
        self.busy = False
        self._calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="decoder").start()

    def call(self, function: Callable[[], T], limit_s: float) -> T:
        """Run a function in the thread and return its result; queue.Empty if it takes longer."""
        self.busy = True
        self._calls.put(function)
        result, error = self._results.get(timeout=limit_s)
        self.busy = False
        if error:
            raise error
        return result

    def _work(self) -> None:
        while True:
            function = self._calls.get()
            try:
                self._results.put((function(), None))
            except BaseException as error:
                self._results.put((None, error))
            del function  # frees the decoder if this was its last call


# Helpers are reused because the C library keeps the memory that a thread has freed for that thread.
_idle: list[_Helper] = []


def with_timeout(make: Callable[[], Iterable[T]], limit_s: float, what: object) -> Iterator[T]:
    """Yield the items of `make()`, each within `limit_s` seconds.

    They are computed in another thread, one at a time, on demand. A thread that hangs is abandoned:
    it cannot be stopped and ends with the process. This requires that the code that hangs has
    released the global interpreter lock, as PyAV does.

    Raises:
        DecodeError: an item takes too long; the message names `what`.
    """
    helper = _idle.pop() if _idle else _Helper()
    try:
        items = helper.call(lambda: iter(make()), limit_s)
        while (item := helper.call(lambda: next(items, _END), limit_s)) is not _END:
            yield item  # type: ignore[misc]
    except Empty:
        raise DecodeError(f"{what}: the decoder timed out after {limit_s:g} s") from None
    finally:
        if not helper.busy:
            _idle.append(helper)
