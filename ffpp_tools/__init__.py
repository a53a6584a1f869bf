"""Builds face datasets with no identity known to be in two splits, of FF++ videos and stills."""

import os

# A file that declares more pixels is refused before memory is taken for it. A photograph: more than
# any full-frame camera takes (61 million). OpenCV reads its limit when it is loaded.
MAX_PIXELS = 8192 * 8192
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
# A frame of a video, of which a decoder holds up to a score: 8K, in cinema's format too.
MAX_FRAME_PIXELS = 8192 * 4320
