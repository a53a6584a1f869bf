"""What becomes of a frame and its faces."""

import numpy as np
import pytest

from ffpp_tools.extraction.results import CropResult, crop_face, decoded_row, finish_frame
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import Box, Face
from ffpp_tools.files import sha256
from ffpp_tools.store.schema import FrameRow
from ffpp_tools.video.image import Picture, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 160, 3)).astype(np.uint8)
ROW = FrameRow("Youtube/c23/0/0", "Youtube", "real", "c23", "0", "0", "", 0, 0.0, 0, 0, "ok", 0, "")


def cropped(folder, track=0, side=40, min_face=0):
    settings = ClipSettings(crop=CropSettings(margin=1.0, min_face=min_face))
    face = Face(Box(20, 30, side, side), 1.5, track=track)
    path = f"faces/{track}.png"
    return crop_face(Picture(PIXELS), face, settings, folder, "f", f"f/{track}", path)


def test_a_crop_is_written_and_its_row_says_where_it_was_cut_out(tmp_path):
    made = cropped(tmp_path, track=2)
    row = made.row
    assert (made.status, made.track, row.track, row.score) == ("ok", 2, 2, 1.5)
    assert (row.box_x, row.box_y, row.box_w, row.box_h) == (20, 30, 40, 40)
    assert (row.crop_x, row.crop_y, row.crop_size, row.clamped) == (20, 30, 40, False)
    np.testing.assert_array_equal(read_image(tmp_path / row.path), PIXELS[30:70, 20:60])
    assert row.sha256 == sha256(tmp_path / row.path)


def test_a_face_below_the_minimum_size_has_no_crop(tmp_path):
    assert cropped(tmp_path, side=40, min_face=40).status == "ok"
    result = cropped(tmp_path / "none", side=39, min_face=40)
    assert result == CropResult("too_small", 0, None)
    assert not (tmp_path / "none").exists()


def test_crops_of_selected_tracks_are_kept_and_others_are_deleted(tmp_path):
    crops = [cropped(tmp_path, track=n) for n in range(3)]
    row, kept = finish_frame(ROW, crops, tmp_path, {0, 2})
    assert row.status == "ok"
    assert [face.track for face in kept] == [0, 2]
    assert sorted(p.name for p in (tmp_path / "faces").iterdir()) == ["0.png", "2.png"]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((), "no_face"),
        (("too_small",), "too_small"),
        (("too_small", "unchanged_fake"), "unchanged_fake"),
        (("unchanged_fake", "ok", "too_small"), "ok"),
    ],
)
def test_a_frames_status_is_that_of_its_best_face(tmp_path, statuses, expected):
    row, kept = finish_frame(ROW, [CropResult(s, 0, None) for s in statuses], tmp_path, {0})
    assert (row.status, kept) == (expected, [])


def test_the_row_of_a_searched_frame_has_its_size_and_number_of_faces():
    row = decoded_row(ROW, Picture(PIXELS), [Face(Box(0, 0, 9, 9), 1.0)] * 2)
    assert (row.width, row.height, row.faces_found, row.error) == (160, 90, 2, "")
