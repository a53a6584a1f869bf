"""Timeouts for decoding."""

import threading

import pytest

from ffpp_tools.errors import DecodeError
from ffpp_tools.video import decode_limits
from ffpp_tools.video.decode_limits import with_timeout


def helpers():
    return sum(thread.name == "decoder" for thread in threading.enumerate())


def test_items_are_computed_in_the_thread_on_demand():
    threads = []

    def items():
        for i in range(3):
            threads.append(threading.current_thread().name)
            yield i

    found = with_timeout(items, 5, "x")
    assert threads == []
    assert next(found) == 0
    assert threads == ["decoder"]
    assert list(found) == [1, 2]


def test_errors_of_the_items_are_raised():
    def items():
        yield 1
        raise DecodeError("broken.mp4")

    found = with_timeout(items, 5, "x")
    assert next(found) == 1
    with pytest.raises(DecodeError, match=r"broken\.mp4"):
        next(found)


def test_a_timeout_does_not_affect_later_calls():
    release = threading.Event()

    def items():
        yield 1
        release.wait()
        yield 2

    found = with_timeout(items, 0.2, "slow.mp4")
    assert next(found) == 1
    with pytest.raises(DecodeError, match=r"slow\.mp4: the decoder timed out"):
        next(found)
    assert list(with_timeout(lambda: "ab", 5, "x")) == ["a", "b"]
    release.set()
    assert list(with_timeout(lambda: "cd", 5, "x")) == ["c", "d"], "no late result of the slow call"


@pytest.mark.parametrize("end", ["finished", "failed", "left"])
def test_threads_are_reused_however_their_last_use_ended(end):
    def items():
        yield 1
        if end == "failed":
            raise DecodeError("x")

    list(with_timeout(lambda: "ab", 5, "x"))
    before = helpers()
    for _ in range(5):
        found = with_timeout(items, 5, "x")
        next(found)
        if end == "left":
            found.close()
        elif end == "finished":
            assert list(found) == []
        else:
            with pytest.raises(DecodeError):
                next(found)
    assert helpers() == before


def test_an_interrupted_call_does_not_answer_the_next_one(monkeypatch):
    """Ctrl-C in an interactive session, while a frame is being decoded."""
    release = threading.Event()

    def items():
        release.wait()
        yield "late"

    class Interrupted(decode_limits.SimpleQueue):
        def get(self, *args, **kwargs):
            raise KeyboardInterrupt

    found = with_timeout(items, 5, "x")
    helper = decode_limits._idle[-1] if decode_limits._idle else None
    if helper is None:
        list(with_timeout(lambda: "ab", 5, "x"))
        helper = decode_limits._idle[-1]
    monkeypatch.setattr(helper, "_results", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        next(found)
    release.set()
    assert helper not in decode_limits._idle
    assert list(with_timeout(lambda: "cd", 5, "x")) == ["c", "d"]
