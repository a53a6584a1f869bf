"""Reading of image files: pixels matter, ancillary data do not."""

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from ffpp_tools.extraction.stills import read_still
from ffpp_tools.video.image import decoded, read_image, strip_png_metadata

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
MEBIBYTE = 1 << 20
BOMB = zlib.compress(bytes(64 * MEBIBYTE), 9)


def chunk(kind, data, damaged=False):
    check = zlib.crc32(kind + data) ^ damaged
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def png(before=b"", after=b""):
    """A PNG of `PIXELS` with chunks before and after its pixels."""
    data = cv2.imencode(".png", PIXELS[..., ::-1])[1].tobytes()
    return data[:33] + before + data[33:-12] + after + data[-12:]


CHUNKS = {
    "packed text": chunk(b"zTXt", b"k\0\0" + BOMB),
    "packed text of UTF-8": chunk(b"iTXt", b"k\0\1\0\0\0" + BOMB),
    "profile": chunk(b"iCCP", b"k\0\0" + BOMB),
    "long text": chunk(b"tEXt", b"k\0" + b"a" * 10 * MEBIBYTE),
    "many texts": b"".join(chunk(b"tEXt", b"k\0" + b"a" * 100_000) for _ in range(700)),
    "text with a wrong checksum": chunk(b"tEXt", b"k\0v", damaged=True),
    "keyword without an end": chunk(b"tEXt", b"k" * 300),
    "no keyword": chunk(b"tEXt", b""),
    "text that does not unpack": chunk(b"zTXt", b"k\0\0xx"),
    "gamma with a wrong checksum": chunk(b"gAMA", b"\0\0\1\1", damaged=True),
    "size too short": chunk(b"pHYs", b"x"),
    "background too short": chunk(b"bKGD", b""),
    "animation too short": chunk(b"acTL", b""),
    "private chunk": chunk(b"prVt", bytes(20 * MEBIBYTE)),
}


@pytest.mark.parametrize("extra", CHUNKS.values(), ids=CHUNKS)
def test_ancillary_chunks_of_a_png_do_not_prevent_reading_it(extra, tmp_path):
    path = tmp_path / "p.png"
    for data in (png(before=extra), png(after=extra)):
        path.write_bytes(data)
        tracemalloc.start()
        image, status, error = read_still(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (status, error) == ("ok", "")
        np.testing.assert_array_equal(image, PIXELS)
        np.testing.assert_array_equal(read_image(path), PIXELS)
        assert peak < 2 * len(data) + MEBIBYTE  # nothing was unpacked


def test_damaged_pixels_are_still_detected(tmp_path):
    data = bytearray(png())
    data[100] ^= 1
    (tmp_path / "p.png").write_bytes(data)
    assert read_still(tmp_path / "p.png")[1] in ("truncated", "unreadable")


def saved(image, **how):
    buffer = io.BytesIO()
    image.save(buffer, "png", **how)
    return buffer.getvalue()


def with_extra(kind, data):
    return png(before=chunk(kind, data))


def turned():
    exif = Image.Exif()
    exif[0x112] = 6  # to be displayed rotated by 90 degrees
    return saved(Image.fromarray(PIXELS), exif=exif)


RGB = Image.fromarray(PIXELS)
HEALTHY = {
    "palette": saved(RGB.quantize(16), transparency=bytes(range(0, 160, 10))),
    "transparent": saved(RGB, transparency=tuple(PIXELS[0, 0].tolist())),
    "background": with_extra(b"bKGD", struct.pack(">HHH", 9, 200, 90)),
    "gamma": with_extra(b"gAMA", struct.pack(">I", 20_000)),
    "bits": with_extra(b"sBIT", b"\5\5\5"),
    "turned": turned(),
    "animated": saved(RGB, save_all=True, append_images=[RGB.rotate(180)], default_image=True),
    "a JPEG": cv2.imencode(".jpg", PIXELS)[1].tobytes(),
}


@pytest.mark.parametrize("data", HEALTHY.values(), ids=HEALTHY)
def test_the_pixels_of_intact_files_are_unchanged(data):
    whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decoded(data), whole)
    assert strip_png_metadata(png()) == png()
