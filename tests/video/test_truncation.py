"""Detection of truncated video files."""

import pytest

from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS
from ffpp_tools.video.container import open_container, video_stream
from ffpp_tools.video.truncation import missing_frames
from tests.helpers.videos import drawn, remux, write

FRAMES = 40


def missing(path):
    """The number of missing frames, and the number of packets in the file."""
    with open_container(path, MAX_FRAME_PIXELS) as container:
        stream = video_stream(container, path, MAX_FRAME_PIXELS)
        dts = [packet.dts for packet in container.demux(stream) if packet.size]
        return missing_frames(container, stream, path, dts), len(dts)


def written(path):
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    return write(path, drawn(FRAMES), codec, bf="0", g="5")


def cut(path):
    """Keep only the first two thirds of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_no_frame_is_missing_in_a_complete_file(tmp_path, name):
    assert missing(written(tmp_path / name)) == (0, FRAMES)


def test_the_index_of_mp4_gives_the_number_of_missing_frames(tmp_path):
    remux(written(tmp_path / "a.mp4"), tmp_path / "faststart.mp4", movflags="faststart")
    n_missing, n_packets = missing(cut(tmp_path / "faststart.mp4"))
    assert n_missing > 5
    assert n_missing + n_packets == FRAMES


def test_missing_frames_are_detected_in_avi_but_not_in_matroska(tmp_path):
    n_missing, n_packets = missing(cut(written(tmp_path / "a.avi")))
    assert 1 <= n_missing <= FRAMES - n_packets
    assert missing(cut(written(tmp_path / "a.mkv")))[0] == 0
