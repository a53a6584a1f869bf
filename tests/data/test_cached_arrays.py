"""Arrays that are written once and mapped afterwards."""

import threading

import numpy as np
import pytest

from classify.data.cached_arrays import CHUNK, cached_array, for_each, write_array
from classify.errors import PackError


def cached(folder, name="train", contents="these crops", value=1, is_current=None):
    """An array of three numbers, and whether it was written by this call."""
    written = []

    def write(path):
        written.append(path)
        write_array(path, (3,), np.float32, lambda array: array.fill(value))

    array = cached_array(folder, name, contents, is_current or (lambda array: True), write)
    return array, bool(written)


def files(folder):
    """The files in the folder of arrays, without locks."""
    return sorted(p.name for p in (folder / "packed").glob("*") if p.suffix != ".lock")


def test_an_array_is_written_once_and_mapped_read_only(tmp_path):
    first, was_written = cached(tmp_path)
    assert was_written
    again, was_written = cached(tmp_path, value=2)
    assert not was_written
    for array in (first, again):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, np.ones(3, np.float32))


def test_other_contents_replace_the_arrays_of_the_same_name_alone(tmp_path):
    for name in ("train", "train-0.5-3", "landmarks-train"):
        cached(tmp_path, name)
    before = files(tmp_path)
    other, _ = cached(tmp_path, contents="other crops", value=2)
    np.testing.assert_array_equal(other, 2)
    after = files(tmp_path)
    assert [name.rsplit("-", 1)[0] for name in after] == [name.rsplit("-", 1)[0] for name in before]
    assert len(set(before) & set(after)) == 2


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array"])
def test_a_damaged_array_is_written_again(tmp_path, damage):
    cached(tmp_path)
    (name,) = files(tmp_path)
    (tmp_path / "packed" / name).write_bytes(damage)
    array, was_written = cached(tmp_path, value=2)
    assert was_written
    np.testing.assert_array_equal(array, 2)


def test_a_stale_array_is_written_again(tmp_path):
    cached(tmp_path)
    array, was_written = cached(tmp_path, value=2, is_current=lambda array: array[0] == 2)
    assert was_written
    np.testing.assert_array_equal(array, 2)


def test_nothing_is_written_into_a_read_only_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("classify.data.cached_arrays.os.access", lambda path, mode: False)
    array, was_written = cached(tmp_path)
    assert was_written
    np.testing.assert_array_equal(array, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (OSError(28, "No space left"), PackError, r"a\.npy: cannot be written \(No space left\)"),
        (PackError("crop 3 is missing"), PackError, "crop 3 is missing"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_an_array_that_is_not_complete_leaves_no_file(tmp_path, error, expected, message):
    def fill(array):
        array[0] = 1
        raise error

    with pytest.raises(expected, match=message):
        write_array(tmp_path / "a.npy", (3,), np.uint8, fill)
    assert list(tmp_path.iterdir()) == []


def test_a_task_runs_once_for_each_position_and_the_bar_counts_them():
    done, lock, shown = [], threading.Lock(), []

    def task(position):
        with lock:
            done.append(position)

    def progress(positions, count):
        shown.append(count)
        for position in positions:
            shown.append(position)
            yield position

    count = 2 * CHUNK + 3
    for_each(task, count, progress)
    assert sorted(done) == list(range(count))
    assert shown == [count, *range(count)]


def test_a_failed_task_ends_the_others():
    done = []

    def task(position):
        if position == 5:
            raise PackError("crop 5 is missing")
        done.append(position)

    with pytest.raises(PackError, match="crop 5"):
        for_each(task, 10**6, None)
    assert len(done) < 10**6 - CHUNK
