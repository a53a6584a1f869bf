"""The content of an epoch, by way of sampling."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from classify.data.augment import PRESETS
from classify.data.batches import Batches
from classify.data.sampling import IN_ORDER, sampler
from classify.errors import ClassifyError
from tests.helpers.runs import DATA, drawn_pairs, targets

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
VIDEOS = {name: name for name in (*METHODS, "Youtube")}
SEVEN = {**VIDEOS, "CelebA": "CelebA"}
BINARY = {**dict.fromkeys(METHODS, "fake"), "Youtube": "real", "CelebA": "real"}


def epoch(data, batch_size, seed=0, epochs=1, **options):
    """The rows of some epochs, with columns `draw`, `unit` and `epoch`."""
    made = sampler("pairs", data.samples, batch_size, **options)
    unit = 2 if set(data.samples["class"]) == {"real", "fake"} else data.samples["class"].nunique()
    parts = []
    for number in range(epochs):
        order = made.order(np.random.default_rng((seed, number, 0)))
        rows = data.samples.iloc[order.rows].reset_index(drop=True)
        parts.append(rows.assign(draw=order.draws, unit=np.arange(len(rows)) // unit, epoch=number))
        assert len(rows) == made.crops_per_epoch
    return pd.concat(parts, ignore_index=True)


def test_a_unit_has_a_frame_once_in_every_class():
    rows = epoch(drawn_pairs(VIDEOS), 32)
    assert len(rows) == 120  # 110 crops in batches of 30
    for _, unit in rows.groupby("unit"):
        assert sorted(unit["class"]) == sorted(VIDEOS)
        assert len(set(unit["pair"])) == 1
        assert len(set(unit["draw"])) == 1
    assert rows["draw"].nunique() == rows["unit"].nunique()


def test_a_binary_unit_is_an_original_and_one_of_its_fakes_with_the_methods_in_turn():
    classes = {name: kind for name, kind in BINARY.items() if name != "CelebA"}
    rows = epoch(drawn_pairs(classes), 8)
    for _, unit in rows.groupby("unit"):
        assert sorted(unit["label"]) == ["fake", "real"]
        assert len(set(unit["pair"])) == len(set(unit["draw"])) == 1
    methods = rows["category"][rows["label"] == "fake"]
    assert methods.value_counts().to_dict() == dict.fromkeys(METHODS, 14)
    for start in range(0, len(methods), 4):
        assert set(methods[start : start + 4]) == set(METHODS)


@pytest.mark.parametrize("classes", [VIDEOS, {**BINARY}])
def test_identities_are_even_although_one_clip_is_ten_times_as_long(classes):
    data = drawn_pairs(classes, clips=(("000", 40), ("001", 4), ("002", 4), ("003", 4)))
    rows = epoch(data, 10)
    per_identity = rows[rows["label"] == "fake"].groupby(["category", "target_id"]).size()
    assert len(per_identity) == 16
    of_method = per_identity.groupby("category")
    assert (of_method.max() - of_method.min()).max() <= 1


def test_frames_of_a_clip_are_used_up_before_one_is_repeated():
    rows = epoch(drawn_pairs(VIDEOS), 10)
    frames = rows[rows["class"] == "Youtube"].groupby(["target_id", "frame"]).size()
    per_clip = frames.groupby("target_id")
    assert (per_clip.max() - per_clip.min()).max() <= 1
    assert per_clip.size().loc["001"] == 4


def test_a_missing_fake_is_replaced_by_a_crop_of_its_class_with_a_draw_of_its_own():
    data = drawn_pairs(VIDEOS, without={("FaceSwap", "001", 2)})
    rows = epoch(data, 10, epochs=5)
    rows["unit"] += 1000 * rows["epoch"]
    replaced = [u for _, u in rows.groupby("unit") if len(set(u["pair"])) > 1]
    assert replaced
    for unit in replaced:
        (other,) = unit[unit["class"] == "FaceSwap"].itertuples()
        others = unit[unit["class"] != "FaceSwap"]
        assert set(others["pair"]) == {"001/000002/c40"}
        assert len(set(others["draw"])) == 1
        assert other.draw not in set(others["draw"])


def test_crops_without_partner_fill_in_first():
    data = drawn_pairs(VIDEOS, without={("FaceSwap", "001", 2), ("Youtube", "000", 3)})
    rows = epoch(data, 10, epochs=5)
    rows["unit"] += 1000 * rows["epoch"]
    filled = [u for _, u in rows.groupby("unit") if len(set(u["pair"])) > 1]
    swaps = pd.concat(filled).query("`class` == 'FaceSwap'")
    assert set(swaps["pair"]) == {"000/000003/c40"}


def test_a_class_of_stills_has_a_still_in_every_unit():
    rows = epoch(drawn_pairs(SEVEN, stills=30), 18)
    stills = rows[rows["class"] == "CelebA"]
    assert len(stills) == rows["unit"].nunique()
    assert stills.groupby("face_id").size().max() == 1
    others = rows[rows["class"] != "CelebA"]
    assert others.groupby("unit")["pair"].nunique().max() == 1
    assert not set(stills["draw"]) & set(others["draw"])


def test_stills_keep_their_weight_in_a_binary_manifest():
    data = drawn_pairs(BINARY, stills=22)  # as many as frames of originals
    rows = epoch(data, 8, epochs=3)
    reals = rows[rows["label"] == "real"]
    # Half of the units have no partner; half of their reals are stills, as categories are even.
    single = rows.groupby(["epoch", "unit"])["draw"].nunique() == 2
    assert single.mean() == pytest.approx(0.5, abs=0.02)
    assert (reals["category"] == "CelebA").mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_units_without_partners_is_kept(share):
    rows = epoch(drawn_pairs(BINARY, stills=22), 8, unpaired=share)
    single = rows.groupby("unit")["draw"].nunique() == 2
    assert single.mean() == pytest.approx(share, abs=0.01)
    fakes = rows["category"][(rows["label"] == "fake") & rows["unit"].map(single)]
    if len(fakes):
        counts = fakes.value_counts().reindex(METHODS, fill_value=0)
        assert counts.max() - counts.min() <= 1


def test_batches_hold_whole_units_that_devices_can_share():
    samples = drawn_pairs(VIDEOS).samples
    assert sampler("pairs", samples, 32).batch_size == 30
    assert sampler("pairs", samples, 32, devices=2).batch_size == 30
    assert sampler("pairs", samples, 64, devices=4).batch_size == 60
    assert sampler("pairs", samples, 32).crops_per_epoch == 120
    with pytest.raises(ClassifyError, match=r"batch_size \(4\) must be at least 5 .* units of 5"):
        sampler("pairs", samples, 4)
    with pytest.raises(ClassifyError, match=r"at least 10 .*that 2 devices can share"):
        sampler("pairs", samples, 8, devices=2)


def test_data_without_pairs_are_refused_with_the_remedy():
    with pytest.raises(ClassifyError, match=r"again with ffpp-split.*without --align"):
        sampler("pairs", DATA.samples, 8)
    no_original = drawn_pairs(VIDEOS).samples.query("label == 'fake'").reset_index(drop=True)
    with pytest.raises(ClassifyError, match="no fake of the training data has its original"):
        sampler("pairs", no_original, 8)


def test_an_epoch_depends_on_the_seed_alone():
    data = drawn_pairs(BINARY, stills=8)
    one, again, other = (epoch(data, 8, seed)["face_id"].tolist() for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_in_a_batch_only_the_manipulation_differs():
    data = drawn_pairs(VIDEOS)
    batches = Batches(data, targets(data), 16, 0, PRESETS["mild"], sampling="pairs")
    images, wanted = batches[0]
    assert images.shape == (15, 32, 32, 3)
    order = batches.crops(0, 0)
    np.testing.assert_array_equal(wanted.argmax(axis=1), data.labels[order.rows])
    for unit in images.reshape(3, 5, 32, 32, 3).astype(int):
        assert np.abs(unit[4] - data.images[order.rows[4]]).mean() > 2  # it was warped
        for method in range(4):  # each brighter by ten than the one before
            difference = unit[method] - unit[4]
            assert np.abs(difference - 10 * (method + 1)).max() <= 1


def test_sampling_all_shows_each_crop_once_and_in_order_keeps_the_order():
    rng = np.random.default_rng(0)
    assert sorted(sampler("all", DATA.samples, 4).order(rng).rows) == list(range(27))
    order = sampler(IN_ORDER, DATA.samples, 4).order(rng)
    assert list(order.rows) == list(order.draws) == list(range(27))


def test_balanced_draws_each_class_equally():
    order = sampler("balanced", DATA.samples, 4).order(np.random.default_rng(0))
    assert len(order.rows) == len(set(order.draws)) == 27
    part = order.part(4, 8)
    np.testing.assert_array_equal(part.rows, order.rows[4:8])
    assert dataclasses.is_dataclass(part)
