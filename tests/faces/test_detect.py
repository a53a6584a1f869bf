"""Face detection, compared with face_recognition."""

import cv2
import face_recognition
import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.faces.detect import Box, FindSettings, coarse_to_fine, find_faces, near
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import decode, demux
from ffpp_tools.video.image import Picture
from tests.helpers.faces import HOG, found_in, scene


def packages_boxes(image, model="hog"):
    """The boxes of face_recognition with its default settings."""
    return [
        Box(left, top, right - left, bottom - top)
        for top, right, bottom, left in face_recognition.face_locations(image, model=model)
    ]


def test_a_fast_search_finds_what_face_recognition_finds(ffpp):
    for clip in find_clips(ffpp, limit=2):
        for frame in decode.frames(demux.read_video(clip.path), [0, 20]):
            found = [f.box for f in coarse_to_fine(frame.picture, HOG)]
            expected = packages_boxes(frame.picture.image)
            assert expected
            for box in expected:
                assert max(box.iou(other) for other in found) >= 0.5


def test_a_full_search_returns_exactly_the_boxes_of_face_recognition(ffpp):
    for clip in find_clips(ffpp, limit=1):
        for frame in decode.frames(demux.read_video(clip.path), [0, 20]):
            found = find_faces(frame.picture, FindSettings(search="full"))
            assert [f.box for f in found] == packages_boxes(frame.picture.image)


def test_a_full_search_clips_boxes_at_the_edge_like_face_recognition():
    face = scene(320, 320, [(3, 320, 0, 0)])
    at_the_edge = 0
    for top in range(60, 120, 4):
        image = face[top:]
        boxes = [f.box for f in find_faces(Picture(image), FindSettings(search="full"))]
        assert boxes == packages_boxes(image)
        at_the_edge += any(box.y == 0 for box in boxes)
    assert at_the_edge


def test_the_convolutional_detector_matches_face_recognition():
    image = scene(160, 200, [(3, 150, 20, 5)])
    (face,) = find_faces(Picture(image), FindSettings("cnn", "full"))
    assert [face.box] == packages_boxes(image, "cnn")
    (fast,) = find_faces(Picture(image), FindSettings("cnn"))
    assert fast.box.iou(face.box) > 0.5


def test_unknown_detectors_and_searches_are_rejected():
    with pytest.raises(SettingsError, match="hog, cnn, yunet"):
        FindSettings(detector="mtcnn")
    with pytest.raises(SettingsError, match="fast, full"):
        FindSettings(search="exact")


def test_near_detects_a_face_around_the_box_and_none_elsewhere():
    picture = Picture(scene(720, 1280, [(3, 400, 100, 100), (4, 300, 800, 200)]))
    left = min(coarse_to_fine(picture, HOG), key=lambda f: f.box.x)
    moved = Box(left.box.x + 20, left.box.y - 15, left.box.width, left.box.height)
    (face,) = near(picture, moved, HOG)
    assert face.box.iou(left.box) > 0.6
    assert face.box_from == "followed"
    assert near(picture, Box(600, 20, 120, 120), HOG) == []


def test_a_large_frame_is_scanned_small_and_its_box_scaled_back():
    frame = scene(1080, 1920, [(3, 900, 700, 100)])
    (face,) = found_in(frame)
    expected = Box(700 + 310, 100 + 280, 290, 330)  # the synthetic face, brows to chin
    assert face.box.iou(expected) > 0.6


def test_a_face_too_small_for_the_coarse_scan_is_found_by_a_finer_one():
    frame = scene(1080, 1920, [(3, 260, 800, 400)])
    small = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA)
    assert not face_recognition.face_locations(small, number_of_times_to_upsample=0)
    (face,) = found_in(frame)
    assert face.box.iou(Box(800 + 90, 400 + 81, 84, 95)) > 0.5


def test_no_face_is_detected_in_an_empty_scene():
    assert found_in(scene(240, 320, [])) == []


def test_boxes_stay_inside_the_image():
    frame = scene(320, 320, [(3, 320, 0, 0)])[75:, :]
    for face in found_in(frame):
        assert face.box.x >= 0
        assert face.box.y >= 0
        assert face.box.x + face.box.width <= 320
        assert face.box.y + face.box.height <= 245
