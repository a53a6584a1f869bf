"""Sizes beyond which an image or a frame is refused."""

import os
import subprocess
import sys

import pytest

from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS, MAX_PIXELS


def test_cameras_photographs_and_frames_of_8k_are_within_the_limits():
    assert MAX_PIXELS > 9504 * 6336  # 61 million
    assert 7680 * 4320 < 8192 * 4320 == MAX_FRAME_PIXELS < MAX_PIXELS


@pytest.mark.parametrize(("given", "expected"), [(None, MAX_PIXELS), ("1000", 1000)])
def test_opencvs_limit_is_ours_unless_the_environment_has_one(given, expected):
    name = "OPENCV_IO_MAX_IMAGE_PIXELS"
    own = {k: v for k, v in os.environ.items() if k != name} | ({name: given} if given else {})
    code = f"import os, ffpp_tools; print(os.environ[{name!r}])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == expected
