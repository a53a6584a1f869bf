"""Real faults during an extraction: killed processes, full disks, hangs, unreadable files."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ffpp_tools.console import LOG
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.store.tables import read_frames
from tests.helpers.files import hashes, without_privileges
from tests.helpers.videos import audio_only


def extract(root, out, *options, **kwargs):
    """Start `ffpp-extract` in a process group, to which a terminal would send Ctrl-C."""
    script = Path(sys.executable).parent / "ffpp-extract"
    words = [root, "--out", out, "--every", 10, "--workers", 2, *options]
    return subprocess.Popen(
        [str(script), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **kwargs,
    )


def finished(process):
    """Wait for a process; return its output (with single spaces) and its exit status."""
    printed, _ = process.communicate(timeout=300)
    return " ".join(printed.split()), process.returncode


def wait_for_commits(out):
    """Wait until a run has committed some clips; others remain."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if len(list((out / "parts").rglob("*.json"))) >= 2:
            return
        time.sleep(0.02)
    pytest.fail("nothing was committed")


@pytest.fixture(scope="module")
def undisturbed(ffpp, tmp_path_factory):
    """The files of a run without faults."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    printed, status = finished(extract(ffpp, out))
    assert status == 0, printed
    return output_files(out)


def output_files(out):
    """Path → SHA-256 of the files of a run, except its log, which contains times."""
    return {path: content for path, content in hashes(out).items() if path != LOG}


def interrupt(process):
    os.killpg(process.pid, signal.SIGINT)


def kill_parent(process):
    process.kill()


def kill_worker(process):
    workers = [p for p in psutil.Process(process.pid).children() if "loky" in " ".join(p.cmdline())]
    busy = [p for p in workers if "resource_tracker" not in " ".join(p.cmdline())]
    busy[0].kill()


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (interrupt, 130, "run the same command again"),
        (kill_parent, -signal.SIGKILL, None),
        (kill_worker, 1, "a worker process was killed"),
    ],
)
def test_the_same_command_finishes_a_killed_run(
    ffpp, tmp_path, undisturbed, fault, status, message
):
    out = tmp_path / "out"
    process = extract(ffpp, out)
    wait_for_commits(out)
    workers = psutil.Process(process.pid).children(recursive=True)
    fault(process)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, "workers must end with their parent"
    printed, returned = finished(process)
    assert returned == status, printed
    assert "Traceback" not in printed
    if message:
        assert message in printed
    assert not (out / "frames.parquet").exists(), "the run finished before the fault"
    printed, returned = finished(extract(ffpp, out))
    assert returned == 0, printed
    assert output_files(out) == undisturbed


def test_a_killed_run_can_be_resumed_at_once(ffpp, tmp_path, undisturbed):
    """Workers of the killed run may still be processing their last clip."""
    out = tmp_path / "out"
    process = extract(ffpp, out)
    wait_for_commits(out)
    process.kill()
    process.wait()
    printed, returned = finished(extract(ffpp, out))
    assert returned == 0, printed
    assert output_files(out) == undisturbed


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a file system requires root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_reported_and_a_run_resumes_once_there_is_space(
    ffpp, small_disk, undisturbed
):
    out = small_disk / "out"
    printed, status = finished(extract(ffpp, out))
    assert status == 1
    assert "cannot be written (No space left on device)" in printed
    assert "Traceback" not in printed
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    printed, status = finished(extract(ffpp, out))
    assert status == 0, printed
    assert output_files(out) == undisturbed


def test_a_hung_decoder_is_reported_and_the_other_clips_are_extracted(ffpp, tmp_path):
    root = tmp_path / "ffpp"
    shutil.copytree(ffpp / "original_sequences", root / "original_sequences")
    folder = root / "original_sequences/youtube/c23/videos"
    os.mkfifo(folder / "999.mp4")
    # A FIFO is normally refused unopened. Without that check, reading it blocks forever.
    patched = "import ffpp_tools.files as files\nfiles.special_file_kind = lambda path: ''\n"
    (tmp_path / "sitecustomize.py").write_text(patched)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path}
    printed, status = finished(extract(root, tmp_path / "out", "--timeout", 1, env=env))
    assert status == 0, printed
    assert "999.mp4: the decoder timed out" in printed
    frames = read_frames(tmp_path / "out").set_index("clip")["status"]
    assert frames["999"] == "unreadable"
    assert set(frames.drop("999")) == {"ok"}
    (folder / "999.mp4").unlink()
    shutil.copy(folder / "000.mp4", folder / "999.mp4")
    printed, status = finished(extract(root, tmp_path / "out", "--retry", "failed"))
    assert status == 0, printed
    assert set(read_frames(tmp_path / "out")["status"]) == {"ok"}


def test_broken_files_are_recorded_as_unreadable_and_the_others_are_extracted(ffpp, tmp_path):
    root = tmp_path / "Gesichter äöü 顔" / "FF++ kopiert"
    folder = root / "original_sequences/youtube/c40/videos"
    folder.mkdir(parents=True)
    intact = find_clips(ffpp, ["Youtube"])[0].path.read_bytes()
    (folder / "000.mp4").write_bytes(intact)
    (folder / "001 ganz.mp4").write_bytes(intact)
    (folder / "002.mp4").write_bytes(intact[: len(intact) // 2])
    (folder / "003.mp4").write_bytes(os.urandom(50_000))
    (folder / "004.mp4").write_text("not a video")
    audio_only(folder / "005.mp4")
    (folder / "006.mp4").touch()
    (folder / "007.mp4").symlink_to("gone.mp4")
    os.mkfifo(folder / "008.mp4")
    (folder / "009.mp4").symlink_to("/dev/zero")
    out = tmp_path / "Ausgabe für alle"
    printed, status = finished(extract(root, out))
    assert status == 0, printed
    frames = read_frames(out)
    statuses = frames.groupby("clip")["status"].unique().map(list).to_dict()
    assert statuses.pop("000") == statuses.pop("001 ganz") == ["ok"]
    assert set(statuses) == {f"00{i}" for i in range(2, 10)}
    assert all(values == ["unreadable"] for values in statuses.values()), statuses
    errors = frames.loc[frames["status"] == "unreadable", ["clip", "error"]]
    assert all(f"{clip}.mp4: " in error for clip, error in errors.itertuples(index=False))
    assert "8 frames could not be read" in printed
    assert "008.mp4: not a readable video (a FIFO, not a file)" in printed


def test_missing_permissions_are_reported_with_the_file(ffpp, tmp_path):
    root = tmp_path / "ffpp"
    videos = root / "original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    for number in range(2):
        shutil.copy(find_clips(ffpp, ["Youtube"])[0].path, videos / f"00{number}.mp4")
    (videos / "000.mp4").chmod(0)
    out = tmp_path / "out"
    printed, status = finished(extract(root, out, preexec_fn=without_privileges))
    assert status == 0, printed
    assert "000.mp4: not a readable video (Permission denied)" in printed
    assert list(read_frames(out)["status"].unique()) == ["unreadable", "ok"]
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    printed, status = finished(extract(root, locked / "out", preexec_fn=without_privileges))
    assert status == 1
    assert "cannot be written (Permission denied)" in printed
    assert "Traceback" not in printed
