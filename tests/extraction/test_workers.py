import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import LocalCluster

from ffpp_tools.errors import FfppError, SettingsError
from ffpp_tools.extraction import workers
from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
from ffpp_tools.extraction.workers import Tally, Workers
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.video.decode_limits import Limits
from tests.helpers.files import hashes
from tests.helpers.worlds import SETTINGS


def test_output_is_identical_for_any_number_of_workers_and_any_order(few, tmp_path):
    extract_dataset(few, tmp_path / "one", SETTINGS)
    extract_dataset(few[::-1], tmp_path / "two", SETTINGS, Workers(2))
    for family in few:
        for clip in family.clips[::-1]:  # one clip per run, fakes before their originals
            extract_dataset([replace(family, clips=(clip,))], tmp_path / "three", SETTINGS)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") == hashes(tmp_path / "three")


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two processes on this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as running:
        yield running


def test_a_dask_cluster_gives_the_same_bytes(cluster, few, world, tmp_path):
    stills = find_stills(world / "CelebA", "CelebA", limit=4)
    there = Workers(scheduler=cluster.scheduler_address)
    for folder, team in ((tmp_path / "here", Workers()), (tmp_path / "there", there)):
        extract_dataset(few, folder, SETTINGS, team)
        extract_still_dataset(stills, folder, workers=team)
    assert hashes(tmp_path / "here") == hashes(tmp_path / "there")


def test_a_killed_cluster_worker_is_replaced(cluster, ffpp, tmp_path):
    """Dask passes its tasks to another worker; committed clips are not extracted again."""
    there = Workers(scheduler=cluster.scheduler_address)
    killed = []

    def kill_one(tallies, units, size):
        for tally in tallies:
            if not killed:
                process = next(iter(cluster.workers.values())).process.process
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)
            yield tally

    extract_dataset(
        families(ffpp, find_clips(ffpp)), tmp_path / "there", SETTINGS, there, progress=kill_one
    )
    assert killed
    extract_dataset(families(ffpp, find_clips(ffpp)), tmp_path / "here", SETTINGS, Workers(2))
    assert hashes(tmp_path / "here") == hashes(tmp_path / "there")


def test_a_scheduler_that_does_not_answer_is_an_error(few, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "DASK_TIMEOUT_S", 0.5)
    with pytest.raises(FfppError, match=r"tcp://127\.0\.0\.1:9.*`dask scheduler`"):
        extract_dataset(few, tmp_path, SETTINGS, Workers(scheduler="tcp://127.0.0.1:9"))


@pytest.mark.parametrize(("count", "timeout_s"), [(0, 1), (1, 0)])
def test_invalid_workers_are_an_error(count, timeout_s):
    with pytest.raises(SettingsError, match="must be"):
        Workers(count, limits=Limits(timeout_s))


def test_tallies_add_up_to_the_totals(few, tmp_path):
    seen = []

    def progress(tallies, units, size):
        seen.append((units, size))
        for tally in tallies:
            seen.append(tally)
            yield tally

    summary = extract_dataset(few, tmp_path, SETTINGS, progress=progress)
    (units, size), *tallies = seen
    total = sum(tallies, Tally())
    assert total == Tally(units, len(summary.faces), 0, size)
    assert units == len(summary.frames.groupby(["category", "clip"]))
    assert size == sum(c.path.stat().st_size for f in few for c in f.clips)


def test_worker_processes_follow_a_change_of_the_working_directory(ffpp, tmp_path, monkeypatch):
    """A notebook may change its directory, and its worker processes are reused."""
    for folder in ("original_sequences", "manipulated_sequences"):
        monkeypatch.chdir(ffpp / folder)
        clips = find_clips(Path("..").resolve(), limit=2)
        clips = [replace(c, path=Path(os.path.relpath(c.path))) for c in clips]
        summary = extract_dataset(families(ffpp, clips), tmp_path / folder, SETTINGS, Workers(2))
        assert set(summary.frames["status"]) == {"ok"}
