"""Frames and times of videos, and files that are not videos."""

import pytest

from ffpp_tools.errors import DecodeError
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import demux
from tests.helpers.videos import (
    audio_only,
    drawn,
    remux,
    write,
    written_again,
)


def test_metadata_in_another_encoding_are_ignored(ffpp, tmp_path):
    clip = find_clips(ffpp, categories=["Youtube"])[0]
    path = tmp_path / "comment.mp4"
    remux(clip.path, path, comment="commentary")
    data = path.read_bytes()
    assert b"commentary" in data
    path.write_bytes(data.replace(b"commentary", b"comment\xe9\xff\xfe"))
    assert demux.read_video(path).n_frames == demux.read_video(clip.path).n_frames


def test_the_error_on_an_unknown_codec_names_the_file(tmp_path):
    path = write(tmp_path / "odd.mp4", drawn(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"qqqq"))
    with pytest.raises(DecodeError, match=r"odd\.mp4"):
        demux.read_video(path)


@pytest.mark.parametrize("kind", ["text", "empty", "missing", "folder", "audio"])
def test_the_error_on_a_file_that_is_not_a_video_names_it(tmp_path, kind):
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
        demux.read_video(path)


@pytest.mark.parametrize("container", ["matroska", "mpegts"])
def test_the_hash_of_a_video_does_not_depend_on_the_container(ffpp, tmp_path, container):
    path = find_clips(ffpp, ["Youtube"])[0].path
    written_again(path, tmp_path / "copy", container=container)
    assert demux.read_video(tmp_path / "copy").sha256 == demux.read_video(path).sha256
    written_again(path, tmp_path / "other.mp4", crf=30)
    assert demux.read_video(tmp_path / "other.mp4").sha256 != demux.read_video(path).sha256
