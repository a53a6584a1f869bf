"""Limits above which an image or frame is rejected before memory is allocated for it.

Import this module before OpenCV, which reads its own limit from the environment on import.
"""

from __future__ import annotations

import os

# Images: more than any full-frame camera produces (61 million pixels).
MAX_PIXELS = 8192 * 8192
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
# Video frames, of which a decoder holds up to 20: 8K, including the cinema format.
MAX_FRAME_PIXELS = 8192 * 4320
