"""Intact videos of every kind have the same frames as in a full decode."""

import struct
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from ffpp_tools.errors import DecodeError
from ffpp_tools.extraction.clips import open_clip
from ffpp_tools.sources.clip import Clip
from ffpp_tools.video import decode, demux, display_order
from ffpp_tools.video.decode_limits import Limits
from ffpp_tools.video.sampling import FramePlan
from tests.helpers.videos import drawn, full_decode, write

FRAMES, GOP, MS = 40, 10, 40  # milliseconds a frame
H264 = {"preset": "ultrafast", "bf": "2", "g": str(GOP), "b_strategy": "0"}
OPEN = f"open-gop=1:keyint={GOP}:scenecut=0:bframes=3:b-pyramid=normal:b-adapt=0"
HEVC = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=3:log-level=none"
CODECS = {
    "H.264": {**H264},
    "H.264, start codes": {**H264},
    "H.264, open GOPs": {"x264-params": OPEN},
    "H.264, interlaced": {**H264, "x264-params": "interlaced=1"},
    "H.264, intra refresh": {"x264-params": f"intra-refresh=1:keyint={GOP}:bframes=0"},
    "HEVC": {"codec": "libx265", "preset": "ultrafast", "x265-params": HEVC},
    "HEVC, open GOPs": {
        "codec": "libx265",
        "preset": "ultrafast",
        "x265-params": f"{HEVC}:open-gop=1",
    },
    "MPEG-4": {"codec": "mpeg4", "bf": "1", "b_strategy": "0", "g": str(GOP)},
    "MPEG-2": {"codec": "mpeg2video", "bf": "2", "b_strategy": "0", "g": str(GOP)},
    "VP8": {"codec": "libvpx", "g": str(GOP), "b": "100k", "deadline": "realtime"},
    "VP9": {"codec": "libvpx-vp9", "g": str(GOP), "b": "100k", "deadline": "realtime"},
    "AV1": {"codec": "libsvtav1", "preset": "12"},
    "MJPEG": {"codec": "mjpeg", "pixels": "yuvj420p"},
}
# An MPEG-4 picture that only repeats the previous one (vop_coded is 0).
REPEAT = b"\x00\x00\x01\xb6\x50\x4f"


@dataclass(frozen=True)
class Part:
    """A packet."""

    pts: int  # milliseconds
    dts: int
    key: bool
    data: bytes


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Function from a codec to a Matroska file, encoded on first use, and its packets."""
    folder, encoded = tmp_path_factory.mktemp("encoded"), {}

    def source(name):
        if name not in encoded:
            path = folder / f"{len(encoded)}.{'ts' if 'codes' in name else 'mkv'}"
            write(path, drawn(FRAMES, 64, 48), **CODECS[name])
            with av.open(str(path)) as file:
                read = [p for p in file.demux(video=0) if p.size]
            times = [round(1000 * p.pts * p.time_base) for p in read]
            times = [time - min(times) for time in times]
            delay = max(a - b for a, b in zip(sorted(times), times, strict=True))
            parts = [
                Part(pts, dts - delay, p.is_keyframe, bytes(p))
                for p, pts, dts in zip(read, times, sorted(times), strict=True)
            ]
            assert len(parts) == FRAMES
            encoded[name] = path, parts
        return encoded[name]

    return source


def muxed(source, target, parts, **options):
    """Write packets to a new file."""
    with av.open(str(source)) as template, av.open(str(target), "w", options=options) as file:
        stream = file.add_stream_from_template(template.streams.video[0])
        for part in parts:
            packet = av.Packet(part.data)
            packet.pts, packet.dts, packet.time_base = part.pts, part.dts, Fraction(1, 1000)
            packet.is_keyframe, packet.stream = part.key, stream
            file.mux(packet)


def whole(parts):
    return parts


def late(parts):
    """From the second key packet on."""
    second = [i for i, part in enumerate(parts) if part.key][1]
    return parts[second:]


def late_at_zero(parts):
    """From the second key packet on, shown at 0; its leading packets have negative times."""
    cut = late(parts)
    return [replace(p, pts=p.pts - cut[0].pts, dts=p.dts - cut[0].pts) for p in cut]


def mid_gop(parts):
    return parts[4:]


def earlier(parts):
    """The first half second has negative times."""
    return [replace(part, pts=part.pts - 500, dts=part.dts - 500) for part in parts]


def slower(parts):
    """Every frame after the tenth is shown three times as long."""
    return [
        replace(p, pts=p.pts + 2 * max(p.pts - 400, 0), dts=p.dts + 2 * max(p.dts - 400, 0))
        for p in parts
    ]


def hidden(parts):
    """Every fifth frame is a reference that is not shown (VP8's show_frame bit)."""
    return [
        replace(part, data=bytes([part.data[0] & ~0x10]) + part.data[1:]) if i % 5 == 2 else part
        for i, part in enumerate(parts)
    ]


def packed(parts):
    """Pack a B picture into the packet of the P picture before it, as DivX does, then a repeat."""
    first = replace(parts[0], data=b"\0\0\x01\xb2DivX503b1393p" + parts[0].data)
    packets = [first, *parts[1:]]
    for i, (part, following) in enumerate(pairwise(parts)):
        if following.pts < part.pts:
            packets[i] = replace(part, data=part.data + following.data)
            packets[i + 1] = replace(following, data=REPEAT)
    return packets


def repeating(parts):
    """A packet after a B picture repeats a frame, which is shown longer."""
    remaining = [replace(p, pts=p.pts + MS, dts=p.dts + MS) for p in parts[13:]]
    last = parts[12]
    return [*parts[:13], Part(last.dts + MS, last.dts + MS, False, REPEAT), *remaining]


def joined(parts):
    """The video twice in one file; the second copy starts before the first ends."""
    return [*parts, *(replace(p, pts=1541 + p.pts // 4, dts=1541 + p.dts // 4) for p in parts)]


def timed_by_decoding(parts):
    """Decoding times as presentation times, as after copying packets from an AVI file."""
    return [replace(part, pts=part.dts) for part in parts]


def patched(name, offset, value):
    """Function that writes a number into an MP4 box, `offset` bytes after its name."""

    def patch(data):
        at = data.index(name) + 4 + offset
        return data[:at] + struct.pack(">I", value) + data[at + 4 :]

    return patch


def edited(*entries):
    """Function that sets an MP4 file's edit list to pieces (length, start) in frames."""

    def patch(data):
        at, size = data.index(b"elst") - 4, struct.unpack(">I", data[data.index(b"elst") - 4 :][:4])
        (ticks,) = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])
        (first,) = struct.unpack(">i", data[at + 20 :][:4])  # start of the whole video
        rows = [(n * MS, s if s < 0 else first + s * MS * ticks // 1000) for n, s in entries]
        body = struct.pack(">4sII", b"elst", 0, len(rows))
        body += b"".join(struct.pack(">IiI", length, start, 1 << 16) for length, start in rows)
        new = struct.pack(">I", 4 + len(body)) + body
        data = bytearray(data[:at] + new + data[at + size[0] :])
        for box in (b"moov", b"trak", b"edts"):  # moov is last, so that no offset into mdat changes
            place = data.index(box) - 4
            length = struct.unpack(">I", data[place : place + 4])[0] + len(new) - size[0]
            data[place : place + 4] = struct.pack(">I", length)
        return bytes(data)

    return patch


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
BEFORE_ZERO = {"avoid_negative_ts": "disabled"}
# codec, file, selection of packets, container options, patch of the bytes, displayed frames
INTACT = {
    "MP4, its end left out": ("H.264", "a.mp4", whole, {}, edited((15, 0)), 15),
    "MP4, its start left out": ("H.264", "a.mp4", whole, {}, edited((99, 13)), 27),
    "MP4, trimmed": ("H.264", "a.mp4", whole, {}, edited((20, 13)), 20),
    "MP4, shown late": ("H.264", "a.mp4", whole, {}, edited((25, -1), (20, 13)), 20),
    "MP4, two pieces": ("H.264", "a.mp4", whole, {}, edited((10, 5), (10, 25)), 20),
    "MP4, a piece twice": ("H.264", "a.mp4", whole, {}, edited((10, 5), (10, 5)), 20),
    "MP4, pieces swapped": ("H.264", "a.mp4", whole, {}, edited((10, 25), (10, 5)), 20),
    "MP4, open GOPs trimmed": ("H.264, open GOPs", "a.mp4", late, {}, edited((20, 3)), 20),
    "MP4, HEVC trimmed": ("HEVC", "a.mp4", whole, {}, edited((20, 13)), 20),
    "MP4, MPEG-4 trimmed": ("MPEG-4", "a.mp4", whole, {}, edited((20, 13)), 20),
    "MP4, before zero": ("H.264", "a.mp4", earlier, BEFORE_ZERO, None, None),
    "MKV, before zero": ("H.264", "a.mkv", earlier, BEFORE_ZERO, None, 40),
    "MP4, in fragments": ("H.264", "a.mp4", whole, FRAGMENTS, None, 40),
    "MP4, absurd stts": ("H.264", "a.mp4", whole, {}, patched(b"stts", 8, 0x7FFFFFFF), 40),
    "MP4, absurd duration": ("H.264", "a.mp4", whole, {}, patched(b"mdhd", 16, 0x7FFFFFFF), 40),
    "MP4, times of decoding": ("H.264", "a.mp4", timed_by_decoding, {}, None, 39),
    "MP4, joined": ("H.264", "a.mp4", joined, {}, None, 80),
    "MP4, variable rate": ("H.264", "a.mp4", slower, {}, None, 40),
    "MP4, intra refresh": ("H.264, intra refresh", "a.mp4", whole, {}, None, 40),
    "MOV": ("H.264", "a.mov", whole, {}, None, 40),
    "3GP": ("H.264", "a.3gp", whole, {}, None, 40),
    "FLV": ("H.264", "a.flv", whole, {}, None, 40),
    "MPEG-TS": ("H.264", "a.ts", whole, {}, None, 40),
    "MPEG-TS from the middle": ("H.264", "a.ts", mid_gop, {}, None, 30),
    "MKV from the middle": ("H.264", "a.mkv", mid_gop, {}, None, 30),
    "MKV, open GOPs cut": ("H.264, open GOPs", "a.mkv", late, {}, None, None),
    "MKV, open GOPs cut at zero": (
        *("H.264, open GOPs", "a.mkv", late_at_zero),
        *(BEFORE_ZERO, None, None),
    ),
    "MKV, intra refresh cut": ("H.264, intra refresh", "a.mkv", mid_gop, {}, None, None),
    "MKV, interlaced": ("H.264, interlaced", "a.mkv", whole, {}, None, 40),
    "H.264 alone": ("H.264", "a.h264", whole, {}, None, 40),
    "AVI, H.264": ("H.264, start codes", "a.avi", whole, {}, None, 40),
    "AVI, H.264, variable rate": ("H.264, start codes", "a.avi", slower, {}, None, 40),
    "AVI, MPEG-4": ("MPEG-4", "a.avi", whole, {}, None, 40),
    "AVI, MPEG-4 packed": ("MPEG-4", "a.avi", packed, {}, None, 40),
    "AVI, MPEG-4 repeating": ("MPEG-4", "a.avi", repeating, {}, None, 40),
    "MP4, MPEG-4 packed": ("MPEG-4", "a.mp4", packed, {}, None, 40),
    "MP4, MPEG-4 repeating": ("MPEG-4", "a.mp4", repeating, {}, None, 40),
    "AVI, MJPEG": ("MJPEG", "a.avi", whole, {}, None, 40),
    "AVI, MJPEG, variable rate": ("MJPEG", "a.avi", slower, {}, None, 40),
    "MKV, HEVC": ("HEVC", "a.mkv", whole, {}, None, 40),
    "MKV, HEVC cut": ("HEVC, open GOPs", "a.mkv", late, {}, None, None),
    "MKV, HEVC cut at zero": (
        *("HEVC, open GOPs", "a.mkv", late_at_zero),
        *(BEFORE_ZERO, None, None),
    ),
    "MPEG-TS, HEVC from the middle": ("HEVC", "a.ts", mid_gop, {}, None, 30),
    "WebM, VP8 hidden": ("VP8", "a.webm", hidden, {}, None, 32),
    "AVI, VP8 hidden": ("VP8", "a.avi", hidden, {}, None, 32),
    "IVF, VP8": ("VP8", "a.ivf", whole, {}, None, 40),
    "WebM, VP9": ("VP9", "a.webm", whole, {}, None, 40),
    "MP4, AV1": ("AV1", "a.mp4", whole, {}, None, 40),
    "MPEG-TS, MPEG-2 from the middle": ("MPEG-2", "a.ts", mid_gop, {}, None, None),
}
# OpenCV has no decoder for AV1, and converts interlaced colours as if they were progressive.
NOT_AS_OPENCV = {"MP4, AV1", "MKV, interlaced"}


def opencv(path):
    capture, images = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        images.append(read[1][..., ::-1])
    return images


@pytest.mark.parametrize("kind", INTACT)
def test_frames_are_those_of_a_full_decode(encoded, tmp_path, kind):
    codec, name, choose, options, patch, expected = INTACT[kind]
    source, parts = encoded(codec)
    path = tmp_path / name
    if codec == "AV1":  # its packets cannot be written again
        write(path, drawn(FRAMES, 64, 48), **CODECS[codec])
    else:
        muxed(source, path, choose(parts), **options)
    if patch:
        path.write_bytes(patch(path.read_bytes()))
    reference = full_decode(path)
    assert len(reference) == expected or (expected is None and 20 <= len(reference) < FRAMES)
    video = demux.read_video(path)
    assert (video.n_frames, video.missing_frames) == (len(reference), 0)
    for wanted in (range(len(reference)), range(3, len(reference), 7)):
        kept = list(decode.frames(video, wanted))
        assert [frame.index for frame in kept] == list(wanted)
        assert all(a.time_s < b.time_s for a, b in pairwise(kept))
        for frame in kept:
            np.testing.assert_array_equal(frame.picture.image, reference[frame.index])
    if kind not in NOT_AS_OPENCV:
        np.testing.assert_array_equal(opencv(path), reference)


def test_frames_are_counted_without_decoding_if_timestamps_are_reliable(
    encoded, tmp_path, monkeypatch
):
    monkeypatch.setattr(display_order, "by_decoding", None)
    for codec, name in (("H.264", "a.mp4"), ("H.264", "a.ts"), ("HEVC", "a.mp4")):
        source, parts = encoded(codec)
        muxed(source, tmp_path / name, parts)
        assert demux.read_video(tmp_path / name).n_frames == FRAMES


def test_times_come_from_the_container_or_from_the_decoding_order(encoded, tmp_path):
    """In an AVI file, a frame is shown when the decoder outputs it, in steps of the packets."""
    cases = {
        "trimmed.mp4": ("H.264", whole, edited((20, 13)), [i / 25 for i in range(20)]),
        "slower.mp4": (
            "H.264",
            slower,
            None,
            [i / 25 if i < 10 else 0.12 * i - 0.8 for i in range(40)],
        ),
        "b.avi": ("H.264, start codes", whole, None, [i / 25 for i in range(40)]),
        "jpeg.avi": (
            "MJPEG",
            slower,
            None,
            [i / 25 if i < 10 else 0.12 * i - 0.8 for i in range(40)],
        ),
        "a.h264": ("H.264", whole, None, [i / 25 for i in range(40)]),
    }
    for name, (codec, choose, patch, expected) in cases.items():
        source, parts = encoded(codec)
        path = tmp_path / name
        muxed(source, path, choose(parts))
        if patch:
            path.write_bytes(patch(path.read_bytes()))
        video = demux.read_video(path)
        assert [video.time_s(i) for i in range(video.n_frames)] == pytest.approx(expected, abs=2e-3)


# codec, file, selection of packets, container options, expected number of frames
CUT = {
    "MP4": ("H.264", "a.mp4", whole, {"movflags": "faststart"}, 40),
    "MP4, MPEG-4": ("MPEG-4", "a.mp4", whole, {"movflags": "faststart"}, 40),
    "MP4, in fragments": ("H.264", "a.mp4", whole, FRAGMENTS, 30),
    "AVI": ("MJPEG", "a.avi", whole, {}, 40),
    "AVI, H.264": ("H.264, start codes", "a.avi", whole, {}, 40),
    "AVI, variable rate": ("MJPEG", "a.avi", slower, {}, 68),
}


@pytest.mark.parametrize("kind", CUT)
def test_a_truncated_file_is_detected(encoded, tmp_path, kind):
    codec, name, choose, options, expected = CUT[kind]
    source, parts = encoded(codec)
    path = tmp_path / name
    muxed(source, path, choose(parts), **options)
    reference = full_decode(path)
    with av.open(str(path)) as file:
        last = [packet.pos for packet in file.demux(video=0) if packet.size][25]
    path.write_bytes(path.read_bytes()[: last + 12])
    video = demux.read_video(path)
    assert 20 <= len(video.packet_of_frame) <= 26
    assert video.n_frames == expected
    kept = list(decode.frames(video, range(video.n_frames)))
    assert len(kept) >= len(video.packet_of_frame) - 4
    for frame in kept:
        np.testing.assert_array_equal(frame.picture.image, reference[frame.index])


@pytest.mark.parametrize(
    ("codec", "name", "lost"),
    [
        ("H.264", "a.mp4", 0),
        ("H.264", "a.mp4", 1),
        ("H.264, start codes", "a.avi", 1),
        ("H.264, start codes", "a.avi", 20),
        ("HEVC", "a.mp4", 12),
        ("MPEG-4", "a.mp4", 0),
        ("MPEG-4", "a.avi", 11),
    ],
)
def test_a_damaged_packet_does_not_shift_other_frames(encoded, tmp_path, codec, name, lost):
    source, parts = encoded(codec)
    muxed(source, tmp_path / name, parts)
    reference = full_decode(tmp_path / name)
    broken = parts[lost].data[:5] + bytes(255 - byte for byte in parts[lost].data[5:])
    damaged = [*parts[:lost], replace(parts[lost], data=broken), *parts[lost + 1 :]]
    muxed(source, tmp_path / name, damaged)
    video = demux.read_video(tmp_path / name)
    kept = list(decode.frames(video, range(FRAMES)))
    assert (video.n_frames, video.missing_frames) == (FRAMES, 0)
    assert FRAMES - 2 * GOP <= len(kept) < FRAMES
    for frame in kept:
        np.testing.assert_array_equal(frame.picture.image, reference[frame.index])


def test_a_video_without_decodable_frames_is_an_error(encoded, tmp_path):
    source, parts = encoded("H.264")
    path = tmp_path / "a.mkv"
    muxed(source, path, parts[1:9])
    with pytest.raises(DecodeError, match=r"a\.mkv: no frame of its 8 packets can be decoded"):
        demux.read_video(path)


def test_the_timeout_applies_to_single_frames_while_counting(encoded, tmp_path, monkeypatch):
    source, parts = encoded("MPEG-4")
    path = tmp_path / "a.avi"
    muxed(source, path, parts[:12])
    feed = display_order.decoded_frames

    def slowly(*args):
        for came in feed(*args):
            time.sleep(0.15)
            yield came

    monkeypatch.setattr(display_order, "decoded_frames", slowly)
    clip = Clip("Youtube", "c23", "a", path)
    video, frames = open_clip(clip, FramePlan(every=4).wanted, Limits(time_s=1.3))
    assert [frame.index for frame in frames] == [0, 4, 8]
    assert video.n_frames == 12
