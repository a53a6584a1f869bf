"""Frames and times by packets alone; files that are no videos."""

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


def test_a_comment_in_another_encoding_does_not_matter(ffpp, tmp_path):
    clip = find_clips(ffpp, categories=["Youtube"])[0]
    path = tmp_path / "comment.mp4"
    remux(clip.path, path, comment="commentary")
    data = path.read_bytes()
    assert b"commentary" in data
    path.write_bytes(data.replace(b"commentary", b"comment\xe9\xff\xfe"))
    assert demux.read_video(path).n_frames == demux.read_video(clip.path).n_frames


def test_a_codec_nobody_knows_is_an_error_that_names_the_file(tmp_path):
    path = write(tmp_path / "odd.mp4", drawn(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"qqqq"))
    with pytest.raises(DecodeError, match=r"odd\.mp4"):
        demux.read_video(path)


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
        demux.read_video(path)


@pytest.mark.parametrize("container", ["matroska", "mpegts"])
def test_a_video_has_one_hash_in_every_container(ffpp, tmp_path, container):
    path = find_clips(ffpp, ["Youtube"])[0].path
    written_again(path, tmp_path / "copy", container=container)
    assert demux.read_video(tmp_path / "copy").sha256 == demux.read_video(path).sha256
    written_again(path, tmp_path / "other.mp4", crf=30)
    assert demux.read_video(tmp_path / "other.mp4").sha256 != demux.read_video(path).sha256
