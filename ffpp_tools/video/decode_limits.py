"""Limits on what a decoder may take."""

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
    """What is given up rather than waited for or made room for.

    time_s: how long a decoder may take to the next wanted frame before its clip is given up.
    pixels: width times height of a video's frames; a clip that declares more is not decoded.
    """

    time_s: float = 120.0
    pixels: int = MAX_FRAME_PIXELS

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 < self.time_s <= threading.TIMEOUT_MAX:
            raise SettingsError(f"timeout ({self.time_s}) must be more than 0 seconds, and finite")
        if self.pixels < 1:
            raise SettingsError(f"max-pixels ({self.pixels}) must be at least 1")


class _Helper:
    """A thread that does one call at a time; `busy` while it does, for ever if it hangs."""

    def __init__(self) -> None:
        self.busy = False
        self._asked: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="decoder").start()

    def call(self, function: Callable[[], T], limit_s: float) -> T:
        """What the function returns or raises; queue.Empty if that takes longer."""
        self.busy = True
        self._asked.put(function)
        result, error = self._made.get(timeout=limit_s)
        self.busy = False
        if error:
            raise error
        return result

    def _work(self) -> None:
        while True:
            function = self._asked.get()
            try:
                self._made.put((function(), None))
            except BaseException as error:
                self._made.put((None, error))
            del function  # and with it the decoder, if this was its last call


# Helpers are used again: what a thread has freed, the C library keeps for that thread.
_idle: list[_Helper] = []


def with_timeout(make: Callable[[], Iterable[T]], limit_s: float, what: object) -> Iterator[T]:
    """The items of `make()`, each within `limit_s` seconds.

    They are made in another thread, one at a time, when they are asked for. A thread that hangs is
    left behind: it cannot be stopped, and ends with the process. All this works as long as whatever
    hangs has released Python's lock, as PyAV does.

    Raises:
        DecodeError: naming `what`, when an item takes too long.
    """
    helper = _idle.pop() if _idle else _Helper()
    try:
        items = helper.call(lambda: iter(make()), limit_s)
        while (item := helper.call(lambda: next(items, _END), limit_s)) is not _END:
            yield item  # type: ignore[misc]
    except Empty:
        raise DecodeError(f"{what}: the decoder hung") from None
    finally:
        if not helper.busy:
            _idle.append(helper)
