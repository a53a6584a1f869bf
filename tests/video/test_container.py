"""Opening of video files within limits, and decoding of selected packets."""

import pytest

from ffpp_tools.errors import DecodeError, SizeError
from ffpp_tools.video.container import decoded_frames, open_container, video_stream
from tests.helpers.videos import audio_only, drawn, write

LIMIT = 128 * 96


def test_frames_come_with_packet_positions_and_reading_stops_after_the_last(
    tmp_path,
):
    path = write(tmp_path / "a.mp4", drawn(9), bf="0", g="3")
    with open_container(path, LIMIT) as container:
        found = list(decoded_frames(container, video_stream(container, path, LIMIT), [0, 1, 3]))
    assert [position for position, _ in found] == [0, 1, 3]
    assert all(frame is not None for _, frame in found)
    with open_container(path, LIMIT) as container:
        assert list(decoded_frames(container, video_stream(container, path, LIMIT), [])) == []


def test_a_stream_with_frames_above_the_limit_is_rejected(tmp_path):
    path = write(tmp_path / "a.mp4", drawn(1))
    with (
        open_container(path, LIMIT - 1) as container,
        pytest.raises(SizeError, match=r"a\.mp4: declares 128 × 96 = 12,288 pixels.*12,287"),
    ):
        video_stream(container, path, LIMIT - 1)


def test_a_file_without_a_video_stream_is_an_error(tmp_path):
    audio_only(tmp_path / "a.m4a")
    with (
        open_container(tmp_path / "a.m4a", LIMIT) as container,
        pytest.raises(DecodeError, match=r"a\.m4a: contains no video stream"),
    ):
        video_stream(container, tmp_path / "a.m4a", LIMIT)
