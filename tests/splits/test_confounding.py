"""Properties other than faces that predict the class."""

import numpy as np
import pytest

from ffpp_tools.splits.confounding import compression_confounding, still_accuracy
from tests.helpers.tables import samples_with


def test_what_was_seen_is_named():
    """Youtube has 41 of 127 samples at c23, the fakes 13 to 19."""
    c23 = {"Deepfakes": 13, "Face2Face": 15, "FaceSwap": 19, "NeuralTextures": 16, "Youtube": 41}
    samples = samples_with(
        of={
            (name, "real" if name == "Youtube" else "fake", c): n if c == "c23" else 127 - n
            for name, n in c23.items()
            for c in ("c23", "c40")
        }
    )
    found = compression_confounding(samples)
    assert found.matters
    assert (found.classes, found.compression) == (("Deepfakes", "Youtube"), "c23")
    assert found.shares == (round(13 / 127, 4), round(41 / 127, 4))
    assert found.accuracy == pytest.approx((1 + 28 / 127) / 2, abs=1e-4)
    assert found.label_accuracy == pytest.approx((1 + 41 / 127 - 63 / 508) / 2, abs=1e-4)
    assert found.counts["train"]["Youtube"] == {"c23": 41, "c40": 86}
    pooled = np.array([[n, 127 - n] for n in c23.values()]) * 3
    expected = pooled.sum(1, keepdims=True) * pooled.sum(0) / pooled.sum()
    chi2 = ((pooled - expected) ** 2 / expected).sum()
    assert found.cramers_v == pytest.approx(np.sqrt(chi2 / pooled.sum()), abs=1e-4)


def test_the_worst_split_is_named():
    samples = samples_with(
        of={("fake", "fake", c): 50 for c in ("c23", "c40")}
        | {("real", "real", c): 50 for c in ("c23", "c40")}
    )
    moved = (samples["split"] == "val") & (samples["label"] == "real")
    samples.loc[samples[moved].index[:30], "compression"] = "c40"
    found = compression_confounding(samples)
    assert (found.split, found.compression) == ("val", "c23")
    assert found.accuracy == 0.65


def test_a_sample_more_or_less_is_no_confounding():
    few = {("fake", "fake", "c23"): 5, ("fake", "fake", "c40"): 5, ("real", "real", "c23"): 4}
    assert not compression_confounding(samples_with(of={**few, ("real", "real", "c40"): 3})).matters
    assert compression_confounding(samples_with(of={**few, ("real", "real", "c40"): 0})).matters


def test_one_compression_or_one_class_of_clips_confounds_nothing():
    one = {("fake", "fake", "c23"): 5, ("real", "real", "c23"): 5, ("real", "real", "still"): 9}
    assert compression_confounding(samples_with(of=one)) is None
    stills = {("a", "real", "still"): 5, ("b", "fake", "c23"): 5, ("b", "fake", "c40"): 5}
    assert compression_confounding(samples_with(of=stills)) is None


def test_photographs_are_reals_is_measured():
    """Two thirds of the reals are photographs, which classifies five of six samples."""
    kinds = {
        ("fake", "fake", "c23"): 30,
        ("real", "real", "c23"): 10,
        ("real", "real", "still"): 20,
    }
    assert still_accuracy(samples_with(of=kinds)) == pytest.approx(5 / 6, abs=1e-4)
    clips = {("fake", "fake", "c23"): 30, ("real", "real", "c40"): 10}
    assert still_accuracy(samples_with(of=clips)) == 0.5
