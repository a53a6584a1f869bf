"""Decoding of selected frames, compared with a full decode."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from ffpp_tools.demo.world import encode
from ffpp_tools.errors import SizeError
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import container, decode, demux
from tests.helpers.videos import (
    drawn,
    full_decode,
    gradient,
    shortened_with_index_first,
    write,
)


def picture_types(path):
    with av.open(str(path)) as file:
        return {av.video.frame.PictureType(f.pict_type).name for f in file.decode(video=0)}


@pytest.mark.parametrize("step", [1, 7, 25])
def test_selected_frames_equal_those_of_a_full_decode(ffpp, step):
    for clip in find_clips(ffpp, limit=1):
        assert "B" in picture_types(clip.path), "the demo's clips must have B-frames"
        reference = full_decode(clip.path)
        video = demux.read_video(clip.path)
        assert video.n_frames == len(reference)
        kept = list(decode.frames(video, range(0, video.n_frames, step)))
        assert [f.index for f in kept] == list(range(0, len(reference), step))
        for frame in kept:
            np.testing.assert_array_equal(frame.picture.image, reference[frame.index])


@pytest.mark.slow
def test_real_frames_equal_opencvs_full_decode(real_data):
    clips = find_clips(real_data / "data/FaceForensics++", compressions=["c40"], limit=1)
    assert {"Youtube", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"} <= {
        c.category for c in clips
    }
    for clip in clips:
        video = demux.read_video(clip.path)
        kept = {
            f.index: f.picture.image for f in decode.frames(video, range(0, video.n_frames, 25))
        }
        assert sorted(kept) == list(range(0, video.n_frames, 25))
        capture = cv2.VideoCapture(str(clip.path))
        for index in range(max(kept) + 1):
            found, image = capture.read()
            assert found
            if index in kept:
                np.testing.assert_array_equal(kept[index], image[..., ::-1])
        capture.release()


def test_times_follow_the_frame_rate(tmp_path):
    path = tmp_path / "a.mp4"
    encode(path, [gradient(i) for i in range(40)], 25, 23)
    kept = list(decode.frames(demux.read_video(path), [0, 10, 39]))
    assert [f.time_s for f in kept] == pytest.approx([0, 0.4, 39 / 25])


def test_index_and_time_are_right_when_the_frame_rate_varies(tmp_path):
    path = tmp_path / "vfr.mp4"
    ticks = [0, 1, 2, 10, 11, 40, 41, 42, 43, 100]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for i, pts in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(gradient(i), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 100)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    kept = list(decode.frames(demux.read_video(path), [0, 3, 5, 9]))
    assert [f.index for f in kept] == [0, 3, 5, 9]
    assert [f.time_s for f in kept] == pytest.approx([0, 0.10, 0.40, 1.0], abs=1e-3)
    for frame in kept:
        assert abs(int(frame.picture.image[20, 60, 0]) - int(gradient(frame.index)[20, 60, 0])) <= 3


X264 = {"b-pyramid": "normal", "bf": "5", "refs": "4", "g": "30"}
STREAMS = {
    "B-pyramid": ("a.mp4", {**X264}),
    "open GOPs": ("a.mp4", {**X264, "x264-params": "open-gop=1"}),
    "no B-frames": ("a.mp4", {"bf": "0", "g": "250"}),
    "only key frames": ("a.mp4", {"g": "1"}),
    "intra refresh": ("a.mp4", {"x264-params": "intra-refresh=1:keyint=20:bframes=0"}),
    "interlaced": ("a.mp4", {**X264, "x264-params": "interlaced=1"}),
    "several slices": ("a.mp4", {**X264, "x264-params": "slices=4"}),
    "start codes": ("a.ts", {**X264}),
    "in Matroska": ("a.mkv", {**X264}),
    "late first pts": ("a.mkv", {**X264, "first": 77}),
    "odd size": ("a.mp4", {**X264, "pixels": "yuv444p"}),
    "VP9": ("a.webm", {"codec": "libvpx-vp9", "g": "30", "auto-alt-ref": "1", "b": "200k"}),
    "MPEG-4": ("a.mp4", {"codec": "mpeg4", "bf": "2", "g": "30"}),
    "HEVC": ("a.mp4", {"codec": "libx265", "x265-params": "keyint=30:bframes=4:log-level=none"}),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_skipping_unneeded_packets_changes_no_pixel(tmp_path, kind):
    name, options = STREAMS[kind]
    size = (127, 95) if kind == "odd size" else (128, 96)
    path = write(tmp_path / name, drawn(101, *size), **options)
    reference = full_decode(path)
    video = demux.read_video(path)
    assert video.n_frames == len(reference) == 101
    for wanted in (range(0, 101, 25), [3], [31, 32, 88], range(0, 101, 4)):
        kept = list(decode.frames(video, wanted))
        assert [f.index for f in kept] == list(wanted)
        assert [f.time_s for f in kept] == pytest.approx([i / 25 for i in wanted], abs=2e-3)
        for frame in kept:
            np.testing.assert_array_equal(frame.picture.image, reference[frame.index])


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "rgb24"])
@pytest.mark.parametrize("size", [(128, 96), (126, 96), (127, 95), (128, 95), (127, 96)])
def test_a_part_of_a_frame_has_the_pixels_of_the_whole(tmp_path, pixels, size):
    codec = "libx264rgb" if pixels == "rgb24" else "mpeg4" if pixels == "yuv420p" else "ffv1"
    path = write(tmp_path / "a.mkv", drawn(2, *size), codec=codec, pixels=pixels)
    rng = np.random.default_rng(0)
    for _ in range(12):
        x, y = rng.integers(0, size[0] - 20), rng.integers(0, size[1] - 20)
        width, height = rng.integers(1, size[0] - x + 1), rng.integers(1, size[1] - y + 1)
        (frame,) = decode.frames(demux.read_video(path), [1])
        part = frame.picture.part(x, y, width, height)
        whole = full_decode(path)[1]
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def decoded_packets(monkeypatch, path, wanted):
    """Count the packets that reach the decoder, by wrapping the one function that feeds it."""
    positions = []
    feed = container._decode
    monkeypatch.setattr(
        container, "_decode", lambda s, p, at: (p and positions.append(at), feed(s, p, at))[1]
    )
    assert [f.index for f in decode.frames(demux.read_video(path), wanted)] == list(wanted)
    return len(positions)


def test_unwanted_non_reference_frames_and_gops_are_not_decoded(tmp_path, monkeypatch):
    fixed = {"bf": "3", "b_strategy": "0", "sc_threshold": "0", "x264-params": "keyint=40"}
    path = write(tmp_path / "a.mp4", drawn(120), **fixed)
    assert decoded_packets(monkeypatch, path, [80]) == 1, "the IDR picture of the third GOP"
    few = decoded_packets(monkeypatch, path, [36])
    assert few <= 1 + 2 * 9 + 1, "a P and a reference B of every four frames, then the wanted one"
    assert decoded_packets(monkeypatch, path, [36, 80]) == few + 1


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", [(False, False), (True, False), (False, True)])
def test_frames_are_rotated_as_the_display_matrix_specifies(tmp_path, degrees, flip):
    images = drawn(3)
    plain = full_decode(write(tmp_path / "plain.mp4", images))
    turned = write(tmp_path / "turned.mp4", images, turn=(degrees, *flip))
    expected = np.rot90(plain[2], degrees // 90)
    expected = expected[:, ::-1] if flip[0] else expected
    expected = expected[::-1] if flip[1] else expected
    (frame,) = decode.frames(demux.read_video(turned), [2])
    np.testing.assert_array_equal(frame.picture.image, expected)
    if not any(flip):
        capture = cv2.VideoCapture(str(turned))
        opencv = [capture.read()[1] for _ in range(3)]
        np.testing.assert_array_equal(frame.picture.image, opencv[2][..., ::-1])


def test_a_truncated_file_yields_its_frames_and_declares_the_missing_ones(ffpp, tmp_path):
    cut = tmp_path / "cut.mp4"
    original = find_clips(ffpp, categories=["Youtube"])[0].path
    whole = demux.read_video(original)
    cut.write_bytes(shortened_with_index_first(original, tmp_path))
    video = demux.read_video(cut)
    assert 0 < len(video.packet_of_frame) < video.n_frames == whole.n_frames
    assert np.isnan(video.time_s(video.n_frames - 1))
    reference = full_decode(original)
    kept = list(decode.frames(video, range(video.n_frames)))
    # Up to 4 frames wait for the packet that is cut.
    assert len(kept) >= len(video.packet_of_frame) - 4
    for frame in kept:
        np.testing.assert_array_equal(frame.picture.image, reference[frame.index])


def test_frames_after_a_damaged_packet_are_omitted(tmp_path):
    path = tmp_path / "a.mp4"
    encode(path, drawn(80), 25, 23)
    reference = full_decode(path)
    with av.open(str(path)) as file:
        packets = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
    for number in (9, 17, 45):
        data = bytearray(path.read_bytes())
        start, size = packets[number]
        for k in range(start + 5, start + size):
            data[k] ^= 0xFF
        damaged = tmp_path / f"{number}.mp4"
        damaged.write_bytes(bytes(data))
        kept = list(decode.frames(demux.read_video(damaged), range(80)))
        assert 0 < len(kept) < number + 1
        for frame in kept:
            np.testing.assert_array_equal(frame.picture.image, reference[frame.index])


def test_frames_above_the_pixel_limit_are_not_decoded(tmp_path):
    path = tmp_path / "large.mp4"
    encode(path, drawn(3), 25, 23)
    video = demux.read_video(path, 128 * 96)  # the limit itself is allowed
    assert len(list(decode.frames(video, range(3)))) == 3
    with pytest.raises(SizeError, match=r"large\.mp4: declares 128 × 96 = 12,288 .*--max-pixels"):
        demux.read_video(path, 128 * 96 - 1)
