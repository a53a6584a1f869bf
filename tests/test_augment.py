import numpy as np
import pytest
from scipy.ndimage import affine_transform

from classify.augment import PRESETS, Augmentation, preset
from classify.errors import ClassifyError

RNG = np.random.default_rng


def images(count=4, size=48):
    """Smooth random pictures, so that interpolation is what is compared, not noise."""
    coarse = RNG(7).uniform(0, 255, (count, 6, 6, 3))
    steps = np.linspace(0, 5, size)
    low = np.floor(steps).astype(int).clip(0, 4)
    part = (steps - low)[:, None]
    rows = coarse[:, low] * (1 - part[..., None]) + coarse[:, low + 1] * part[..., None]
    columns = rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    return columns.astype(np.uint8)


def generators_warp(image, shear, zoom_x, zoom_y, flip):
    """What ImageDataGenerator does: its matrices in (row, column), scipy, then the flip.

    Keras's `apply_affine_transform` with zx along the rows, followed by `flip_axis`.
    """
    angle = np.deg2rad(shear)
    shear_matrix = np.array([[1, -np.sin(angle)], [0, np.cos(angle)]])
    linear = shear_matrix @ np.diag([zoom_x, zoom_y])
    centre = np.full(2, (image.shape[0] - 1) / 2)
    channels = [
        affine_transform(
            image[..., c].astype(float), linear, centre - linear @ centre, order=1, mode="nearest"
        )
        for c in range(3)
    ]
    warped = np.stack(channels, axis=-1)
    return warped[:, ::-1] if flip else warped


@pytest.mark.parametrize("name", ["paper", "paper-text"])
def test_one_warp_equals_image_data_generators_steps(name):
    augmentation = preset(name)
    batch = images()
    changed = augmentation(batch, RNG(3))
    rng, flips = RNG(3), 0
    for image, out in zip(batch, changed, strict=True):
        shear = rng.uniform(-augmentation.shear, augmentation.shear)
        zoom_columns, zoom_rows = rng.uniform(1 - augmentation.zoom, 1 + augmentation.zoom, 2)
        flip = rng.random() < 0.5
        flips += flip
        expected = generators_warp(image, shear, zoom_rows, zoom_columns, flip)
        assert np.abs(out - expected).max() <= 3  # grey levels, at bilinear precision
    assert 0 < flips < len(batch)


def test_a_flip_alone_is_exact():
    batch = images(16)
    changed = Augmentation(flip=True)(batch, RNG(0))
    kinds = [
        "same" if (out == image).all() else "flipped" if (out == image[:, ::-1]).all() else "other"
        for image, out in zip(batch, changed, strict=True)
    ]
    assert set(kinds) == {"same", "flipped"}


def test_the_same_generator_state_gives_the_same_pixels_and_leaves_the_input_alone():
    batch = images()
    kept = batch.copy()
    first, second = (PRESETS["paper"](batch, RNG(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(batch, kept)
    assert not np.array_equal(first, PRESETS["paper"](batch, RNG(6)))


def test_presets_are_the_papers_and_none():
    assert preset("paper") == Augmentation(zoom=0.2, shear=0.2, flip=True)
    assert preset("paper-text") == Augmentation(zoom=0.1, shear=0.5, flip=True)
    assert preset("none") is None
    with pytest.raises(ClassifyError, match="paper-text"):
        preset("strong")
