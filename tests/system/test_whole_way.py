"""The complete workflow of `make demo`, and reproducible demo data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.files import hashes

ROOT = Path(__file__).parents[2]
VIDEOS = {"Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "Youtube"}


@pytest.mark.slow
def test_the_demo_ends_with_a_report_that_distinguishes_the_manipulations(tmp_path):
    demo = tmp_path / "demo"
    done = subprocess.run(
        ["make", "--no-print-directory", "demo", f"DEMO={demo}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"report: {demo}/runs/sepconv/report/report.html")
    report = json.loads((demo / "runs/sepconv/report/report.json").read_text())
    clips = report["units"]["clip"]
    assert set(clips["confusion"]) == VIDEOS
    assert clips["samples"] == 20  # two pairs of people in the test split
    assert clips["accuracy"]["value"] >= 0.6  # chance is 0.2


@pytest.mark.slow
def test_demo_videos_do_not_depend_on_uninitialised_memory(tmp_path):
    # glibc fills new memory with the byte MALLOC_PERTURB_; x264's macroblock tree reads it.
    for perturb in ("0", "1"):
        code = (
            "from pathlib import Path; from ffpp_tools.demo import draw_world;"
            f"draw_world(Path({str(tmp_path / perturb)!r}), people=6, seconds=1.5)"
        )
        environment = {**os.environ, "MALLOC_PERTURB_": perturb}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert hashes(tmp_path / "0") == hashes(tmp_path / "1")
