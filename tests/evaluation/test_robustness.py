import numpy as np
import pandas as pd
import pytest

from classify.evaluation import robustness as module
from classify.evaluation.robustness import (
    DAMAGES,
    UNTOUCHED,
    blurred,
    downscaled,
    h264_compressed,
    noisy,
)
from classify.reporting.report import make_report
from ffpp_tools.video.image import through_jpeg
from tests.helpers.runs import train_tiny


def textured(height=61, width=70):
    """Return an image with fine detail and an odd height."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, width)[None, :, None] + np.zeros((height, 1, 3))
    return np.clip(ramp + rng.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def away(image, damage):
    found = damage(image)
    assert found.shape == image.shape
    assert found.dtype == np.uint8
    return np.abs(found.astype(float) - image).mean()


@pytest.mark.parametrize(
    "damages",
    [
        [lambda i, q=q: through_jpeg(i, q) for q in (90, 70, 50, 30)],
        [lambda i, c=c: h264_compressed(i, c) for c in (23, 32, 40)],
        [lambda i, f=f: downscaled(i, f) for f in (2, 4)],
        [lambda i, s=s: blurred(i, s) for s in (1, 2)],
        [lambda i, s=s: noisy(i, s) for s in (5, 10)],
    ],
    ids=["jpeg", "h264", "downscaled", "blur", "noise"],
)
def test_every_step_corrupts_more_than_the_previous(damages):
    distances = [away(textured(), damage) for damage in damages]
    assert distances[0] > 0.5
    assert distances == sorted(distances)


def test_noise_has_the_given_strength():
    grey = np.full((200, 200, 3), 128, np.uint8)
    assert noisy(grey, 10).astype(float).std() == pytest.approx(10, rel=0.03)


def test_corruptions_keep_the_colour_channels():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    for damage in DAMAGES.values():
        red_after, green_after, blue_after = damage(red).reshape(-1, 3).mean(axis=0)
        assert red_after > 150 > 60 > max(green_after, blue_after)


@pytest.fixture(scope="module")
def run(videos_manifest, tmp_path_factory):
    return train_tiny(videos_manifest.folder, tmp_path_factory.mktemp("runs") / "r", epochs=4)


def test_the_same_crops_are_evaluated_after_every_corruption(run, monkeypatch):
    kept = {"JPEG 30": DAMAGES["JPEG 30"], "black": lambda image: image * 0, "none": np.copy}
    monkeypatch.setattr(module, "DAMAGES", kept)
    monkeypatch.setattr(module, "BATCH", 7)  # so that there are several
    report = make_report(run, robust=True)
    table = report.robustness.table
    frame = report.evaluations[0]
    manipulations = [m.category for m in frame.manipulations]
    assert table["damage"].unique().tolist() == [UNTOUCHED, *kept]
    untouched = table[table["damage"] == UNTOUCHED].set_index("category")
    for m in frame.manipulations:
        assert untouched.loc[m.category, "auc"] == pytest.approx(m.auc.value)
        assert untouched.loc[m.category, "detected"] == pytest.approx(m.detected.value)
    assert (untouched.loc[manipulations, "auc_loss"] == 0).all()
    real = frame.binary_confusion.loc["real"]
    assert untouched.loc["reals", "detected"] == pytest.approx(real["real"] / real.sum())
    # All crops are black: no class can be distinguished.
    black = table[table["damage"] == "black"].set_index("category")
    assert black.loc[[*manipulations, "all"], "auc"].tolist() == [0.5] * 5
    expected = untouched.loc["all", "auc"] - 0.5
    assert black.loc["all", "auc_loss"] == pytest.approx(expected)
    none = table[table["damage"] == "none"].set_index("category")
    for name in ("auc", "detected"):
        np.testing.assert_allclose(none[name], untouched[name])
    losses = report.robustness.losses
    assert losses.index.tolist() == list(kept)
    assert losses.shape[1] == len(manipulations) + 1
    written = pd.read_csv(report.folder / "robustness.csv")
    assert len(written) == 4 * (len(manipulations) + 2)
    assert (report.folder / "robustness.png").is_file()
    assert "<h2>Robustness</h2>" in (report.folder / "report.html").read_text()
