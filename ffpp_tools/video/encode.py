"""Compress a single image as a video encoder would."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ffpp_tools.video.image import Image

# Most frames of a video are not key frames, and their moving content is predicted. Therefore the
# image moves by one pixel per frame, and the last of this many frames is returned.
FRAMES = 6


def h264(image: Image, crf: int) -> Image:
    """Return the image after H.264 compression, as the last frame of a slow pan.

    Args:
        image: (h, w, 3) uint8 RGB with even sides.
        crf: x264's constant rate factor.
    """
    import av

    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = image.shape[:2]
    encoder.pix_fmt, encoder.framerate = "yuv420p", Fraction(25)
    # With one thread and no macroblock tree, the bytes are the same on every machine.
    encoder.options = {"crf": str(crf), "x264-params": "threads=1:no-mbtree=1"}
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    packets = []
    for index in range(FRAMES):
        moved = np.roll(image, FRAMES - 1 - index, axis=1)  # the last frame is not shifted
        packets += encoder.encode(av.VideoFrame.from_ndarray(moved, format="rgb24"))
    packets += encoder.encode(None)
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return np.asarray(frames[-1].to_ndarray(format="rgb24"), np.uint8)
