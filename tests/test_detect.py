import cv2
import face_recognition
import numpy as np

from ffpp_tools import decode
from ffpp_tools.demo.face import Expression, Person, Portrait
from ffpp_tools.detect import Box, Face, HogDetector, largest
from ffpp_tools.layout import find_clips


def overlap(a, b):
    """Intersection over union of two boxes."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0) * max(height, 0)
    return shared / (a.width * a.height + b.width * b.height - shared)


def scene(height, width, faces):
    """A grey frame with drawn people: faces of `size` canvas pixels at (x, y)."""
    frame = np.full((height, width, 3), 128, np.uint8)
    for seed, size, x, y in faces:
        portrait = Portrait(Person.drawn(seed), 320)
        image = cv2.resize(
            portrait.render(Expression()), (size, size), interpolation=cv2.INTER_AREA
        )
        alpha = cv2.resize(portrait.alpha, (size, size), interpolation=cv2.INTER_AREA)[..., None]
        part = frame[y : y + size, x : x + size]
        part[:] = part * (1 - alpha) + image * alpha
    return frame


def test_boxes_are_those_of_face_recognition(ffpp):
    detector = HogDetector()
    for clip in find_clips(ffpp, limit=2):
        for frame in decode.frames(decode.probe(clip.path), [0, 20]):
            found = [f.box for f in detector.detect(frame.image)]
            expected = [
                Box(left, top, right - left, bottom - top)
                for top, right, bottom, left in face_recognition.face_locations(frame.image)
            ]
            assert expected
            for box in expected:
                assert max(overlap(box, other) for other in found) >= 0.5


def test_a_large_frame_is_scanned_small_and_its_box_scaled_back():
    frame = scene(1080, 1920, [(3, 900, 700, 100)])
    (face,) = HogDetector().detect(frame)
    expected = Box(700 + 310, 100 + 280, 290, 330)  # the drawn face, brows to chin
    assert overlap(face.box, expected) > 0.6


def test_a_face_too_small_for_the_coarse_scan_is_found_by_a_finer_one():
    frame = scene(1080, 1920, [(3, 260, 800, 400)])
    small = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA)
    assert not face_recognition.face_locations(small, number_of_times_to_upsample=0)
    (face,) = HogDetector().detect(frame)
    assert overlap(face.box, Box(800 + 90, 400 + 81, 84, 95)) > 0.5


def test_no_face_in_an_empty_room():
    assert HogDetector().detect(scene(240, 320, [])) == []


def test_boxes_stay_inside_the_image():
    frame = scene(320, 320, [(3, 320, 0, 0)])[75:, :]
    for face in HogDetector().detect(frame):
        assert face.box.x >= 0
        assert face.box.y >= 0
        assert face.box.x + face.box.width <= 320
        assert face.box.y + face.box.height <= 245


def test_largest_is_by_area_and_settles_ties_by_place():
    small, left, right = (
        Face(Box(*b), 1.0) for b in [(0, 0, 9, 9), (5, 5, 10, 10), (8, 1, 10, 10)]
    )
    assert largest([right, small, left]) == left
    assert largest([small, right]) == right
