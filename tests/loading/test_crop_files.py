"""Crop files: what is read, what is refused, and how images are scaled."""

import hashlib

import cv2
import numpy as np
import pytest

from ffpp_tools.errors import CropError
from ffpp_tools.loading.crop_files import read_crop, scaled


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)


def written(path, image):
    """Write an image as PNG; return its sha256."""
    data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_a_crop_is_read_as_rgb(tmp_path, image):
    digest = written(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_crop(tmp_path / "a.png", digest), image)


def test_a_missing_crop_is_named_with_the_remedy_for_a_moved_dataset(tmp_path):
    with pytest.raises(CropError, match=r"a\.png: cannot be read .*moved.*ffpp-split"):
        read_crop(tmp_path / "a.png", "")


def test_a_crop_with_another_hash_is_refused(tmp_path, image):
    digest = written(tmp_path / "a.png", image)
    written(tmp_path / "a.png", 255 - image)
    with pytest.raises(CropError, match=r"a\.png: differs .*ffpp-extract --verify"):
        read_crop(tmp_path / "a.png", digest)


def test_a_file_that_is_no_image_is_refused_even_if_its_hash_agrees(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(CropError, match=r"a\.png: not a readable image"):
        read_crop(tmp_path / "a.png", hashlib.sha256(b"text").hexdigest())


def test_bare_boxes_are_stretched_to_squares():
    image = np.zeros((100, 50, 3), np.uint8)
    image[:50, :, 0] = 200  # red above
    small = scaled(image, 40)
    assert small.shape == (40, 40, 3)
    assert small[10, 20].tolist() == [200, 0, 0]
    assert small[30, 20].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("side", "interpolation"),
    [(29, cv2.INTER_AREA), (30, cv2.INTER_AREA), (31, cv2.INTER_CUBIC)],
)
def test_the_shorter_side_decides_between_area_and_cubic(image, side, interpolation):
    expected = cv2.resize(image, (side, side), interpolation=interpolation)
    np.testing.assert_array_equal(scaled(image, side), expected)
