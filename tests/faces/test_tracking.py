from dataclasses import replace

import pytest

from ffpp_tools.faces import detect, tracking
from ffpp_tools.faces.detect import Box, Face, FindSettings, coarse_to_fine, load
from ffpp_tools.faces.tracking import FaceFinder, Tracker, smoothed
from ffpp_tools.video.image import Picture
from tests.helpers.faces import scene

HOG = load("hog")


def pictures(*frames, height=360, width=640):
    """Frames of drawn people, each a list of (seed, size, x, y)."""
    return [Picture(scene(height, width, people)) for people in frames]


@pytest.fixture
def searches(monkeypatch):
    """Counts the searches of whole frames."""
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
        assert face.box.overlap(found.box) > 0.6
        assert face.box_from == ("followed" if i else "detected")
        assert face.track == 0
    assert len(searches) == 1


def test_a_face_that_jumps_is_searched_for_everywhere(searches):
    first, second = pictures([(3, 220, 20, 60)], [(3, 220, 400, 60)])
    follower = FaceFinder(FindSettings())
    follower.find(first, 0.0)
    (face,) = follower.find(second, 1.0)
    assert (face.box_from, face.track) == ("detected", 0)
    assert face.box.x > 400
    assert len(searches) == 2


def test_a_newcomer_is_noticed_after_a_few_seconds():
    alone, both = [(3, 220, 20, 60)], [(3, 220, 20, 60), (8, 300, 330, 30)]
    follower = FaceFinder(FindSettings())
    seen = [len(follower.find(p, float(i))) for i, p in enumerate(pictures(alone, *[both] * 6))]
    assert seen[0] == 1
    assert seen[-1] == 2
    assert seen.index(2) <= tracking.RESCAN_S


def test_a_full_search_follows_nobody():
    frames = pictures(*[[(3, 220, 20, 60)]] * 2)
    follower = FaceFinder(FindSettings(search="full"))
    assert [follower.find(p, float(i))[0].box_from for i, p in enumerate(frames)] == [
        "detected"
    ] * 2


def test_what_others_saw_is_where_it_goes_on(searches):
    frames = pictures(*([(3, 260, 100 + 9 * i, 40)] for i in range(3)))
    follower = FaceFinder(FindSettings())
    (face,) = coarse_to_fine(frames[0], HOG)
    follower.saw([Face(face.box, 1.0, "twin", 4)], frames[0], 0.0)
    assert [f.track for f in follower.find(frames[1], 1.0)] == [4]
    assert [f.track for f in follower.find(frames[2], 2.0)] == [4]


def crossing(step):
    """Two people who change sides, the one behind hidden for a while."""
    away = [(3, 200, 20 + step * i, 80) for i in range(0, 400 // step + 1)]
    towards = [(8, 230, 400 - step * i, 60) for i in range(0, 400 // step + 1)]
    return [[one, other] for one, other in zip(away, towards, strict=True)]


@pytest.mark.parametrize("step", [20, 50, 80])
def test_tracks_are_stable_when_two_people_cross(step):
    """At 80 pixels a frame both move a third of their heads' width, and are hidden for two."""
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
                here = [f for f in faces if f.box.overlap(drawn) > 0.35]
                others = [o for o in people if o[0] != seed and abs(o[2] - x) < size // 2]
                if len(here) == 1 and not others:
                    of_person.setdefault(seed, set()).add(here[0].track)
        assert {len(tracks) for tracks in of_person.values()} == {1}
        assert of_person[3] != of_person[8]


def test_somebody_else_in_the_same_place_is_another_track():
    tracker = Tracker()
    tracks = []
    for i, seed in enumerate([3, 3, 2, 2, 3]):
        (picture,) = pictures([(seed, 260, 200, 40)])
        (face,) = tracker.assign(coarse_to_fine(picture, HOG), picture, float(i))
        tracks.append(face.track)
    assert tracks == [0, 0, 1, 1, 0]


def test_smoothing_takes_the_mean_of_each_persons_own_boxes():
    frames = [
        [Face(Box(10, 10, 40, 40), 1.0, track=0), Face(Box(200, 10, 60, 60), 1.0, track=1)],
        [Face(Box(16, 10, 40, 40), 1.0, track=0)],
        [Face(Box(25, 13, 46, 46), 1.0, track=0), Face(Box(210, 10, 60, 60), 1.0, track=1)],
    ]
    assert [f.box for f in smoothed(frames[1], frames)] == [Box(17, 11, 42, 42)]
    assert smoothed(frames[0], frames)[1].box == Box(205, 10, 60, 60)
    twin = Face(Box(1, 2, 3, 4), 1.0, "twin", 0)
    assert smoothed([twin], [*frames, [twin]]) == [twin]


def test_somebody_new_never_gets_a_number_that_others_have_seen():
    follower = FaceFinder(FindSettings())
    both, other = pictures([(3, 260, 20, 40), (2, 230, 380, 60)], [(4, 260, 200, 40)])
    left, right = sorted(coarse_to_fine(both, HOG), key=lambda f: f.box.x)
    follower.saw([Face(left.box, 1.0, "twin", 0), Face(right.box, 1.0, "twin", 1)], both, 0.0)
    follower.saw([Face(left.box, 1.0, "twin", 0)], both, 1.0)
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
        "one that is not sure",
        "one and a newcomer beside it",
        "two",
        "two, one of them not sure",
        "two, one of them gone",
        "two that would be one",
        "two beside each other",
        "a crowd",
    ],
)
def test_faces_are_followed_only_where_each_is_surely_found(monkeypatch, last, near, followed):
    """Else the whole frame is searched."""
    searched = []
    monkeypatch.setattr(detect, "load", lambda name: None)
    monkeypatch.setattr(detect, "near", lambda picture, box, detector: near[box.x])
    monkeypatch.setattr(detect, "search", lambda *_: searched.append(1) or [])
    (picture,) = pictures([])
    follower = FaceFinder(FindSettings())
    follower._searched_s = 0.0
    follower.saw([replace(f, track=i) for i, f in enumerate(last)], picture, 0.0)
    assert len(follower.find(picture, 1.0)) == (len(last) if followed else 0)
    assert len(searched) == (not followed)
