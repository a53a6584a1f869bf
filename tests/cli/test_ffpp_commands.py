"""The commands as a person types them."""

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

from data_manifests import modes
from tests.helpers.project import COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_is_help(command, words):
    done = command(words[0], *words[1:], "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout
    if words != ("classify",):
        assert f"Example: {' '.join(words)}" in " ".join(done.stdout.split())


def test_the_bare_commands_work_from_data_to_report(command, world, tmp_path):
    """The three commands as every newcomer types them, without a path."""
    run = command(
        "ffpp-extract", "--every", 10, "--workers", 2, FFPP_DATA=str(world / "FaceForensics++")
    )
    assert run.returncode == 0, run.stderr
    assert "Deepfakes" in run.stdout
    for category in ("CelebA", "CelebA-HQ"):
        assert command("ffpp-stills", world / category, "--category", category).returncode == 0
    run = command("ffpp-split", "--mode", "multiclass", "--ratios", "50/25/25")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "dataset/frames.parquet").is_file()
    assert (tmp_path / "data_manifests/multiclass/manifest.json").is_file()
    for folder in ("sepconv-multiclass", "sepconv-multiclass-2"):
        run = command(
            "classify",
            "train",
            "--arch",
            "sepconv",
            "--size",
            32,
            "--epochs",
            1,
            "--batch-size",
            16,
        )
        assert run.returncode == 0, run.stderr
        assert f"run: runs/{folder}" in run.stdout
        assert "cuda" not in run.stderr.lower()  # TensorFlow's greeting is not an error of ours
    run = command("classify", "report", "runs/sepconv-multiclass")
    assert run.returncode == 0, run.stderr
    assert "Split: grouped. No identity group is known to be in two splits" in run.stdout
    assert "per clip" in run.stdout
    assert "report: runs/sepconv-multiclass/report/report.html" in run.stdout
    report = json.loads((tmp_path / "runs/sepconv-multiclass/report/report.json").read_text())
    assert list(report["units"]["frame"]["confusion"]) == list(modes()["multiclass"].classes)
    assert {r["category"] for r in report["units"]["clip"]["reals"]} == {"Youtube"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ffpp-extract"], "data/FaceForensics++"),
        (["ffpp-extract", "nowhere"], "ffpp-demo"),
        (["ffpp-extract", "--category", "Deepfake"], "Deepfakes"),
        (["ffpp-extract", "--every", 25, "--frames-per-clip", 10], "not both"),
        (["ffpp-stills", "nowhere", "--category", "CelebA"], "there is no such folder"),
        (["ffpp-split"], "ffpp-extract"),
        (["ffpp-split", "--mode", "seven"], "multiclass"),
        (["classify", "train"], "ffpp-split"),
        (["classify", "report", "runs/none"], "classify train"),
        (["classify", "report"], "name a run folder"),
        (["classify", "report", "--predictions", "x.csv"], "needs --manifest"),
        (["classify", "predict", "runs/none", "x.mp4"], "classify train"),
        (["classify", "explain", "runs/none"], "classify train"),
        (["classify", "compare", "runs/none", "runs/one"], "classify train"),
        (["classify", "export", "runs/none"], "classify train"),
        (["classify", "tune"], "ffpp-split"),
        (["classify", "tune", "--resume", "nowhere"], "no search"),
        (["classify", "tune", "--resume", "t", "--arch", "vgg16"], "takes no other options"),
        (["classify", "tune", "--vary", "epochs"], "learning_rate"),
        (["classify", "gan", "train"], "--images"),
        (["classify", "gan", "train", "--images", "nowhere"], "ffpp-stills"),
        (["classify", "gan", "train", "--resume", "nowhere"], "classify gan train"),
        (["classify", "gan", "train", "--resume", "r", "--size", 32], "--epochs only"),
        (["classify", "gan", "generate", "nowhere"], "classify gan train"),
        (["classify", "gan", "report", "nowhere"], "classify gan train"),
        (["classify", "study", "backbones", "--manifest", "nowhere"], "ffpp-split"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_errors_are_one_line_with_a_remedy_and_status_1(
    typed, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FFPP_DATA", "")
    status, _, err = typed(*words)
    assert status == 1
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_single_crop_fails(command, tmp_path):
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
        (["--detector", "mtcnn"], "hog, cnn"),
        (["--search", "slow"], "fast, full"),
        (["--faces", "smallest"], "largest, tracked, all"),
        (["--smooth", "2"], "odd"),
        (["--align", "--shape", "box"], "square"),
        (["--timeout", "0"], "more than 0"),
    ],
    ids=str,
)
def test_impossible_options_are_refused_before_anything_is_written(
    typed, world, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    status, _, err = typed("ffpp-extract", world / "FaceForensics++", *options)
    assert status == 1
    assert message in err
    assert not (tmp_path / "dataset").exists()


def test_a_dataset_is_verified_and_made_anew(command, world, tmp_path):
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


def test_in_a_log_file_progress_is_plain_lines(command, world):
    done = command("ffpp-extract", world / "FaceForensics++", "--limit", 1)
    first, *lines = done.stdout.splitlines()
    assert first == "clips: 0/5"
    assert re.fullmatch(r"clips: 5/5, \d+ crops, 0 misses, \d+\.\d crops/s", lines[0])
    assert "\x1b" not in done.stdout
    done = command("ffpp-extract", world / "FaceForensics++", "--limit", 2)
    assert done.stdout.startswith("clips: 5 of 10 were done before\nclips: 0/5\n")


@pytest.mark.parametrize(
    "words",
    [
        ["ffpp-demo", "--out", "file"],
        ["ffpp-split", "--out", "file"],
        ["classify", "train", "--out", "file"],
    ],
    ids=" ".join,
)
def test_a_file_in_the_way_is_an_error_and_stays(command, tmp_path, words):
    (tmp_path / "file").write_text("mine")
    done = command(*words)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert (tmp_path / "file").read_text() == "mine"


def test_ratios_that_are_no_ratios_are_a_usage_error(command):
    done = command("ffpp-split", "--ratios", "80-20")
    assert done.returncode == 2
    assert "80/5/15" in done.stderr


def test_the_demo_draws_a_world_that_the_other_commands_take(command, tmp_path):
    done = command("ffpp-demo", "--people", 6, "--seconds", 1, "--compression", "c40")
    assert done.returncode == 0, done.stderr
    assert "demo/FaceForensics++" in done.stdout
    done = command("ffpp-extract", "demo/FaceForensics++", "--compression", "c40", "--limit", 1)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "dataset/faces").rglob("*.png"))) >= 5
    again = command("ffpp-demo", "--people", 6)
    assert again.returncode == 1
    assert "not empty" in again.stderr


def test_ctrl_c_keeps_what_is_done_and_the_same_command_finishes(world, tmp_path):
    script = Path(sys.executable).parent / "ffpp-extract"
    words = [str(script), str(world / "FaceForensics++"), "--every", "1", "--workers", "2"]
    running = subprocess.Popen(
        words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    parts = tmp_path / "dataset/parts"
    deadline = time.monotonic() + 120
    while len(list(parts.rglob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    assert "run the same command again to resume" in running.communicate(timeout=60)[1]
    assert running.returncode == 130
    done = {p: p.stat().st_mtime_ns for p in parts.rglob("*.json")}
    assert 3 <= len(done) < 40
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    assert len(list(parts.rglob("*.json"))) == 40
    assert all(p.stat().st_mtime_ns == written for p, written in done.items())


def test_a_dataset_is_cleaned_identified_split_and_audited(command, dataset, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(dataset, folder)
    cleaned = command("ffpp-clean", folder)
    assert cleaned.returncode == 0, cleaned.stderr
    assert "near" in cleaned.stdout
    identified = command("ffpp-identify", folder, "--distance", 0.1)
    assert identified.returncode == 0, identified.stderr
    said = " ".join(identified.stdout.split())
    assert "at distance 0.1 cannot be measured here, where 20 people are known" in said
    assert "false matches cannot be measured here, where 20 people are known (190 pairs" in said
    split = command("ffpp-split", folder, "--mode", "binary", "--ratios", "50/25/25")
    assert split.returncode == 0, split.stderr
    manifest = tmp_path / "data_manifests/binary"
    assert (manifest / "overview.html").is_file()
    assert list((manifest / "overview").glob("faces-*.jpg"))
    audited = command("ffpp-audit", manifest)
    assert audited.returncode == 0, audited.stderr
    assert "No identity group is known to be in two splits" in audited.stdout
    assert "CelebA-HQ against Youtube" in audited.stdout
    why = command("ffpp-audit", manifest, "--why", "Youtube/000", "CelebA/000001")
    assert "no known link between" in why.stdout
    fake = next((folder / "faces/FaceSwap/c23").iterdir()).name
    why = command("ffpp-audit", manifest, "--why", f"FaceSwap/{fake}", f"Youtube/{fake[:3]}")
    assert "a fake shows both its target and its source" in why.stdout


def test_a_leak_is_status_1_and_said_aloud(command, dataset, tmp_path):
    asked = ("--recipe", "paper", "--mode", "videos", "--shrink", "--no-faces")
    split = command("ffpp-split", dataset, *asked)
    assert split.returncode == 0, split.stderr  # as asked for, by name
    assert "PEOPLE APPEAR IN SEVERAL SPLITS" in split.stdout
    assert not list((tmp_path / "data_manifests/videos-paper").rglob("faces-*.jpg"))
    audited = command("ffpp-audit", "data_manifests/videos-paper", "--no-probe")
    assert audited.returncode == 1
    assert "frames of the same clip" in audited.stdout
    assert "identity groups in several splits" in audited.stderr


def test_deleted_crops_are_status_1_of_the_audit(typed, dataset, tmp_path):
    folder, manifest = tmp_path / "dataset", tmp_path / "m"
    shutil.copytree(dataset, folder)
    status, *_ = typed("ffpp-split", folder, "--mode", "videos", "--ratios", "50/25/25",
                       "--out", manifest, "--no-faces")  # fmt: skip
    assert status == 0
    assert typed("ffpp-audit", manifest, "--no-probe")[0] == 0
    for clip in sorted((folder / "faces/FaceSwap/c23").iterdir()):
        shutil.rmtree(clip)
    status, printed, errors = typed("ffpp-audit", manifest, "--no-probe", "--json")
    gone = json.loads(printed)["lost_crops"]
    assert status == 1
    assert gone["missing"] > 0
    assert gone["empty"] == 0
    assert f"{gone['missing']} crops named by faces.parquet but missing" in errors
    status, printed, _ = typed("ffpp-clean", folder, "--json")
    assert status == 0  # manifests made now leave them out
    assert json.loads(printed)["found"]["unreadable"] >= gone["missing"]


def test_folds_and_recipes_of_ones_own_go_to_folders_of_their_own(command, dataset, tmp_path):
    folds = command("ffpp-split", dataset, "--mode", "videos", "--folds", 4, "--no-faces")
    assert folds.returncode == 0, folds.stderr
    assert len(list((tmp_path / "data_manifests/videos-folds").glob("fold-*"))) == 4
    (tmp_path / "mine.toml").write_text('rule = "grouped"\nratio = [1, 1, 1]\n')
    wrong = command("ffpp-split", dataset, "--recipe", "mine.toml")
    assert wrong.returncode == 1
    assert "mine.toml: unknown key 'ratio'" in wrong.stderr


def test_stills_may_be_taken_whole_scaled_and_as_jpeg(command, world, tmp_path):
    done = command(
        "ffpp-stills",
        world / "CelebA-HQ",
        *("--category", "CelebA-HQ", "--crop", "none", "--size", "480x320", "--format", "jpg"),
    )
    assert done.returncode == 0, done.stderr
    pictures = list((tmp_path / "dataset/faces").rglob("*.jpg"))
    assert len(pictures) == len(list((world / "CelebA-HQ").glob("*.jpg")))
    assert cv2.imread(str(pictures[0])).shape == (320, 480, 3)
    for option, value in (("--crop", "ear"), ("--size", "480"), ("--format", "gif")):
        wrong = command(
            "ffpp-stills", world / "CelebA-HQ", "--category", "CelebA-HQ", option, value
        )
        assert wrong.returncode == 1
        assert value in wrong.stderr
