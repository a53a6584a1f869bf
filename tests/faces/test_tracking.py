"""Tracking of faces through a clip."""

from dataclasses import replace

import pytest

from ffpp_tools.faces import detect, tracking
from ffpp_tools.faces.detect import Box, Face, FindSettings, coarse_to_fine, load
from ffpp_tools.faces.tracking import FaceFinder, Tracker, smoothed
from ffpp_tools.video.image import Picture
from tests.helpers.faces import scene

HOG = load(FindSettings())


def pictures(*frames, height=360, width=640):
    """Synthetic frames, each with a list of people (seed, size, x, y)."""
    return [Picture(scene(height, width, people)) for people in frames]


@pytest.fixture
def searches(monkeypatch):
    """The calls that search a whole frame."""
    calls = []

    def counted(*args):
        calls.append(args)
        return coarse_to_fine(*args)

    monkeypatch.setattr(detect, "coarse_to_fine", counted)
    return calls


def test_a_face_is_followed_from_frame_to_frame(searches):
    frames = pictures(*([(3, 260, 100 + 9 * i, 40)] for i in range(5)))
    follower = FaceFinder(FindSettings())
    for i, picture in enumerate(frames):
        (face,) = follower.find(picture, float(i))
        (found,) = coarse_to_fine(picture, HOG)
        assert face.box.iou(found.box) > 0.6
        assert face.box_from == ("followed" if i else "detected")
        assert face.track == 0
    assert len(searches) == 1


def test_the_whole_frame_is_searched_for_a_face_that_jumps(searches):
    first, second = pictures([(3, 220, 20, 60)], [(3, 220, 400, 60)])
    follower = FaceFinder(FindSettings())
    follower.find(first, 0.0)
    (face,) = follower.find(second, 1.0)
    assert (face.box_from, face.track) == ("detected", 0)
    assert face.box.x > 400
    assert len(searches) == 2


def test_a_new_face_is_detected_within_the_rescan_interval():
    alone, both = [(3, 220, 20, 60)], [(3, 220, 20, 60), (8, 300, 330, 30)]
    follower = FaceFinder(FindSettings())
    seen = [len(follower.find(p, float(i))) for i, p in enumerate(pictures(alone, *[both] * 6))]
    assert seen[0] == 1
    assert seen[-1] == 2
    assert seen.index(2) <= tracking.RESCAN_S


def test_a_full_search_follows_no_face():
    frames = pictures(*[[(3, 220, 20, 60)]] * 2)
    follower = FaceFinder(FindSettings(search="full"))
    assert [follower.find(p, float(i))[0].box_from for i, p in enumerate(frames)] == [
        "detected"
    ] * 2


def test_tracking_continues_from_recorded_faces(searches):
    frames = pictures(*([(3, 260, 100 + 9 * i, 40)] for i in range(3)))
    follower = FaceFinder(FindSettings())
    (face,) = coarse_to_fine(frames[0], HOG)
    follower.record([Face(face.box, 1.0, "twin", 4)], frames[0], 0.0)
    assert [f.track for f in follower.find(frames[1], 1.0)] == [4]
    assert [f.track for f in follower.find(frames[2], 2.0)] == [4]


def crossing(step):
    """Two people who swap positions, with the one behind hidden for some frames."""
    away = [(3, 200, 20 + step * i, 80) for i in range(0, 400 // step + 1)]
    towards = [(8, 230, 400 - step * i, 60) for i in range(0, 400 // step + 1)]
    return [[one, other] for one, other in zip(away, towards, strict=True)]


@pytest.mark.parametrize("step", [20, 50, 80])
def test_tracks_are_stable_when_two_people_cross(step):
    """At 80 pixels per frame, both move a third of a head's width and are hidden for two frames."""
    tracker, follower = Tracker(), FaceFinder(FindSettings())
    for find in (
        lambda p, t: tracker.assign(coarse_to_fine(p, HOG), p, t),
        follower.find,
    ):
        of_person = {}
        for i, people in enumerate(crossing(step)):
            faces = find(*pictures(people), 0.2 * i)
            for seed, size, x, y in people:
                drawn = Box(x + size // 4, y + size // 5, size // 2, size // 2)
                here = [f for f in faces if f.box.iou(drawn) > 0.35]
                others = [o for o in people if o[0] != seed and abs(o[2] - x) < size // 2]
                if len(here) == 1 and not others:
                    of_person.setdefault(seed, set()).add(here[0].track)
        assert {len(tracks) for tracks in of_person.values()} == {1}
        assert of_person[3] != of_person[8]


def test_another_person_at_the_same_position_gets_a_new_track():
    tracker = Tracker()
    tracks = []
    for i, seed in enumerate([3, 3, 2, 2, 3]):
        (picture,) = pictures([(seed, 260, 200, 40)])
        (face,) = tracker.assign(coarse_to_fine(picture, HOG), picture, float(i))
        tracks.append(face.track)
    assert tracks == [0, 0, 1, 1, 0]


def test_smoothing_averages_the_boxes_of_each_track():
    frames = [
        [Face(Box(10, 10, 40, 40), 1.0, track=0), Face(Box(200, 10, 60, 60), 1.0, track=1)],
        [Face(Box(16, 10, 40, 40), 1.0, track=0)],
        [Face(Box(25, 13, 46, 46), 1.0, track=0), Face(Box(210, 10, 60, 60), 1.0, track=1)],
    ]
    assert [f.box for f in smoothed(frames[1], frames)] == [Box(17, 11, 42, 42)]
    assert smoothed(frames[0], frames)[1].box == Box(205, 10, 60, 60)
    twin = Face(Box(1, 2, 3, 4), 1.0, "twin", 0)
    assert smoothed([twin], [*frames, [twin]]) == [twin]


def test_a_new_face_never_gets_a_recorded_track_number():
    follower = FaceFinder(FindSettings())
    both, other = pictures([(3, 260, 20, 40), (2, 230, 380, 60)], [(4, 260, 200, 40)])
    left, right = sorted(coarse_to_fine(both, HOG), key=lambda f: f.box.x)
    follower.record([Face(left.box, 1.0, "twin", 0), Face(right.box, 1.0, "twin", 1)], both, 0.0)
    follower.record([Face(left.box, 1.0, "twin", 0)], both, 1.0)
    (face,) = follower.find(other, 2.0)
    assert face.track == 2


def face(x, score=1.0, track=0):
    return Face(Box(x, 100, 80, 80), score, track=track)


@pytest.mark.parametrize(
    ("last", "near", "followed"),
    [
        ([face(100)], {100: [face(105)]}, True),
        ([face(100)], {100: [face(105, score=0.1)]}, False),
        ([face(100)], {100: [face(105), face(190)]}, False),
        ([face(100), face(300)], {100: [face(105)], 300: [face(305)]}, True),
        ([face(100), face(300)], {100: [face(105)], 300: [face(305, score=0.1)]}, False),
        ([face(100), face(300)], {100: [face(105)], 300: []}, False),
        ([face(100), face(180)], {100: [face(140)], 180: [face(140)]}, False),
        ([face(100), face(180)], {100: [face(100), face(180)], 180: [face(180)]}, True),
        ([face(100 * i) for i in range(4)], {100 * i: [face(100 * i)] for i in range(4)}, False),
    ],
    ids=[
        "one",
        "one, uncertain",
        "one and a new face next to it",
        "two",
        "two, one uncertain",
        "two, one missing",
        "two with the same box",
        "two next to each other",
        "more than can be followed",
    ],
)
def test_faces_are_followed_only_if_each_is_clearly_found(monkeypatch, last, near, followed):
    """Otherwise the whole frame is searched."""
    searched = []
    monkeypatch.setattr(detect, "load", lambda name: None)
    monkeypatch.setattr(detect, "near", lambda picture, box, detector: near[box.x])
    monkeypatch.setattr(detect, "find_faces", lambda *_: searched.append(1) or [])
    (picture,) = pictures([])
    follower = FaceFinder(FindSettings())
    follower._searched_s = 0.0
    follower.record([replace(f, track=i) for i, f in enumerate(last)], picture, 0.0)
    assert len(follower.find(picture, 1.0)) == (len(last) if followed else 0)
    assert len(searched) == (not followed)
