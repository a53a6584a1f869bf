"""Perceptual hashes of frames."""

import cv2
import numpy as np

from ffpp_tools.video.frame_hash import frame_hash, hash_bits


def differing(*images):
    """In how many bits the hashes of two images differ."""
    one, other = hash_bits([frame_hash(image) for image in images])
    return int((one != other).sum())


def scene(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16)).astype(np.uint8)
    return cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)


def test_a_hash_is_nearly_the_same_at_another_size_and_brightness_and_far_from_another_scene():
    image = scene(0)
    assert len(frame_hash(image)) == 64
    assert differing(image, cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)) <= 20
    assert differing(image, (image * 0.8 + 20).astype(np.uint8)) <= 20
    assert 80 < differing(image, scene(1)) < 175  # of 255, half by chance


def test_a_frame_without_contrast_has_no_hash():
    assert frame_hash(np.full((240, 320), 90, np.uint8)) == ""


def test_bits_of_hashes_are_rows_whose_last_bit_is_none():
    bits = hash_bits([frame_hash(scene(n)) for n in range(3)])
    assert bits.shape == (3, 256)
    assert not bits[:, 255].any()
    assert set(np.unique(bits)) == {0, 1}
