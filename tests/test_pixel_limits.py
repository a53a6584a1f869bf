"""The size limits of images and frames."""

import os
import subprocess
import sys

import pytest

from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS, MAX_PIXELS


def test_full_frame_photographs_and_8k_video_are_within_the_limits():
    assert MAX_PIXELS > 9504 * 6336  # 61 million
    assert 7680 * 4320 < 8192 * 4320 == MAX_FRAME_PIXELS < MAX_PIXELS


@pytest.mark.parametrize(("given", "expected"), [(None, MAX_PIXELS), ("1000", 1000)])
def test_opencv_uses_our_limit_unless_the_environment_sets_one(given, expected):
    name = "OPENCV_IO_MAX_IMAGE_PIXELS"
    env = {k: v for k, v in os.environ.items() if k != name} | ({name: given} if given else {})
    code = f"import os, ffpp_tools; print(os.environ[{name!r}])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == expected
