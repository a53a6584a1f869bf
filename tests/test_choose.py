import numpy as np
import pytest

from ffpp_tools import decode, demux
from ffpp_tools.choose import forged, largest, mask_video
from ffpp_tools.detect import Box, Face
from ffpp_tools.layout import families, find_clips
from tests.test_decode import write
from tests.test_detect import found_in


def test_largest_is_by_area_and_settles_ties_by_place():
    small, left, right = (
        Face(Box(*b), 1.0) for b in [(0, 0, 9, 9), (5, 5, 10, 10), (8, 1, 10, 10)]
    )
    assert largest([right, small, left]) == left
    assert largest([small, right]) == right
    above = Face(Box(5, 2, 10, 10), 1.0)
    assert largest([left, above]) == above


def test_a_guess_is_not_preferred_to_a_sure_face_however_large():
    guess, sure = Face(Box(0, 0, 90, 90), 0.1), Face(Box(0, 0, 10, 10), 1.0)
    assert largest([guess, sure]) == sure
    assert largest([guess]) == guess


FACES = [Face(Box(10, 10, 40, 40), 1.0), Face(Box(100, 10, 60, 60), 1.0)]


@pytest.mark.parametrize(
    ("x", "width", "expected"),
    [(15, 30, FACES[0]), (100, 40, FACES[1]), (45, 3, None), (170, 20, None)],
)
def test_the_forged_face_is_the_one_that_the_mask_covers(x, width, expected):
    mask = np.zeros((100, 200), np.uint8)
    mask[10:60, x : x + width] = 255
    assert forged(FACES, mask, 200, 100) is expected


def test_a_mask_may_show_the_middle_of_the_frame_only():
    mask = np.zeros((80, 140), np.uint8)  # from (30, 10) on
    mask[0:40, 0:18] = 255  # in the frame: x from 30 to 48, y from 10 to 50
    assert forged(FACES, mask, 200, 100) is FACES[0]
    mask = np.zeros((80, 140), np.uint8)
    mask[0:40, 70:100] = 255  # in the frame: x from 100 to 130
    assert forged(FACES, mask, 200, 100) is FACES[1]


def test_no_mask_no_answer():
    assert forged(FACES, None, 200, 100) is None


def test_the_demos_masks_cover_its_faces(ffpp):
    for family in families(ffpp, find_clips(ffpp, limit=1)):
        for clip in family.clips:
            if clip.label == "real":
                assert family.masks, "an original's fakes have masks"
                continue
            frame = frame_of(clip.path, 10)
            faces = found_in(frame)
            height, width = frame.shape[:2]
            bystander = Face(Box(0, 0, 20, 20), 1.0)
            mask = mask_video(clip.mask, 60)(10)
            assert forged([bystander, *faces], mask, width, height) == faces[0]


def frame_of(path, index):
    (frame,) = decode.frames(demux.probe(path), [index])
    return frame.picture.image


def test_masks_that_cannot_be_read_are_none(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    assert mask_video(tmp_path / "text.mp4", 60)(0) is None
    path = write(tmp_path / "short.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3)
    assert mask_video(path, 60)(2).shape == (32, 32)
    assert mask_video(path, 60)(7) is None
