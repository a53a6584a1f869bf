"""Commands that are killed at any rename can be run again, to the bytes of an undisturbed run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tried(case, data, place, most):
    """How many renames a command has, by `tests.system.killed`: in its own process, as it forks."""
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.killed", case, str(data), str(place), str(most)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *differences, last = done.stdout.splitlines()
    assert not differences, "\n".join(differences)
    return int(last.split()[-1])


ALL = 10**6


@pytest.mark.parametrize(
    ("case", "renamings", "most"),
    [
        ("split", 6, 3),
        ("folds", 26, 1),
        pytest.param("split", 6, ALL, marks=pytest.mark.slow),
        pytest.param("split again", 6, ALL, marks=pytest.mark.slow),
        pytest.param("folds", 26, ALL, marks=pytest.mark.slow),
    ],
)
def test_a_split_that_was_killed_is_made_again(case, renamings, most, dataset, tmp_path):
    """At its lock, its mark, three CSV files and manifest.json."""
    assert tried(case, dataset, tmp_path / "place", most) == renamings


@pytest.mark.parametrize("most", [1, pytest.param(ALL, marks=pytest.mark.slow)])
def test_clips_that_are_tried_again_are_replaced_one_by_one(most, ffpp, tmp_path):
    assert tried("retry", ffpp, tmp_path / "place", most) > 10


@pytest.mark.slow
def test_a_report_on_predictions_that_was_killed_is_made_again(videos_manifest, tmp_path):
    assert tried("predictions", videos_manifest.folder, tmp_path / "place", ALL) > 20
