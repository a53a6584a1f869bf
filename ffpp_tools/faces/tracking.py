"""The faces of one clip through time: found again cheaply, told apart, smoothed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools.faces import detect
from ffpp_tools.faces.detect import SURE_SCORE, Box, Face, FindSettings
from ffpp_tools.video.image import Picture

Histogram = npt.NDArray[np.float32]

# A newcomer is noticed after this many seconds of video at the latest.
RESCAN_S = 5.0
# With more people than this a search of the whole frame costs no more than following them.
MAX_FOLLOWED = 3
ONE_FACE = 0.3  # intersection over union above which two boxes are of one face
# A face continues a track unless their distance is above this; then it is somebody new. Of faces
# a second apart on real clips, the colours of one person differ by 0.2, at most 0.5
# (Bhattacharyya distance), those of two in one frame by 0.4 to 0.6, of strangers by 0.6 to 0.9.
NEW_TRACK = 1.25
COLOURS_WEIGH = 2.0
PLACE_WEIGHS = SIZE_WEIGHS = 0.4
APPEARANCE_SIDE = 48  # pixels the face and its hair are scaled to for the colour histogram
APPEARANCE_REACH = 1.4  # in box sides
HISTOGRAM_BINS = (12, 8, 4)  # hue, saturation, value
HISTOGRAM_MEMORY = 0.7  # share of the old histogram after a new one is mixed in


class FaceFinder:
    """Finds the faces of successive frames, near the last ones as long as that is safe.

    The whole frame is searched when nobody, or a crowd, was seen in the last one; when `RESCAN_S`
    have passed since it was; and when one of the faces is not found where it was. Every face bears
    the number of its track, the person it belongs to; a lone face found near the last lone one is
    taken for the same person.
    """

    def __init__(self, settings: FindSettings) -> None:
        """Nothing seen yet."""
        self._settings = settings
        self._searched_s = -math.inf
        self._tracker = Tracker()
        self._last: list[Face] = []
        self._size = (0, 0)
        self._pending: tuple[Picture, float] | None = None  # where the tracker has yet to see them

    def find(self, picture: Picture, time_s: float) -> list[Face]:
        """The faces of a frame, sorted by track; frames come in order of time."""
        if (picture.width, picture.height) != self._size:  # a stream may change it on the way
            self._last, self._pending = [], None
            self._size = (picture.width, picture.height)
        fast = self._settings.search == "fast"
        known = 0 < len(self._last) <= MAX_FOLLOWED and time_s - self._searched_s < RESCAN_S
        faces = self._followed(picture) if fast and known else []
        if len(faces) == 1:  # nobody else is there to be taken for
            self.saw([replace(faces[0], track=self._last[0].track)], picture, time_s)
            return self._last
        if not faces:
            last = self._last[0].box if fast and len(self._last) == 1 else None
            faces = detect.find_faces(picture, self._settings, last)
            self._searched_s = time_s
        if self._pending:
            self._tracker.observe(self._last, *self._pending)
            self._pending = None
        self._last = self._tracker.assign(faces, picture, time_s)
        return self._last

    def saw(self, faces: Sequence[Face], picture: Picture, time_s: float) -> None:
        """Take note of a frame whose faces and their tracks are known."""
        self._last, self._pending = list(faces), (picture, time_s)
        self._size = (picture.width, picture.height)
        self._tracker.reserve(faces)

    def _followed(self, picture: Picture) -> list[Face]:
        """One face near each of the last ones, or none at all if that is not what is found."""
        detector = detect.load(self._settings.detector)
        faces: list[Face] = []
        for last in self._last:
            found = detect.near(picture, last.box, detector)
            here = max(found, key=lambda face: face.box.overlap(last.box), default=None)
            alone = len(found) == 1 or len(self._last) > 1
            if not here or not alone or here.score < SURE_SCORE:
                return []
            if any(here.box.overlap(other.box) > ONE_FACE for other in faces):
                return []
            faces.append(here)
        return faces


@dataclass
class _Track:
    box: Box
    time_s: float
    speed: tuple[float, float]  # pixels a second
    looks: Histogram

    def place(self, time_s: float) -> tuple[float, float]:
        """Where the face's centre should be by now; nobody walks on unseen for long."""
        passed = min(time_s - self.time_s, RESCAN_S / 2)
        x, y = self.box.centre
        return x + self.speed[0] * passed, y + self.speed[1] * passed

    def distance(self, face: Face, looks: Histogram, time_s: float) -> float:
        """How unlike a face is to this person: place, size and colours."""
        (x, y), (u, v) = self.place(time_s), face.box.centre
        away = math.hypot(x - u, y - v) / (2 * self.box.side)
        larger = abs(math.log(face.box.side / self.box.side))
        unlike = cv2.compareHist(self.looks, looks, cv2.HISTCMP_BHATTACHARYYA)
        return PLACE_WEIGHS * min(away, 1) + SIZE_WEIGHS * min(larger, 1) + COLOURS_WEIGH * unlike


class Tracker:
    """Gives every face of successive frames the number of the person it belongs to.

    People are numbered in the order in which they are first seen, in one frame from the
    largest to the smallest. A face and a track belong together by where the person was going,
    by size and by colours; who takes whom is settled for all faces of a frame at once.
    """

    def __init__(self) -> None:
        """Nobody seen yet."""
        self._tracks: dict[int, _Track] = {}
        self._next = 0  # number of the next person

    def reserve(self, faces: Iterable[Face]) -> None:
        """Give none of these faces' numbers to anybody new."""
        self._next = max([self._next, *(face.track + 1 for face in faces)])

    def assign(self, faces: Sequence[Face], picture: Picture, time_s: float) -> list[Face]:
        """The same faces with their tracks, sorted by track."""
        faces = sorted(faces, key=lambda f: (-f.box.area, f.box.x, f.box.y))
        looks = [_looks(picture, face.box) for face in faces]
        known = list(self._tracks)
        costs = np.array(
            [
                [self._tracks[k].distance(f, h, time_s) for k in known]
                for f, h in zip(faces, looks, strict=True)
            ]
        ).reshape(len(faces), len(known))
        taken = {i: known[j] for i, j in _pairs(costs) if costs[i, j] < NEW_TRACK}
        new = count(self._next)
        named = [
            replace(face, track=taken[i] if i in taken else next(new))
            for i, face in enumerate(faces)
        ]
        self.reserve(named)
        for face, histogram in zip(named, looks, strict=True):
            self._remember(face, histogram, time_s)
        return sorted(named, key=lambda f: f.track)

    def observe(self, faces: Sequence[Face], picture: Picture, time_s: float) -> None:
        """Learn from faces whose tracks are known."""
        for face in faces:
            self._remember(face, _looks(picture, face.box), time_s)

    def _remember(self, face: Face, looks: Histogram, time_s: float) -> None:
        old = self._tracks.get(face.track)
        speed = (0.0, 0.0)
        if old:
            passed = max(time_s - old.time_s, 1e-6)
            (x, y), (u, v) = old.box.centre, face.box.centre
            speed = ((u - x) / passed, (v - y) / passed)
            looks = HISTOGRAM_MEMORY * old.looks + (1 - HISTOGRAM_MEMORY) * looks
        self._tracks[face.track] = _Track(face.box, time_s, speed, looks)


def _pairs(costs: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Which face takes which track, so that the sum of the distances is smallest."""
    if min(costs.shape) == 0:
        return []
    if max(costs.shape) == 1:
        return [(0, 0)]
    from scipy.optimize import linear_sum_assignment

    # A distance too large costs the same for all, so that it never outweighs a good match.
    rows, columns = linear_sum_assignment(np.minimum(costs, NEW_TRACK))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True)]


def smoothed(faces: Sequence[Face], around: Iterable[Sequence[Face]]) -> list[Face]:
    """The faces with the mean box of the same person over several frames.

    An original's boxes were smoothed there, and stay as they are.

    Args:
        faces: of one frame.
        around: the faces of the frames to take the mean over, that frame among them.
    """
    boxes: dict[int, list[Box]] = {}
    for others in around:
        for face in others:
            if face.box_from != "twin":
                boxes.setdefault(face.track, []).append(face.box)
    return [
        face if face.box_from == "twin" else replace(face, box=_mean(boxes[face.track]))
        for face in faces
    ]


def _mean(boxes: Sequence[Box]) -> Box:
    values = np.mean([(b.x, b.y, b.width, b.height) for b in boxes], axis=0)
    return Box(*(int(v) for v in values))  # rounded down, so that it stays inside the frame


def _looks(picture: Picture, box: Box) -> Histogram:
    """The colours of a face and the hair round it."""
    (x, y), half = box.centre, APPEARANCE_REACH * box.side / 2
    left, top = max(int(x - half), 0), max(int(y - half), 0)
    right, bottom = min(int(x + half), picture.width), min(int(y + half), picture.height)
    part = picture.part(left, top, right - left, bottom - top)
    small = cv2.resize(part, (APPEARANCE_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    ranges = [0, 180, 0, 256, 0, 256]
    histogram = cv2.calcHist([colours], [0, 1, 2], None, list(HISTOGRAM_BINS), ranges)
    return np.asarray(histogram / histogram.sum(), np.float32)
