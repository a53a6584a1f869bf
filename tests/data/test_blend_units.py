import numpy as np
import pytest

from classify.data.augment import PRESETS, Augmentation, Warp
from classify.data.batches import Batches
from classify.data.blend_units import Blending, training_sampler
from classify.data.pack import Packed
from classify.errors import ClassifyError
from tests.helpers.faces import drawn_crop
from tests.helpers.samples import table

SIDE = 64
FRAMES = {"000": 20, "001": 8, "002": 3}  # clip → frames


@pytest.fixture(scope="module")
def face():
    """A drawn face of 64 × 64 pixels, and its landmarks as fractions."""
    return drawn_crop(3, SIDE)


def crops(face, mode="binary"):
    """Crops of one drawn face; the first pixel is the index of the crop."""
    samples = table(FRAMES, mode)
    images = np.repeat(face[0][None], len(samples), axis=0)
    images[:, 0, 0] = np.arange(len(samples))[:, None]
    return Packed(images, samples["class_index"].to_numpy(), samples)


def blending(data, face, share=0.5, label=0, classes=2):
    real = (data.samples["label"] == "real").to_numpy()
    points = np.where(real[:, None, None], face[1], np.float32(np.nan)).astype(np.float32)
    return Blending(share, points, np.eye(classes, dtype=np.float32)[label], label)


def batches(
    face,
    mode="binary",
    share=0.5,
    size=20,
    augment=None,
    sampling="all",
    devices=1,
    equal_classes=False,
):
    """Batches with blends; those of "videos" have a class of their own, 0, before the others."""
    data = crops(face, mode)
    if mode != "binary":
        data = Packed(data.images, data.labels + 1, data.samples)
    classes = 2 if mode == "binary" else data.labels.max() + 1
    targets = np.eye(classes, dtype=np.float32)[data.labels]
    mixed = blending(data, face, share, 0, classes)
    chosen = training_sampler(sampling, data.samples, size, devices, blending=mixed)
    made = Batches(data, targets, chosen, 3, augment, blending=mixed, equal_classes=equal_classes)
    return made, data


def epoch_order(made):
    return made._sampler.order(np.random.default_rng(0))


@pytest.mark.parametrize("sampling", ["all", "balanced", "pairs"])
@pytest.mark.parametrize("mode", ["binary", "videos"])
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_blends_are_the_given_share_of_the_fakes_and_follow_their_real_crop(
    face, mode, sampling, share
):
    made, data = batches(face, mode, share, 40, sampling=sampling)
    order = epoch_order(made)
    fake = (data.samples["label"] == "fake").to_numpy()
    (blends,) = np.nonzero(order.blended)
    assert not fake[order.rows[blends]].any()
    np.testing.assert_array_equal(order.rows[blends], order.rows[blends - 1])
    np.testing.assert_array_equal(order.draws[blends], order.draws[blends - 1])
    assert not order.blended[blends - 1].any()
    assert len(set(order.draws[blends])) == len(blends)
    fakes = len(blends) + fake[order.rows].sum()
    tolerance = 0.1 if sampling != "pairs" else 0.15  # of whole units in 40 crops
    assert len(blends) / fakes == pytest.approx(share, abs=tolerance)
    if share == 1:
        assert not fake[order.rows].any()
        assert len(blends) == len(order.rows) / 2


def test_units_are_whole_within_every_batch(face):
    made, _ = batches(face, size=20)
    for index in range(len(made)):
        order = made._order(0, index)
        assert len(order.rows) == 20
        assert not order.blended[0]
        assert order.blended.sum() == 6  # of 6 + 0.8 * 8 fakes


def test_binary_and_balanced_batches_stay_balanced(face):
    made, _ = batches(face, size=40, sampling="balanced")
    labels = np.concatenate([made[i][1] for i in range(len(made))])
    assert labels[:, 0].mean() == pytest.approx(0.5, abs=0.06)


def test_a_blend_has_its_target_and_differs_from_its_real_crop_in_the_face_alone(face):
    made, _ = batches(face, share=1.0, size=20)
    images, targets = made[0]
    np.testing.assert_array_equal(targets, np.tile([[0, 1], [1, 0]], (10, 1)).astype(np.float32))
    points = face[1]
    left, top = np.floor(points.min(axis=0) * SIDE - 0.35 * SIDE).astype(int)
    changed = 0
    for real, blend in zip(images[::2], images[1::2], strict=True):
        difference = np.abs(real.astype(int) - blend).max(axis=-1)
        assert difference[: max(top, 1)].max() == 0
        assert difference[:, : max(left, 1)].max() == 0
        changed += difference.max() > 3
    assert changed >= 8


def test_both_have_the_same_warp_and_degradation(face):
    still, _ = batches(face, share=1.0, size=20)
    unaugmented = still[0][0]
    for augment in (Augmentation(Warp(rotation=40, flip=True)), PRESETS["robust"]):
        made, _ = batches(face, share=1.0, size=20, augment=augment)
        images, draws = made[0][0], made._order(0, 0).draws
        again = augment(unaugmented, np.random.default_rng((3, 0, 1)), draws=draws)
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(draws[::2], draws[1::2])
    # Away from the face, a warped real crop equals its warped blend.
    warped, _ = batches(face, share=1.0, size=20, augment=Augmentation(Warp(rotation=40)))
    images = warped[0][0].astype(int)
    centre = (np.hypot(*(np.indices((SIDE, SIDE)) - SIDE / 2)) > 0.49 * SIDE)[..., None]
    assert (np.abs(images[::2] - images[1::2]) * centre).max() == 0
    assert len({image.tobytes() for image in images[::2]}) == 10


def test_batches_depend_on_the_seed_the_epoch_and_the_batch_alone(face):
    one, two = (batches(face, size=20, augment=PRESETS["robust"])[0] for _ in range(2))
    later, _ = batches(face, size=20, augment=PRESETS["robust"])
    later.epoch = 1
    first = [one[i][0] for i in range(len(one))]
    np.testing.assert_array_equal(two[2][0], first[2])  # out of order
    one.epoch = 1
    np.testing.assert_array_equal(one[1][0], later[1][0])
    assert not np.array_equal(later[0][0], first[0])


def test_a_real_crop_without_landmarks_is_never_blended(face):
    data = crops(face)
    mixed = blending(data, face)
    real = np.flatnonzero(data.samples["label"] == "real")
    mixed.landmarks[real[::2]] = np.nan
    order = training_sampler("all", data.samples, 20, blending=mixed).order(
        np.random.default_rng(0)
    )
    blended = set(order.rows[order.blended])
    assert blended <= set(real[1::2])
    assert set(real[::2]) & set(order.rows)  # but it is among the other crops


def test_without_landmarks_there_is_an_error(face):
    data = crops(face)
    mixed = blending(data, face)
    mixed.landmarks[:] = np.nan
    with pytest.raises(ClassifyError, match=r"dlib found none.*omit --blend"):
        training_sampler("all", data.samples, 20, blending=mixed)


def test_all_blends_every_real_crop_equally_often(face):
    data = crops(face)
    sampler = training_sampler("all", data.samples, 20, blending=blending(data, face, 1.0))
    order = sampler.order(np.random.default_rng(0))
    counts = np.bincount(order.rows[order.blended])[data.samples["label"] == "real"]
    assert counts.max() - counts.min() <= 1


def test_balanced_blends_clips_equally(face):
    data = crops(face)
    sampler = training_sampler("balanced", data.samples, 40, blending=blending(data, face, 1.0))
    orders = [sampler.order(np.random.default_rng(seed)) for seed in range(10)]
    rows = np.concatenate([order.rows[order.blended] for order in orders])
    clips = data.samples["clip"].iloc[rows].value_counts(normalize=True)
    np.testing.assert_allclose(clips.to_numpy(), 1 / 3, atol=0.08)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_with_a_class_of_their_own_all_classes_weigh_the_same(face, share):
    made, _ = batches(face, "videos", share, 40, equal_classes=True)
    totals = np.zeros(6)
    for index in range(len(made)):
        _, targets, weights = made[index]
        totals += (targets * weights[:, None]).sum(axis=0)
    np.testing.assert_allclose(totals / totals.mean(), 1, atol=0.35)  # this epoch is not the first
    order = made._sampler.order(np.random.default_rng((3, 0, 0)))
    labels = made._labels(order)
    sums = np.bincount(labels, made._class_weights[labels])
    np.testing.assert_allclose(sums, sums.mean(), rtol=1e-5)
    assert sums.sum() == pytest.approx(len(labels), rel=1e-5)


@pytest.mark.parametrize("devices", [2, 3, 4])
def test_devices_share_every_batch(face, devices):
    made, _ = batches(face, share=0.5, size=24, devices=devices)
    assert made._sampler.batch_size % devices == 0
    assert made.crops_per_epoch % made._sampler.batch_size == 0
    assert {len(made[i][1]) for i in range(len(made))} == {made._sampler.batch_size}


def test_a_batch_with_too_little_room_is_named(face):
    with pytest.raises(ClassifyError, match="batch_size"):
        batches(face, "videos", 0.5, 6, sampling="pairs")
    with pytest.raises(ClassifyError, match=r"batch of 16: use .* a share above 0\.04,"):
        batches(face, share=0.01, size=16)
    with pytest.raises(ClassifyError, match=r"batch_size \(2\) is too small"):
        batches(face, "binary", 0.9, 2)
