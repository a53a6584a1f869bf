"""Selection of the target face, and masks of fakes."""

import cv2
import numpy as np
import pytest

from ffpp_tools.faces.detect import Box, Face
from ffpp_tools.faces.select import MaskVideo, fitted, forged_face, largest_face, outside
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.video import decode, demux
from ffpp_tools.video.decode_limits import Limits
from ffpp_tools.video.image import Picture
from tests.helpers.faces import found_in
from tests.helpers.videos import write


def test_the_largest_face_is_chosen_by_area_then_position():
    small, left, right = (
        Face(Box(*b), 1.0) for b in [(0, 0, 9, 9), (5, 5, 10, 10), (8, 1, 10, 10)]
    )
    assert largest_face([right, small, left]) == left
    assert largest_face([small, right]) == right
    above = Face(Box(5, 2, 10, 10), 1.0)
    assert largest_face([left, above]) == above


def test_a_confident_face_is_preferred_to_a_larger_uncertain_one():
    uncertain, confident = Face(Box(0, 0, 90, 90), 0.1), Face(Box(0, 0, 10, 10), 1.0)
    assert largest_face([uncertain, confident]) == confident
    assert largest_face([uncertain]) == uncertain


FACES = [Face(Box(10, 10, 40, 40), 1.0), Face(Box(100, 10, 60, 60), 1.0, track=1)]
FRAME = Picture(np.zeros((100, 200, 3), np.uint8))


@pytest.mark.parametrize(
    ("x", "width", "expected"),
    [(15, 30, FACES[0]), (100, 40, FACES[1]), (45, 3, None), (170, 20, None)],
)
def test_the_forged_face_is_the_one_that_the_mask_covers(x, width, expected):
    mask = np.zeros((100, 200), np.uint8)
    mask[10:60, x : x + width] = 255
    assert forged_face(FACES, mask, FRAME) is expected


def test_a_mask_may_cover_only_the_centre_of_the_frame():
    mask = np.zeros((80, 140), np.uint8)  # from (30, 10) on
    mask[0:40, 0:18] = 255  # in the frame: x from 30 to 48, y from 10 to 50
    assert forged_face(FACES, mask, FRAME) is FACES[0]
    mask = np.zeros((80, 140), np.uint8)
    mask[0:40, 70:100] = 255  # in the frame: x from 100 to 130
    assert forged_face(FACES, mask, FRAME) is FACES[1]


def test_without_a_mask_no_face_is_forged():
    assert forged_face(FACES, None, FRAME) is None


def test_the_demos_masks_cover_its_faces(ffpp):
    for family in families(ffpp, find_clips(ffpp, limit=1)):
        for clip in family.clips:
            if clip.label == "real":
                assert family.masks, "an original's fakes have masks"
                continue
            frame = frame_of(clip.path, 10)
            faces = found_in(frame)
            bystander = Face(Box(0, 0, 20, 20), 1.0, track=5)
            mask = MaskVideo(clip.mask_path, [10], Limits())(10, Picture(frame))
            assert forged_face([bystander, *faces], mask, Picture(frame)) == faces[0]
            assert outside([bystander, *faces], mask, Picture(frame)) == {5}


def frame_of(path, index):
    (frame,) = decode.frames(demux.read_video(path), [index])
    return frame.picture.image


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (slice(10, 50), {1}),  # all of the first face, nothing of the second
        (slice(46, 104), {1}),  # a tenth of the first, less of the second
        (slice(100, 160), {0}),
        (slice(0, 0), {0, 1}),
    ],
)
def test_faces_that_a_mask_does_not_cover_are_outside(columns, expected):
    mask = np.zeros((100, 200), np.uint8)
    mask[10:70, columns] = 255
    assert outside(FACES, mask, FRAME) == expected


def test_a_small_covered_area_counts_if_the_mask_covers_no_other_face():
    mask = np.zeros((100, 200), np.uint8)
    mask[10:30, 10:14] = 255  # a twentieth of the first face
    assert outside(FACES, mask, FRAME) == {1}
    assert outside(FACES[:1], mask, FRAME) == set()
    mask[10:70, 100:160] = 255
    assert outside(FACES, mask, FRAME) == {0}, "the edge of another person's mask"
    speck = np.zeros((100, 200), np.uint8)
    speck[20, 20:27] = 255  # 7 of 1,600 pixels
    assert outside(FACES[:1], speck, FRAME) == {0}


def test_masks_are_read_in_order_and_unreadable_ones_are_none(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    damaged = MaskVideo(tmp_path / "text.mp4", [0], Limits())
    assert damaged(0, FRAME) is None
    assert "text.mp4" in damaged.error
    levels = [np.full((32, 32, 3), 25 * i, np.uint8) for i in range(6)]
    path = write(tmp_path / "short.mp4", levels)
    read, small = MaskVideo(path, [0, 2, 4, 7], Limits()), Picture(np.zeros((32, 32, 3), np.uint8))
    assert [round(read(i, small).mean() / 25) for i in (2, 2, 4)] == [2, 2, 4]
    assert read(7, small) is None
    assert read.error == "", "a mask video may be shorter than its clip"


@pytest.mark.parametrize("factor", [2, 3, 0.5])
def test_a_mask_of_another_size_is_scaled_to_its_frame(factor):
    frame = Picture(np.zeros((240, 480, 3), np.uint8))
    mask = np.zeros((240, 480), np.uint8)
    mask[:, :90] = 255  # a face at the left edge
    size = (round(480 / factor), round(240 / factor))
    found = fitted(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), frame)
    assert found.shape == mask.shape
    assert (found == mask).mean() > 0.99


def test_a_mask_of_another_aspect_ratio_is_reported_and_ignored(tmp_path):
    path = write(tmp_path / "mask.mp4", [np.full((64, 64, 3), 255, np.uint8)] * 3)
    read = MaskVideo(path, [0, 1], Limits())
    assert read(0, Picture(np.zeros((240, 480, 3), np.uint8))) is None
    assert "masks of 64 × 64 pixels do not fit the clip's frames of 480 × 240" in read.error
