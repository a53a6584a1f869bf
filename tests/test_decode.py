from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from ffpp_tools import decode
from ffpp_tools.demo.world import encode
from ffpp_tools.errors import DecodeError
from ffpp_tools.layout import find_clips


def full_decode(path):
    """Every frame of the video, by nothing but a plain loop."""
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def picture_types(path):
    with av.open(str(path)) as container:
        return {av.video.frame.PictureType(f.pict_type).name for f in container.decode(video=0)}


def gradient(index, width=64, height=48):
    """A frame that tells its index in its grey level."""
    image = np.full((height, width, 3), (index * 5) % 250, np.uint8)
    image[:, : width // 2] += 3
    return image


@pytest.mark.parametrize("step", [1, 7, 25])
def test_kept_frames_equal_those_of_a_full_decode(ffpp, step):
    for clip in find_clips(ffpp, limit=1):
        assert "B" in picture_types(clip.path), "the demo's clips must have B-frames"
        reference = full_decode(clip.path)
        video = decode.probe(clip.path)
        assert video.n_frames == len(reference)
        kept = list(decode.frames(video, range(0, video.n_frames, step)))
        assert [f.index for f in kept] == list(range(0, len(reference), step))
        for frame in kept:
            np.testing.assert_array_equal(frame.image, reference[frame.index])


def test_real_frames_equal_opencvs_full_decode(real_data):
    clips = find_clips(real_data / "data/FaceForensics++", compressions=["c40"], limit=1)
    assert {"Youtube", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"} <= {
        c.category for c in clips
    }
    for clip in clips:
        video = decode.probe(clip.path)
        kept = {f.index: f.image for f in decode.frames(video, range(0, video.n_frames, 25))}
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
    kept = list(decode.frames(decode.probe(path), [0, 10, 39]))
    assert [f.time_s for f in kept] == pytest.approx([0, 0.4, 39 / 25])


def test_index_and_time_are_right_when_the_frame_rate_varies(tmp_path):
    path = tmp_path / "vfr.mp4"
    ticks = [0, 1, 2, 10, 11, 40, 41, 42, 43, 100]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for i, pts in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(gradient(i), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    kept = list(decode.frames(decode.probe(path), [0, 3, 5, 9]))
    assert [f.index for f in kept] == [0, 3, 5, 9]
    assert [f.time_s for f in kept] == pytest.approx([0, 0.10, 0.40, 1.0], abs=1e-3)
    for frame in kept:
        assert abs(int(frame.image[20, 60, 0]) - int(gradient(frame.index)[20, 60, 0])) <= 3


def test_a_file_cut_short_gives_what_is_there_and_declares_the_rest(ffpp, tmp_path):
    cut = tmp_path / "cut.mp4"
    original = find_clips(ffpp, categories=["Youtube"])[0].path
    whole = decode.probe(original)
    cut.write_bytes(shortened_with_index_first(original, tmp_path))
    video = decode.probe(cut)
    assert 0 < len(video.pts) < video.n_frames == whole.n_frames
    assert np.isnan(video.time_s(video.n_frames - 1))
    reference = full_decode(original)
    kept = list(decode.frames(video, range(video.n_frames)))
    assert len(kept) >= len(video.pts) - 4  # those that wait for the packet that is cut through
    for frame in kept:
        np.testing.assert_array_equal(frame.image, reference[frame.index])


def remux(path, target, comment="", **options):
    """The same packets in a new file."""
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as sink:
        sink.metadata["comment"] = comment
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)


def shortened_with_index_first(path, folder):
    """Two thirds of the bytes of the clip, after moving its index to the front."""
    remux(path, folder / "faststart.mp4", movflags="faststart")
    data = (folder / "faststart.mp4").read_bytes()
    return data[: len(data) * 2 // 3]


def test_frames_behind_a_packet_that_fails_are_not_passed_on(tmp_path):
    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(0)
    scene = cv2.GaussianBlur(noise.integers(0, 256, (96, 400, 3)).astype(np.uint8), (0, 0), 2)
    encode(path, [scene[:, 3 * i : 3 * i + 128] for i in range(80)], 25, 23)
    reference = full_decode(path)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for number in (9, 17, 45):
        data = bytearray(path.read_bytes())
        start, size = packets[number]
        for k in range(start + 5, start + size):
            data[k] ^= 0xFF
        damaged = tmp_path / f"{number}.mp4"
        damaged.write_bytes(bytes(data))
        kept = list(decode.frames(decode.probe(damaged), range(80)))
        assert 0 < len(kept) < number + 1
        for frame in kept:
            np.testing.assert_array_equal(frame.image, reference[frame.index])


def test_a_comment_in_another_encoding_does_not_matter(ffpp, tmp_path):
    clip = find_clips(ffpp, categories=["Youtube"])[0]
    path = tmp_path / "comment.mp4"
    remux(clip.path, path, comment="commentary")
    data = path.read_bytes()
    assert b"commentary" in data
    path.write_bytes(data.replace(b"commentary", b"comment\xe9\xff\xfe"))
    assert decode.probe(path).n_frames == decode.probe(clip.path).n_frames


def audio_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("kind", ["text", "empty", "missing", "folder", "audio"])
def test_what_is_no_video_is_an_error_that_names_the_file(tmp_path, kind):
    path = tmp_path / "bad clip é.mp4"
    if kind == "text":
        path.write_text("this is not a video")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "audio":
        audio_only(path)
    with pytest.raises(DecodeError, match=r"bad clip é\.mp4"):
        decode.probe(path)
