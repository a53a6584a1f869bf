"""A command killed at any rename can be repeated, with the files of an undisturbed run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def renames_after_kills(case, data, place, max_kills):
    """Run `tests.system.killed`, in its own process as it forks; return the number of renames."""
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.killed", case, str(data), str(place), str(max_kills)],
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
    ("case", "renames", "max_kills"),
    [
        ("split", 6, 3),
        ("folds", 26, 1),
        pytest.param("split", 6, ALL, marks=pytest.mark.slow),
        pytest.param("split again", 6, ALL, marks=pytest.mark.slow),
        pytest.param("folds", 26, ALL, marks=pytest.mark.slow),
    ],
)
def test_a_killed_split_can_be_repeated(case, renames, max_kills, dataset, tmp_path):
    """Its renames: the lock, the mark, three CSV files and manifest.json."""
    assert renames_after_kills(case, dataset, tmp_path / "place", max_kills) == renames


@pytest.mark.parametrize("max_kills", [1, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_killed_retry_keeps_all_clips_and_can_be_repeated(max_kills, ffpp, tmp_path):
    assert renames_after_kills("retry", ffpp, tmp_path / "place", max_kills) > 10


@pytest.mark.parametrize("max_kills", [1, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_killed_extraction_from_boxes_can_be_repeated(max_kills, ffpp, tmp_path):
    assert renames_after_kills("boxes", ffpp, tmp_path / "place", max_kills) > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["imagefolder", "webdataset"])
def test_a_killed_export_can_be_repeated(kind, videos_manifest, tmp_path):
    """Its renames: the lock, the mark, a file per split, the notice and about.json."""
    place = tmp_path / "place"
    assert renames_after_kills(f"export {kind}", videos_manifest.folder, place, ALL) == 7


@pytest.mark.slow
def test_a_killed_report_on_predictions_can_be_repeated(videos_manifest, tmp_path):
    assert renames_after_kills("predictions", videos_manifest.folder, tmp_path / "place", ALL) > 20
