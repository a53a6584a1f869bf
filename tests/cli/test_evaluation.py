"""classify report, predict, compare, explain and export on the command line."""

import cv2
import numpy as np
import pytest


@pytest.mark.slow
def test_runs_are_evaluated_explained_compared_and_exported_with_default_options(
    command, videos_manifest, world, tmp_path
):
    manifest = videos_manifest.folder
    tiny = ("--arch", "sepconv", "--size", 32, "--epochs", 1, "--batch-size", 16)
    for run in ("a", "b"):
        done = command("classify", "train", "--manifest", manifest, *tiny, "--out", run)
        assert done.returncode == 0, done.stderr
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.zeros((99, 99, 3), np.uint8))
    external = ("--predictions", "a/report/predictions.csv", "--manifest", manifest)
    for words, message, output in (
        (["report", "a"], "per clip", "a/report/report.html"),
        (["report", *external], "Predictions of", "a/report/predictions-report/report.html"),
        (["report", "a", "--manifest", manifest], "per clip", "a/report/report.html"),
        (["predict", "a", world / "CelebA", wall], "no face found", "a/predicted/verdicts.csv"),
        (["predict", "a", wall], "no face found", "a/predicted-2/verdicts.jsonl"),
        (["explain", "a"], "explained", "a/explain/explain.html"),
        (["compare", "a", "b"], "ordered by AUC on validation", "comparison/comparison.html"),
        (["compare", "a", "--matrix", manifest], "AUC", "comparison-2/matrix.csv"),
        (["export", "a"], "largest difference", "a/saved-model/about.json"),
    ):
        done = command("classify", *words)
        assert done.returncode == 0, done.stderr
        assert message in done.stdout
        assert (tmp_path / output).is_file(), words
    (tmp_path / "x.mp4").write_bytes(b"")
    done = command("classify", "predict", "a", "x.mp4", wall, "--out", "p")
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1].startswith("error: 1 of 2 files could not be read")
    assert (tmp_path / "p/verdicts.csv").is_file()  # verdicts of the readable files are kept
