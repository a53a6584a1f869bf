"""Clips stored as numbered images."""

import cv2
import numpy as np
import pytest

from ffpp_tools.errors import DecodeError
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.video import decode, demux, image_sequence
from tests.helpers.worlds import SETTINGS


def written(clip, folder, indices=None):
    """Write the frames of a clip as FF++'s own script does."""
    folder.mkdir(parents=True)
    video = demux.read_video(clip.path)
    wanted = range(video.n_frames) if indices is None else indices
    for frame in decode.frames(video, list(wanted)):
        cv2.imwrite(str(folder / f"{frame.index:04d}.png"), frame.picture.image[..., ::-1])
    return folder


def test_a_folder_of_frames_gives_the_same_crops_as_its_video(ffpp, tmp_path):
    """If all frames of a clip are written, every crop has the same bytes."""
    root = tmp_path / "images"
    for category, place in (
        ("Youtube", "original_sequences/youtube"),
        ("FaceSwap", "manipulated_sequences/FaceSwap"),
    ):
        clip = find_clips(ffpp, [category])[0]
        written(clip, root / place / "c23/images" / clip.name)
    clips = find_clips(root)
    as_images = extract_dataset(families(root, clips), tmp_path / "a", SETTINGS)
    names = {(c.category, c.name) for c in clips}
    videos = [c for c in find_clips(ffpp) if (c.category, c.name) in names]
    as_videos = extract_dataset(families(ffpp, videos), tmp_path / "b", SETTINGS)
    assert len(as_images.faces) >= 8
    assert dict(zip(as_images.faces["face_id"], as_images.faces["sha256"], strict=True)) == dict(
        zip(as_videos.faces["face_id"], as_videos.faces["sha256"], strict=True)
    )
    assert as_images.frames["time_s"].isna().all()  # frame times are unknown


def test_the_number_in_a_file_name_is_the_frame_index(ffpp, tmp_path):
    clip = find_clips(ffpp, ["Youtube"])[0]
    folder = written(clip, tmp_path / "000", [0, 10, 20])
    (folder / "0030.png").write_bytes(b"no image")
    (folder / "notes.png").write_bytes(b"no number")
    video = image_sequence.read_sequence(folder)
    assert video.n_frames == 31
    found = list(image_sequence.frames(video, [0, 5, 20, 30, 40]))
    assert [f.index for f in found] == [0, 20]
    (whole,) = decode.frames(demux.read_video(clip.path), [20])
    assert np.array_equal(found[1].picture.image, whole.picture.image)


def test_a_folder_without_frames_is_an_error(tmp_path):
    with pytest.raises(DecodeError, match=r"0000\.png"):
        image_sequence.read_sequence(tmp_path)


def test_an_unreasonably_large_frame_number_is_an_error(tmp_path):
    for name in ("0000.png", "20260131120000.png"):
        (tmp_path / name).touch()
    with pytest.raises(DecodeError, match=r"20260131120000\.png: .* below 1,000,000"):
        image_sequence.read_sequence(tmp_path)


def test_missing_frames_get_ledger_rows_with_an_error(ffpp, tmp_path):
    clip = find_clips(ffpp, ["Youtube"])[0]
    folder = tmp_path / "original_sequences/youtube/c23/images/000"
    written(clip, folder, [0, 20])
    found = find_clips(tmp_path)
    frames = extract_dataset(families(tmp_path, found), tmp_path / "d", SETTINGS).frames
    assert frames["status"].to_list() == ["ok", "decode_error", "ok"]
