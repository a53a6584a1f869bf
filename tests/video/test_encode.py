"""Compression of single images as in a video."""

import numpy as np

from ffpp_tools.video.encode import h264
from tests.helpers.videos import drawn


def test_stronger_compression_gives_larger_errors_and_is_deterministic():
    image = np.ascontiguousarray(drawn(1)[0])
    errors = [np.abs(h264(image, crf).astype(int) - image).mean() for crf in (10, 23, 40)]
    assert errors[0] < errors[1] < errors[2]
    assert errors[0] < 3  # the result shows the image itself, not an earlier frame of the pan
    np.testing.assert_array_equal(h264(image, 23), h264(image, 23))
