"""Sizes beyond which an image or a frame is refused before memory is allocated for it.

Import this before OpenCV, which reads its own limit from the environment when it is loaded.
"""

from __future__ import annotations

import os

# A photograph: more than any full-frame camera takes (61 million).
MAX_PIXELS = 8192 * 8192
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
# A frame of a video, of which a decoder holds up to twenty: 8K, in cinema's format too.
MAX_FRAME_PIXELS = 8192 * 4320
