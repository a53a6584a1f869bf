"""ffpp-extract and ffpp-stills on the command line."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from ffpp_tools.exchange.boxes import export_boxes
from ffpp_tools.store.boxes import BoxTable
from tests.helpers.boxes import with_rows
from tests.helpers.crop_sets import ffpp_crops, write_json


def test_an_extraction_without_a_single_crop_fails(command, tmp_path):
    videos = tmp_path / "ffpp/original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    for number in range(12):
        (videos / f"{number:03d}.mp4").write_text("no video")
    done = command("ffpp-extract", "ffpp")
    assert done.returncode == 1
    assert "not a single crop" in done.stderr
    assert "12 frames could not be read" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "dask"], "--scheduler"),
        (["--scheduler", "tcp://127.0.0.1:8786"], "--backend dask"),
        (["--backend", "spark"], "local, dask"),
        (["--retry", "everything"], "failed"),
        (["--detector", "mtcnn"], "hog, cnn, yunet"),
        (["--search", "slow"], "fast, full"),
        (["--faces", "smallest"], "largest, tracked, all"),
        (["--smooth", "2"], "odd"),
        (["--align", "--shape", "box"], "square"),
        (["--timeout", "0"], "more than 0"),
    ],
    ids=str,
)
def test_invalid_options_are_refused_before_anything_is_written(
    typed, world, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    status, _, err = typed("ffpp-extract", world / "FaceForensics++", *options)
    assert status == 1
    assert message in err
    assert not (tmp_path / "dataset").exists()


def test_a_changed_crop_fails_verification_and_overwrite_extracts_again(command, world, tmp_path):
    words = ["ffpp-extract", world / "FaceForensics++", "--category", "Youtube", "--limit", 2]
    done = command(*words, "--quiet")
    assert (done.returncode, done.stdout) == (0, "")
    assert command("ffpp-extract", "--verify").returncode == 0
    crop = next((tmp_path / "dataset/faces").rglob("*.png"))
    crop.write_bytes(b"")
    done = command("ffpp-extract", "--verify")
    assert done.returncode == 1
    assert f"{crop.name} was changed" in done.stdout
    assert command(*words, "--margin", 1.5).returncode == 1
    done = command(*words, "--margin", 1.5, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert command("ffpp-extract", "--verify").returncode == 0


def test_progress_without_a_terminal_is_plain_lines(command, world):
    done = command("ffpp-extract", world / "FaceForensics++", "--limit", 1)
    first, *lines = done.stdout.splitlines()
    assert first == "clips: 0/5"
    assert re.fullmatch(r"clips: 5/5, \d+ crops, 0 misses, \d+\.\d crops/s", lines[0])
    assert "\x1b" not in done.stdout
    done = command("ffpp-extract", world / "FaceForensics++", "--limit", 2)
    assert done.stdout.startswith("clips: 5 of 10 were extracted before\nclips: 0/5\n")


@pytest.fixture
def boxes(dataset, tmp_path):
    """The boxes of a few fakes that are cropped at a margin of 1.3 in every 10th frame."""
    whole = export_boxes(dataset, tmp_path / "whole.parquet")
    table = BoxTable.read(whole.path)
    rows = table.rows[table.rows["category"] == "FaceSwap"]
    return with_rows(table, tmp_path / "boxes.parquet", rows[rows["clip"].isin(rows["clip"][:20])])


def test_crops_are_made_from_a_table_of_boxes(typed, world, boxes, tmp_path):
    words = (world / "FaceForensics++", "--boxes", boxes, "--out", tmp_path / "d", "--workers", 1)
    status, printed, _ = typed("ffpp-extract", *words, "--margin", 1.3, "--every", 10)
    crops = (BoxTable.read(boxes).rows["face_id"] != "").sum()
    assert status == 0
    assert f"{crops} of {crops} crops in the table of boxes were made again" in printed
    _, printed, _ = typed("ffpp-extract", *words, "--json")
    assert json.loads(printed)["boxes"] == {
        "equal": crops, "differing": 0, "missing": 0, "failed": {}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--margin", 2), "margin 2.0 contradicts {boxes}, which was made with margin 1.3: omit"),
        (("--every", 25), "every 25 contradicts {boxes}, which was made with every 10"),
        (("--frames-per-clip", 4), "frames-per-clip 4 contradicts"),
        (("--format", "jpg"), "format jpg contradicts {boxes}, which was made with format png"),
        (("--no-twins",), "twins False contradicts"),
        (("--config", "mine.toml"), "detector cnn contradicts"),
        (("--category", "Youtube"), "no clips of category Youtube; it has FaceSwap"),
    ],
)
def test_contradictions_to_a_table_of_boxes_are_refused(
    typed, world, boxes, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('detector = "cnn"\n')
    status, _, err = typed("ffpp-extract", world / "FaceForensics++", "--boxes", boxes, *words)
    assert status == 1
    assert message.format(boxes=boxes) in err
    assert not (tmp_path / "dataset").exists()


def test_videos_that_a_table_of_boxes_lacks_are_listed_with_status_1(typed, world, boxes, tmp_path):
    source = world / "FaceForensics++/manipulated_sequences/FaceSwap"
    copy = tmp_path / "FaceForensics++/manipulated_sequences/FaceSwap"
    shutil.copytree(source, copy)
    first, *_ = sorted(BoxTable.read(boxes).rows["clip"].unique())
    path = copy / f"c23/videos/{first}.mp4"
    path.unlink()
    words = ("--boxes", boxes, "--out", tmp_path / "d", "--workers", 1)
    status, printed, err = typed("ffpp-extract", tmp_path / "FaceForensics++", *words)
    assert status == 1
    assert f"FaceSwap/c23/{first}: {path}: the video is missing" in printed
    assert re.search(r"error: .* crops of 1 clip in the table of boxes could not be made", err)
    assert list((tmp_path / "d/faces").rglob("*.png"))


def test_after_ctrl_c_the_same_command_resumes_and_keeps_finished_clips(world, tmp_path):
    script = Path(sys.executable).parent / "ffpp-extract"
    words = [str(script), str(world / "FaceForensics++"), "--every", "1", "--workers", "2"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    parts = tmp_path / "dataset/parts"
    deadline = time.monotonic() + 120
    while len(list(parts.rglob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert "run the same command again to resume" in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    done = {p: p.stat().st_mtime_ns for p in parts.rglob("*.json")}
    assert 3 <= len(done) < 40
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    assert len(list(parts.rglob("*.json"))) == 40
    assert all(p.stat().st_mtime_ns == mtime for p, mtime in done.items())


def test_stills_can_be_saved_uncropped_resized_and_as_jpeg(command, world, tmp_path):
    done = command(
        "ffpp-stills",
        world / "CelebA-HQ",
        *("--category", "CelebA-HQ", "--crop", "none", "--size", "480x320", "--format", "jpg"),
    )
    assert done.returncode == 0, done.stderr
    crops = list((tmp_path / "dataset/faces").rglob("*.jpg"))
    assert len(crops) == len(list((world / "CelebA-HQ").glob("*.jpg")))
    assert cv2.imread(str(crops[0])).shape == (320, 480, 3)
    for option, value in (("--crop", "ear"), ("--size", "480"), ("--format", "gif")):
        refused = command(
            "ffpp-stills", world / "CelebA-HQ", "--category", "CelebA-HQ", option, value
        )
        assert refused.returncode == 1
        assert value in refused.stderr


def test_a_json_file_gives_clips_and_refuses_options_for_faces(command, tmp_path):
    path = write_json(tmp_path / "mine.json", ffpp_crops(tmp_path, [7]))
    for option, value in (("--category", "A"), ("--margin", 1.5), ("--detector", "cnn")):
        refused = command("ffpp-stills", path, option, value)
        assert refused.returncode == 1
        assert f"omit {'the options' if value != 'A' else '--category'}" in refused.stderr
    assert not (tmp_path / "dataset").exists()
    done = command("ffpp-stills", path, "--root", tmp_path, "--map", "X=Y:fake", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["crops"] == 40
    assert command("ffpp-extract", "--verify").returncode == 0
    refused = command("ffpp-stills", tmp_path, "--map", "X=Y:fake")
    assert "--root and --map are for a JSON file" in refused.stderr
