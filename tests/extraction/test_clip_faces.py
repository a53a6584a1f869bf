"""The faces in each frame of a clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffpp_tools.extraction.clip_faces import RelatedData, faces_by_frame
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.faces import paired
from ffpp_tools.faces.unchanged_fakes import ChangeDetector
from ffpp_tools.sources.clip import Clip
from ffpp_tools.video import decode
from ffpp_tools.video.image import Picture
from tests.helpers.faces import found_in, scene


def test_the_frame_size_may_change_within_a_clip(tmp_path):
    """Streams may do this. Here a decoder returns frames of two sizes."""
    large = [scene(360, 640, [(3, 300, 330, 40)])] * 2
    small = [scene(180, 320, [(3, 170, 5, 5)])] * 2
    frames = [decode.Frame(i, float(i), Picture(im)) for i, im in enumerate([*large, *small])]
    clip = Clip("Youtube", "c23", "000", tmp_path / "000.mp4")
    settings = ClipSettings(smooth=3)
    related = RelatedData(None, {}, "", None)
    by_frame = list(faces_by_frame(clip, iter(frames), settings, related))
    assert [len(f.faces) for f in by_frame] == [1, 1, 1, 1]
    for frame_faces in by_frame[2:]:
        box = frame_faces.faces[0].box
        assert box.x + box.width <= 320


def faces_of_fake(picture, original, mask=None):
    """The faces in one frame of a fake."""
    clip = Clip("Deepfakes", "c23", "000_001", Path("000_001.mp4"))
    related = RelatedData(None, {0: original} if original else {}, "", None)
    frames = iter([decode.Frame(0, 0.0, picture)])
    (found,) = faces_by_frame(clip, frames, ClipSettings(), related, mask, ChangeDetector(clip))
    return found


def test_a_fakes_mask_selects_the_face_else_the_face_selected_in_the_original():
    picture = Picture(scene(360, 640, [(3, 320, 10, 20), (2, 230, 380, 90)]))
    large, small = sorted(found_in(picture.image), key=lambda face: face.box.x)
    assert large.box.area > small.box.area
    known = [replace(large, track=0), replace(small, track=1)]
    original = paired.reduce_original(picture, known, 1, "c23")
    assert faces_of_fake(picture, original).chosen_track == 1
    unreadable = faces_of_fake(picture, original, lambda index, picture: None)
    assert unreadable.chosen_track == 1
    mask = np.zeros((360, 640), np.uint8)
    mask[large.box.y : large.box.y + 100, large.box.x : large.box.x + 100] = 255
    assert faces_of_fake(picture, original, lambda index, picture: mask).chosen_track == 0


def test_an_originals_mask_is_not_read_if_there_is_only_one_face():
    frames = iter([decode.Frame(0, 0.0, Picture(scene(360, 640, [(3, 320, 10, 20)])))])
    clip, alone = Clip("Youtube", "c23", "000", Path("000.mp4")), RelatedData(None, {}, "", None)
    (found,) = faces_by_frame(
        clip, frames, ClipSettings(), alone, lambda index, picture: pytest.fail("read")
    )
    assert found.chosen_track == 0


def test_detection_runs_on_the_fake_if_the_original_shows_no_face():
    picture = Picture(scene(360, 640, [(3, 320, 10, 20)]))
    found = faces_of_fake(picture, paired.reduce_original(picture, [], None, "c23"))
    assert [face.box_from for face in found.faces] == ["detected"]
