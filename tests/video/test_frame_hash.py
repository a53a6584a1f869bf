"""Perceptual hashes of frames."""

import cv2
import numpy as np

from ffpp_tools.video.frame_hash import frame_hash, hash_bits


def differing(*images):
    """The number of bits in which the hashes of two images differ."""
    one, other = hash_bits([frame_hash(image) for image in images])
    return int((one != other).sum())


def scene(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16)).astype(np.uint8)
    return cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)


def test_hashes_are_close_at_other_sizes_and_brightness_and_far_for_other_scenes():
    image = scene(0)
    assert len(frame_hash(image)) == 64
    assert differing(image, cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)) <= 20
    assert differing(image, (image * 0.8 + 20).astype(np.uint8)) <= 20
    assert 80 < differing(image, scene(1)) < 175  # about half of 255 by chance


def test_a_frame_without_contrast_has_no_hash():
    assert frame_hash(np.full((240, 320), 90, np.uint8)) == ""


def test_hash_bits_are_rows_with_a_zero_in_the_last_column():
    bits = hash_bits([frame_hash(scene(n)) for n in range(3)])
    assert bits.shape == (3, 256)
    assert not bits[:, 255].any()
    assert set(np.unique(bits)) == {0, 1}
