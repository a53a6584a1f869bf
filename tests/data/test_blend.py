import cv2
import numpy as np
import pytest

from classify.data.blend import BlendRanges, blend, changed, face_mask
from ffpp_tools.demo.face import Expression, Person, Portrait
from tests.helpers.faces import landmarks_of

RATIOS = (0.25, 0.5, 0.75, 1.0)
SIDE = 128


@pytest.fixture(scope="module")
def face():
    """A drawn face of 128 × 128 pixels and its landmarks."""
    canvas = Portrait(Person.drawn(3), 2 * SIDE).render(Expression())
    image = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return image, landmarks_of(canvas) * SIDE - 0.5


def made(face, count=60):
    return [blend(*face, np.random.default_rng(seed)) for seed in range(count)]


def test_outside_the_mask_the_blend_is_its_background(face):
    for one in made(face):
        outside = one.mask == 0
        assert outside.mean() > 0.3
        np.testing.assert_array_equal(one.image[outside], one.background[outside])


def test_inside_the_mask_the_blend_is_between_background_and_source(face):
    for one in made(face):
        weight = one.mask[..., None]
        expected = one.background * (1 - weight) + one.source * weight
        assert np.abs(one.image - expected).max() <= 0.51
        solid = one.mask == 1
        np.testing.assert_array_equal(one.image[solid], one.source[solid])


def test_the_blending_ratio_is_one_of_the_papers(face):
    # A mask this small keeps its full weight in the middle: no kernel is as wide as the face.
    found = [float(one.mask.max()) for one in made(face, 120)]
    nearest = [min(RATIOS, key=lambda ratio: abs(ratio - value)) for value in found]
    np.testing.assert_allclose(found, nearest, atol=1e-6)
    assert set(nearest) == set(RATIOS)
    assert nearest.count(1.0) > 40  # half of the draws


def test_half_the_backgrounds_are_the_crop_itself(face):
    image, _ = face
    unchanged = sum(np.array_equal(one.background, image) for one in made(face, 100))
    assert 35 <= unchanged <= 65


def test_the_face_is_changed_and_visibly_so_in_most_blends(face):
    differences = []
    for one in made(face):
        inside = one.mask > 0.2
        assert 0.02 < inside.mean() < 0.5
        differences.append(np.abs(one.image - one.background.astype(float))[inside].mean())
    assert np.median(differences) > 3


def test_the_same_generator_gives_the_same_blend(face):
    image = face[0].copy()
    one, two, other = (blend(*face, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.mask, two.mask)
    assert not np.array_equal(one.image, other.image)
    np.testing.assert_array_equal(face[0], image)  # not modified


def test_masks_cover_the_face_and_are_both_smaller_and_larger_than_its_hull(face):
    _, points = face
    hull = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillConvexPoly(hull, np.rint(cv2.convexHull(points)).astype(np.int32), 1)
    length = float(np.ptp(points, axis=0).max())
    masks = [
        face_mask(points, SIDE, length, np.random.default_rng(seed), BlendRanges())
        for seed in range(60)
    ]
    areas = np.array([mask.sum() for mask in masks]) / hull.sum()
    assert areas.min() < 0.8 and areas.max() > 1.05
    assert min((mask * hull).sum() / mask.sum() for mask in masks) > 0.6
    assert all(np.count_nonzero((mask > 0) & (mask < 1)) > 0 for mask in masks)  # soft edges


def test_without_ranges_nothing_changes(face):
    none = BlendRanges(
        rgb=0, hue=0, saturation=0, value=0, brightness=0, contrast=0, sharpen=(0, 0),
        downscale=(1, 1), jpeg=(100, 100), resize=0, shift=0,
    )  # fmt: skip
    image, points = face
    for seed in range(6):
        one = blend(image, points, np.random.default_rng(seed), none)
        assert np.abs(one.image - image.astype(int)).mean() < 2.5  # HSV and JPEG round


@pytest.mark.parametrize("side", [48, 224])
def test_any_size_is_blended(face, side):
    image, points = face
    image = cv2.resize(image, (side, side))
    one = blend(image, (points + 0.5) * side / SIDE - 0.5, np.random.default_rng(0))
    assert one.image.shape == image.shape
    assert one.image.dtype == np.uint8
    assert one.mask.shape == (side, side)


def test_a_change_of_colour_keeps_the_picture(face):
    image, _ = face
    for seed in range(20):
        copy = changed(image, np.random.default_rng(seed), BlendRanges())
        grey, before = (cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).ravel() for i in (copy, image))
        assert np.corrcoef(grey, before)[0, 1] > 0.9


def test_a_crop_without_landmarks_is_refused(face):
    with pytest.raises(ValueError, match="without landmarks"):
        blend(face[0], np.full((68, 2), np.nan, np.float32), np.random.default_rng(0))
