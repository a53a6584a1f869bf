from collections import Counter

import numpy as np
import pandas as pd
import pytest

from classify.data.augment import PRESETS, Augmentation, Warp
from classify.data.pack import Packed, Share
from classify.data.sampling import sampler
from classify.errors import ClassifyError
from tests.helpers.runs import make_batches
from tests.helpers.samples import METHODS, table


def drawn(samples, batch_size, epochs=1, **settings):
    """The rows of some epochs, with the number of the batch and the augmentation draw."""
    chosen = sampler("pairs", samples, batch_size, **settings)
    orders = [chosen.order(np.random.default_rng(epoch)) for epoch in range(epochs)]
    rows = np.concatenate([order.rows for order in orders])
    draws = np.concatenate([o.draws + 10**6 * i for i, o in enumerate(orders)])
    batch = np.arange(len(rows)) // chosen.batch_size
    return samples.iloc[rows].assign(draw=draws, batch=batch).reset_index(drop=True)


def test_a_unit_is_an_original_with_all_its_fakes_of_one_frame():
    samples = table({"000": 6, "001": 6})
    rows = drawn(samples, 12)
    assert list(rows.groupby("batch").size()) == [10] * 6  # two units of five; 60 crops
    for _, unit in rows.groupby(np.arange(len(rows)) // 5):
        assert sorted(unit["class"]) == sorted((*METHODS, "Youtube"))
        assert unit["pair"].nunique() == unit["draw"].nunique() == 1
    assert rows["draw"].nunique() == 12


def test_a_binary_unit_is_an_original_and_a_fake_with_the_methods_in_turn():
    rows = drawn(table({"000": 6, "001": 6}, "binary"), 8, epochs=4)
    for _, unit in rows.groupby(np.arange(len(rows)) // 2):
        assert list(unit["class"]) == ["fake", "real"]
        assert unit["pair"].nunique() == unit["draw"].nunique() == 1
    counts = rows["category"].value_counts()
    assert [counts[method] for method in METHODS] == [len(rows) / 8] * 4


def test_identities_take_turns_whatever_the_length_of_their_clips():
    rows = drawn(table({"000": 4, "001": 40, "002": 4}), 5, epochs=3)
    counts = rows["target_id"].value_counts()
    assert counts.max() - counts.min() <= 5 * 3
    for identity, of_identity in rows[rows["class"] == "Youtube"].groupby("target_id"):
        first = of_identity.iloc[: 4 if identity != "001" else 16]  # of the first epoch
        assert first["face_id"].is_unique


def test_a_missing_fake_is_replaced_by_one_without_a_partner():
    alone = [("Face2Face", "000", 0), ("Face2Face", "000", 1)]
    rows = drawn(table({"000": 4}, without_pair=alone), 20, epochs=5)
    face2face = rows[rows["class"] == "Face2Face"]
    assert len(face2face) == len(rows) / 5
    of_others = rows[rows["class"] == "Youtube"].reset_index(drop=True)
    for (_, fake), (_, original) in zip(face2face.iterrows(), of_others.iterrows(), strict=True):
        has_fake = original["face_id"][-1] not in "01"
        assert (fake["pair"] == original["pair"]) == has_fake
        assert (fake["draw"] == original["draw"]) == has_fake
        assert has_fake or fake["pair"] == ""


def test_stills_fill_the_classes_without_pairs():
    rows = drawn(table({"000": 6}, "multiclass", stills=5), 14, epochs=2)
    for _, unit in rows.groupby(np.arange(len(rows)) // 7):
        assert unit["class"].nunique() == 7
        assert unit["draw"].nunique() == 3  # the pair, and each still by itself
        assert unit["pair"].nunique() == 2


@pytest.mark.parametrize(("unpaired", "expected"), [(None, 20 / 40), (0.25, 0.25), (0, 0)])
def test_a_share_of_the_units_has_no_partners(unpaired, expected):
    samples = table({"000": 10, "001": 10}, "binary", stills=10)
    rows = drawn(samples, 20, epochs=2, unpaired=unpaired)
    reals = rows[rows["class"] == "real"]
    assert (reals["pair"] == "").mean() == pytest.approx(expected, abs=0.02)
    alone = Counter(reals["category"])
    if expected:
        assert abs(alone["CelebA"] - alone["CelebA-HQ"]) <= 2
    fakes = rows[rows["class"] == "fake"]["category"].value_counts()
    assert fakes.max() - fakes.min() <= 2  # one per epoch


def test_a_few_fakes_without_a_partner_do_not_stand_for_all_methods():
    alone = [("Face2Face", "000", 0)]
    samples = table({"000": 10, "001": 10}, "binary", without_pair=alone, stills=20)
    rows = drawn(samples, 20, epochs=4)
    fakes = rows[rows["class"] == "fake"]
    counts = fakes["category"].value_counts()
    assert counts.max() - counts.min() <= 4
    times = fakes["face_id"].value_counts()
    assert times["Face2Face/c40/000_999/000000"] <= 2 * times.median()


def test_one_of_several_fakes_of_a_method_is_drawn():
    samples = table({"000": 2})
    twice = samples[samples["class"] == "Deepfakes"].assign(clip="000_998")
    twice["face_id"] = twice["face_id"].str.replace("999", "998")
    rows = drawn(pd.concat([samples, twice]), 10, epochs=10)
    clips = rows["clip"][rows["class"] == "Deepfakes"].value_counts()
    assert set(clips.index) == {"000_998", "000_999"}
    assert rows.groupby(np.arange(len(rows)) // 5)["pair"].nunique().eq(1).all()


def test_an_unknown_sampling_is_refused():
    with pytest.raises(ClassifyError, match="unknown sampling 'pair'"):
        sampler("pair", table({"000": 2}), 10)


def test_more_frames_of_a_clip_do_not_give_it_more_weight():
    every_25th, every_5th = table({"000": 4, "001": 4}), table({"000": 4, "001": 20})
    for samples in (every_25th, every_5th):
        counts = drawn(samples, 10)["target_id"].value_counts()
        assert abs(counts["000"] - counts["001"]) <= 5


def test_a_batch_is_too_small_for_a_unit():
    with pytest.raises(ClassifyError, match=r"batch_size \(4\) must be at least 5 with sampling"):
        sampler("pairs", table({"000": 2}), 4)


def test_devices_share_batches_of_whole_units():
    assert sampler("pairs", table({"000": 40}), 64, devices=2).batch_size == 60
    with pytest.raises(ClassifyError, match="must be at least 10"):
        sampler("pairs", table({"000": 40}), 8, devices=2)


def test_a_split_without_pairs_is_refused_with_a_remedy():
    with pytest.raises(ClassifyError, match=r"the training split has none.*ffpp-split"):
        sampler("pairs", table({"000": 2}).assign(pair=""), 10)


@pytest.mark.parametrize("on_device", [False, True])
def test_the_crops_of_a_pair_are_augmented_alike(on_device):
    samples = table({"000": 3, "001": 3})
    rng = np.random.default_rng(0)
    original = rng.integers(0, 200, (len(samples), 24, 24, 3), np.uint8)
    first = {pair: rows[0] for pair, rows in samples.groupby("pair").indices.items()}
    images = original[[first[pair] for pair in samples["pair"]]]  # one image per pair
    brighter = 10 * samples["class_index"].to_numpy(np.uint8)  # a manipulation
    images = images + brighter[:, None, None, None]
    data = Packed(images, samples["class_index"].to_numpy(), samples)
    augment = Augmentation(Warp(rotation=10, shift=0.1, zoom=0.1, flip=True))
    batches = make_batches(data, 30, augment=augment, sampling="pairs", on_device=on_device)
    shown, wanted = batches[0]
    units = np.asarray(shown, float).reshape(6, 5, 24, 24, 3)
    np.testing.assert_array_equal(wanted.argmax(axis=1).reshape(6, 5), [[0, 1, 2, 3, 4]] * 6)
    manipulated = units - units[:, :1]
    np.testing.assert_allclose(
        manipulated, np.broadcast_to(manipulated[:1, :, :1, :1], units.shape), atol=1
    )
    np.testing.assert_allclose(manipulated[0, :, 0, 0, 0], [0, 10, 20, 30, 40], atol=1)
    assert np.abs(units[0, 0] - units[1, 0]).max() > 20


def test_the_crops_of_a_pair_are_degraded_alike():
    one = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    images = np.repeat(one, 6, axis=0)
    draws = np.array([7, 7, 7, 9, 9, 3])
    changed = PRESETS["robust"](images, np.random.default_rng(2), draws=draws)
    same = [[np.array_equal(a, b) for b in changed] for a in changed]
    np.testing.assert_array_equal(same, draws[:, None] == draws)


def test_a_fraction_keeps_pairs_whole():
    samples = table({"000": 20, "001": 20})
    rows = samples.iloc[Share(0.25, seed=1).of(samples)]
    assert set(rows["class"].value_counts()) == {10}
    assert rows["pair"].nunique() == 10
