import cv2
import keras
import numpy as np
import pytest
from scipy.ndimage import affine_transform

from classify.data.augment import (
    PRESETS,
    Augmentation,
    Degradation,
    Warp,
    warp_on_device,
    warp_on_host,
)

RNG = np.random.default_rng


def images(count=4, size=48):
    """Smooth random images, so that interpolation is compared and not noise."""
    coarse = RNG(7).uniform(0, 255, (count, 6, 6, 3))
    steps = np.linspace(0, 5, size)
    low = np.floor(steps).astype(int).clip(0, 4)
    part = (steps - low)[:, None]
    rows = coarse[:, low] * (1 - part[..., None]) + coarse[:, low + 1] * part[..., None]
    columns = rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    return columns.astype(np.uint8)


def reference_matrix(rotation, shift, shear, zoom, size):
    """The map of (x, y) of ImageDataGenerator's `apply_affine_transform`."""
    turn, slant = np.deg2rad(rotation), np.deg2rad(shear)
    rotate = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
    slanted = np.array([[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]])
    scale = np.diag([zoom[0], zoom[1], 1])
    half = (size - 1) / 2
    centre, origin = np.eye(3), np.eye(3)
    centre[:2, 2], origin[:2, 2] = half, -half
    return centre @ rotate @ move @ slanted @ scale @ origin


def reference_warp(image, matrix, flip):
    """Warp an image as ImageDataGenerator does: with scipy, channel by channel, then the flip.

    scipy expects (row, column), so x and y are swapped.
    """
    matrix = matrix[[1, 0, 2]][:, [1, 0, 2]]
    channels = [
        affine_transform(
            image[..., c].astype(float), matrix[:2, :2], matrix[:2, 2], order=1, mode="nearest"
        )
        for c in range(3)
    ]
    warped = np.stack(channels, axis=-1)
    return warped[:, ::-1] if flip else warped


@pytest.mark.parametrize("name", ["paper", "paper-text", "rotate-shift", "flip"])
@pytest.mark.parametrize("warp", [warp_on_host, warp_on_device])
def test_one_warp_equals_the_steps_of_image_data_generator(name, warp):
    ranges = PRESETS[name].warp
    batch = images()
    matrices = ranges.matrices(RNG(3), len(batch), 48)
    warped = keras.ops.convert_to_numpy(warp(batch, matrices))
    assert warped.dtype == np.uint8
    # The same draws, in the order of `matrices`.
    rng, count = RNG(3), len(batch)
    rotation, shear = (
        rng.uniform(-limit, limit, count) for limit in (ranges.rotation, ranges.shear)
    )
    shift = rng.uniform(-ranges.shift, ranges.shift, (count, 2)) * 48
    zoom = rng.uniform(1 - ranges.zoom, 1 + ranges.zoom, (count, 2))
    flips = rng.random(count) < 0.5
    assert 0 < flips.sum() < count
    for i in range(count):
        matrix = reference_matrix(rotation[i], shift[i], shear[i], zoom[i], 48)
        expected = reference_warp(batch[i], matrix, flips[i])
        assert np.abs(warped[i] - expected).max() <= 3  # grey levels, at bilinear precision


def test_the_reference_matrix_is_that_of_image_data_generator():
    # Checks the reference of the test above against Keras, if TensorFlow is installed.
    generator = pytest.importorskip("tensorflow.keras.preprocessing.image")
    image = images(1)[0].astype(float)
    changes = {"theta": 25, "tx": 3, "ty": -5, "shear": 12, "zx": 0.9, "zy": 1.2}
    theirs = generator.apply_affine_transform(
        image, **changes, row_axis=0, col_axis=1, channel_axis=2, order=1
    )
    matrix = reference_matrix(25, (3, -5), 12, (0.9, 1.2), 48)
    np.testing.assert_allclose(theirs, reference_warp(image, matrix, flip=False), atol=0.01)


def test_a_flip_alone_is_exact():
    batch = images(16)
    changed = Augmentation(Warp(flip=True))(batch, RNG(0))
    kinds = [
        "same" if (out == image).all() else "flipped" if (out == image[:, ::-1]).all() else "other"
        for image, out in zip(batch, changed, strict=True)
    ]
    assert set(kinds) == {"same", "flipped"}


def test_a_batch_warped_on_the_device_is_the_one_warped_on_the_host():
    batch = images(8)
    warp = Augmentation(Warp(rotation=20, shift=0.1, shear=10, zoom=0.2, flip=True))
    host, device = warp(batch, RNG(1)), warp(batch, RNG(1), on_device=True)
    difference = np.abs(host.astype(int) - keras.ops.convert_to_numpy(device))
    assert difference.max() <= 2
    assert difference.mean() < 0.3


@pytest.mark.parametrize("name", ["paper", "robust"])
def test_the_same_generator_state_gives_the_same_pixels_and_does_not_change_the_input(name):
    batch = images()
    original = batch.copy()
    first, second = (PRESETS[name](batch, RNG(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(batch, original)
    assert not np.array_equal(first, PRESETS[name](batch, RNG(6)))


def test_presets_are_those_of_their_sources():
    assert PRESETS["paper"] == Augmentation(Warp(zoom=0.2, shear=0.2, flip=True))
    assert PRESETS["paper-text"] == Augmentation(Warp(zoom=0.1, shear=0.5, flip=True))
    assert PRESETS["rotate-shift"] == Augmentation(Warp(rotation=40, shift=0.1, flip=True))
    batch = images()
    assert PRESETS["none"](batch, RNG(0)) is batch


def sharpness(image):
    return cv2.Laplacian(image, cv2.CV_64F).var()


def only(**wanted):
    """A degradation that always applies a single change."""
    off = {"downscale": 1.0, "blur": 0.1, "noise": 0.0, "jpeg": 95}
    return Degradation(chance=1.0, **{**off, **wanted})


def test_each_degradation_lowers_quality_in_its_own_way():
    image = RNG(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 0.7)
    unchanged = sharpness(only()(image, RNG(2)))
    assert sharpness(only(blur=3.0)(image, RNG(2))) < 0.5 * unchanged
    assert sharpness(only(downscale=0.2)(image, RNG(2))) < 0.5 * unchanged
    assert sharpness(only(noise=60.0)(image, RNG(2))) > 1.2 * unchanged

    def loss(quality):
        changed = [quality(image, RNG(seed)).astype(int) for seed in range(8)]
        return np.mean([np.abs(one - image).mean() for one in changed])

    assert loss(only(jpeg=1)) > 1.3 * loss(only())


def test_jpeg_keeps_red_red():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    changed = only()(red, RNG(0))
    assert changed.shape == red.shape
    assert changed[..., 0].mean() > 180
    assert changed[..., 2].mean() < 20


def test_with_chance_zero_an_image_is_unchanged():
    image = images(1)[0]
    assert Degradation(chance=0.0)(image, RNG(0)) is image


def test_degradations_are_independent_and_have_the_same_chance():
    noise = RNG(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    changed = [PRESETS["robust"].quality(noise, RNG(seed)) for seed in range(2000)]
    untouched = np.mean([image is noise for image in changed])
    assert untouched == pytest.approx((1 - 0.3) ** 4, abs=0.03)


@pytest.mark.parametrize(
    "wanted", [{"downscale": 0.1}, {"blur": 4.0}, {"noise": 60.0}, {"jpeg": 1}], ids=str
)
def test_the_strength_of_a_degradation_varies_up_to_its_maximum(wanted):
    image = cv2.GaussianBlur(RNG(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), (0, 0), 1.0)

    def loss(quality, seed):
        return np.abs(quality(image, RNG(seed)).astype(int) - image).mean()

    losses = [loss(only(**wanted), seed) - loss(only(), seed) for seed in range(40)]
    assert min(losses) < 0.3 * max(losses)
    assert np.std(losses) > 0.1 * max(losses)


@pytest.mark.parametrize("name", ["paper", "mild", "robust"])
def test_images_with_one_draw_number_get_the_same_warp_and_degradations(name):
    one = images(1)
    batch = np.repeat(one, 8, axis=0)
    draws = np.array([5, 2, 5, 2, 9, 5, 1, 0])
    changed = PRESETS[name](batch, RNG(3), draws=draws)
    for number in (5, 2):
        first, *others = changed[draws == number]
        for other in others:
            np.testing.assert_array_equal(first, other)
    assert len({image.tobytes() for image in changed}) == 5


def test_noise_is_the_same_for_images_with_one_draw_number():
    noisy = Augmentation(quality=Degradation(chance=1.0, blur=0.2, downscale=0.99, jpeg=94))
    batch = np.stack([np.full((48, 48, 3), grey, np.uint8) for grey in (90, 130)])
    one, other = noisy(batch, RNG(0), draws=np.array([0, 0])).astype(int)
    assert one.std() > 1
    assert np.abs((other - one) - 40).mean() < 1  # recompressed, hence not exact


def test_the_warp_of_a_difference_is_the_difference_of_the_warps():
    one = images(3).astype(int) // 2
    other = one + 60
    batch = np.concatenate([one, other]).astype(np.uint8)
    for on_device in (False, True):
        warped = PRESETS["mild"](batch, RNG(4), on_device, np.array([0, 1, 2, 0, 1, 2]))
        warped = keras.ops.convert_to_numpy(warped).astype(int)
        assert np.abs(warped[3:] - warped[:3] - 60).max() <= 1


@pytest.mark.parametrize("name", ["paper", "robust"])
def test_ascending_draw_numbers_change_nothing(name):
    batch = images(6)
    plain, numbered = (PRESETS[name](batch, RNG(2), draws=d) for d in (None, np.arange(10, 16)))
    np.testing.assert_array_equal(plain, numbered)
