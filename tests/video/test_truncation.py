"""Whether a video file was cut off, by its container's structure."""

import pytest

from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS
from ffpp_tools.video.container import open_container, video_stream
from ffpp_tools.video.truncation import missing_frames
from tests.helpers.videos import drawn, remux, write

FRAMES = 40


def missing(path):
    """How many frames are missing by what the file declares, and how many packets it holds."""
    with open_container(path, MAX_FRAME_PIXELS) as container:
        stream = video_stream(container, path, MAX_FRAME_PIXELS)
        dts = [packet.dts for packet in container.demux(stream) if packet.size]
        return missing_frames(container, stream, path, dts), len(dts)


def written(path):
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    return write(path, drawn(FRAMES), codec, bf="0", g="5")


def cut(path):
    """The first two thirds of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_nothing_is_missing_of_a_whole_file(tmp_path, name):
    assert missing(written(tmp_path / name)) == (0, FRAMES)


def test_mp4s_index_tells_how_many_frames_were_cut_off(tmp_path):
    remux(written(tmp_path / "a.mp4"), tmp_path / "faststart.mp4", movflags="faststart")
    lost, there = missing(cut(tmp_path / "faststart.mp4"))
    assert lost > 5
    assert lost + there == FRAMES


def test_avi_tells_that_frames_were_cut_off_and_matroska_does_not(tmp_path):
    lost, there = missing(cut(written(tmp_path / "a.avi")))
    assert 1 <= lost <= FRAMES - there
    assert missing(cut(written(tmp_path / "a.mkv")))[0] == 0
