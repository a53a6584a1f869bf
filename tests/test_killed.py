"""Commands that are killed at any rename can be run again, to the bytes of an undisturbed run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tried(case, data, place):
    """What `tests.killed` prints: in a process of its own, since it forks."""
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed", case, str(data), str(place)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *differences, last = done.stdout.splitlines()
    assert not differences, "\n".join(differences)
    return int(last.removesuffix(" kills"))


@pytest.mark.parametrize(("case", "kills"), [("split", 12), ("split again", 12), ("folds", 44)])
def test_a_split_that_was_killed_is_made_again(case, kills, dataset, tmp_path):
    assert tried(case, dataset, tmp_path / "place") == kills


def test_clips_that_are_tried_again_are_replaced_one_by_one(ffpp, tmp_path):
    assert tried("retry", ffpp, tmp_path / "place") >= 20


def test_photographs(world, tmp_path):
    assert tried("stills", world, tmp_path / "place") >= 10


def test_a_report_on_predictions_that_was_killed_is_made_again(videos_manifest, tmp_path):
    assert tried("predictions", videos_manifest.folder, tmp_path / "place") > 40
