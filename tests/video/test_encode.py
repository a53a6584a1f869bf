"""Images as a video encoder leaves them."""

import numpy as np

from ffpp_tools.video.encode import h264
from tests.helpers.videos import drawn


def test_stronger_compression_leaves_less_and_the_same_always_the_same():
    image = np.ascontiguousarray(drawn(1)[0])
    errors = [np.abs(h264(image, crf).astype(int) - image).mean() for crf in (10, 23, 40)]
    assert errors[0] < errors[1] < errors[2]
    assert errors[0] < 3  # what is shown is the image itself, and no frame of the pan before it
    np.testing.assert_array_equal(h264(image, 23), h264(image, 23))
