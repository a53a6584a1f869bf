"""The faces of a clip, frame by frame."""

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


def test_a_frame_size_that_changes_on_the_way_is_no_trouble(tmp_path):
    """What a stream may do; here by frames of two sizes from one decoder."""
    large = [scene(360, 640, [(3, 300, 330, 40)])] * 2
    small = [scene(180, 320, [(3, 170, 5, 5)])] * 2
    frames = [decode.Frame(i, float(i), Picture(im)) for i, im in enumerate([*large, *small])]
    clip = Clip("Youtube", "c23", "000", tmp_path / "000.mp4")
    settings = ClipSettings(smooth=3)
    relatives = RelatedData(None, {}, "", None)
    found = list(faces_by_frame(clip, iter(frames), settings, relatives))
    assert [len(s.faces) for s in found] == [1, 1, 1, 1]
    for sight in found[2:]:
        assert sight.faces[0].box.x + sight.faces[0].box.width <= 320


def sight_of(picture, like, mask=None):
    """What is seen in one frame of a fake."""
    clip = Clip("Deepfakes", "c23", "000_001", Path("000_001.mp4"))
    relatives = RelatedData(None, {0: like} if like else {}, "", None)
    frames = iter([decode.Frame(0, 0.0, picture)])
    (found,) = faces_by_frame(clip, frames, ClipSettings(), relatives, mask, ChangeDetector(clip))
    return found


def test_a_fake_is_about_whom_its_original_is_about_unless_its_own_mask_tells():
    picture = Picture(scene(360, 640, [(3, 320, 10, 20), (2, 230, 380, 90)]))
    large, small = sorted(found_in(picture.image), key=lambda face: face.box.x)
    assert large.box.area > small.box.area
    known = [replace(large, track=0), replace(small, track=1)]
    like = paired.reduce_original(picture, known, 1, "c23")
    assert sight_of(picture, like).chosen == 1
    assert sight_of(picture, like, lambda index, picture: None).chosen == 1  # it could not be read
    mask = np.zeros((360, 640), np.uint8)
    mask[large.box.y : large.box.y + 100, large.box.x : large.box.x + 100] = 255
    assert sight_of(picture, like, lambda index, picture: mask).chosen == 0


def test_an_originals_mask_is_not_read_where_there_is_one_face_alone():
    frames = iter([decode.Frame(0, 0.0, Picture(scene(360, 640, [(3, 320, 10, 20)])))])
    clip, alone = Clip("Youtube", "c23", "000", Path("000.mp4")), RelatedData(None, {}, "", None)
    (found,) = faces_by_frame(
        clip, frames, ClipSettings(), alone, lambda index, picture: pytest.fail("read")
    )
    assert found.chosen == 0


def test_where_the_original_shows_nobody_the_fake_is_searched_itself():
    picture = Picture(scene(360, 640, [(3, 320, 10, 20)]))
    found = sight_of(picture, paired.reduce_original(picture, [], None, "c23"))
    assert [face.box_from for face in found.faces] == ["detected"]
