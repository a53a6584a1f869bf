"""Builds face datasets with no identity known to be in two splits, of FF++ videos and stills."""

import os

# More pixels than any camera of this field has: a file that declares more is refused before memory
# is taken for it. OpenCV reads its limit when it is loaded.
MAX_PIXELS = 8192 * 8192
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
