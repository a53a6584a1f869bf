"""Track the faces of a clip: cheap re-detection, identity assignment and box smoothing."""

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

# New faces are detected within this many seconds of video.
RESCAN_S = 5.0
# With more faces than this, searching the whole frame is as fast as following them.
MAX_FOLLOWED = 3
ONE_FACE = 0.3  # boxes with a larger intersection over union belong to the same face
# A face starts a new track if its distance from all tracks is above this. Between faces one second
# apart on real clips, the Bhattacharyya distance of colour histograms is 0.2, at most 0.5, for one
# person; 0.4 to 0.6 for two people in one frame; 0.6 to 0.9 for people of different clips.
NEW_TRACK = 1.25
COLOURS_WEIGH = 2.0
PLACE_WEIGHS = SIZE_WEIGHS = 0.4
APPEARANCE_SIDE = 48  # pixels to which face and hair are scaled for the colour histogram
APPEARANCE_REACH = 1.4  # side of the region of face and hair, in sides of the face's box
HISTOGRAM_BINS = (12, 8, 4)  # hue, saturation, value
HISTOGRAM_MEMORY = 0.7  # weight of the old histogram in the moving average


class FaceFinder:
    """Detects and tracks the faces of successive frames, near their last positions if possible.

    The whole frame is searched if the last one had no faces or more than `MAX_FOLLOWED`, if
    `RESCAN_S` have passed since the last full search, or if a face is not found near its last
    position. Every face has the number of its track, which identifies the person. A single face
    near the last single face is assumed to be the same person.
    """

    def __init__(self, settings: FindSettings) -> None:
        """Start without any known faces."""
        self._settings = settings
        self._searched_s = -math.inf  # time of the last search of a whole frame
        self._tracker = Tracker()
        self._last: list[Face] = []
        self._size = (0, 0)
        self._pending: tuple[Picture, float] | None = None  # frame not yet seen by the tracker

    def find(self, picture: Picture, time_s: float) -> list[Face]:
        """Return the faces of a frame, sorted by track; frames must come in order of time."""
        if (picture.width, picture.height) != self._size:  # may change within a stream
            self._last, self._pending = [], None
            self._size = (picture.width, picture.height)
        fast = self._settings.search == "fast"
        may_follow = 0 < len(self._last) <= MAX_FOLLOWED and time_s - self._searched_s < RESCAN_S
        faces = self._follow(picture) if fast and may_follow else []
        if len(faces) == 1:  # cannot be confused with another face
            self.record([replace(faces[0], track=self._last[0].track)], picture, time_s)
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

    def record(self, faces: Sequence[Face], picture: Picture, time_s: float) -> None:
        """Record a frame whose faces and tracks are already known."""
        self._last, self._pending = list(faces), (picture, time_s)
        self._size = (picture.width, picture.height)
        self._tracker.reserve(faces)

    def _follow(self, picture: Picture) -> list[Face]:
        """Return one face near each of the last ones; empty if any of them is not clearly found."""
        detector = detect.load(self._settings)
        faces: list[Face] = []
        for last in self._last:
            candidates = detect.near(picture, last.box, detector)
            best = max(candidates, key=lambda face: face.box.iou(last.box), default=None)
            unambiguous = len(candidates) == 1 or len(self._last) > 1
            if not best or not unambiguous or best.score < SURE_SCORE:
                return []
            if any(best.box.iou(other.box) > ONE_FACE for other in faces):
                return []
            faces.append(best)
        return faces


@dataclass
class _Track:
    box: Box
    time_s: float
    velocity: tuple[float, float]  # pixels per second
    histogram: Histogram

    def predicted_centre(self, time_s: float) -> tuple[float, float]:
        """Extrapolate the centre of the face, for at most half a rescan interval."""
        elapsed = min(time_s - self.time_s, RESCAN_S / 2)
        x, y = self.box.centre
        return x + self.velocity[0] * elapsed, y + self.velocity[1] * elapsed

    def distance(self, face: Face, histogram: Histogram, time_s: float) -> float:
        """Return the weighted distance of a face from the track in position, size and colours."""
        (x, y), (u, v) = self.predicted_centre(time_s), face.box.centre
        place = min(math.hypot(x - u, y - v) / (2 * self.box.side), 1)
        size = min(abs(math.log(face.box.side / self.box.side)), 1)
        colours = cv2.compareHist(self.histogram, histogram, cv2.HISTCMP_BHATTACHARYYA)
        return PLACE_WEIGHS * place + SIZE_WEIGHS * size + COLOURS_WEIGH * colours


class Tracker:
    """Assigns the faces of successive frames to tracks, one per person.

    Tracks are numbered in order of first appearance, within a frame from the largest face to the
    smallest. Faces are matched to tracks by predicted position, size and colours, jointly for all
    faces of a frame.
    """

    def __init__(self) -> None:
        """Start without tracks."""
        self._tracks: dict[int, _Track] = {}
        self._next = 0  # number of the next new track

    def reserve(self, faces: Iterable[Face]) -> None:
        """Reserve the track numbers of these faces, so that no new track gets one of them."""
        self._next = max([self._next, *(face.track + 1 for face in faces)])

    def assign(self, faces: Sequence[Face], picture: Picture, time_s: float) -> list[Face]:
        """Return the faces with their tracks, sorted by track."""
        faces = sorted(faces, key=lambda f: (-f.box.area, f.box.x, f.box.y))
        histograms = [_colour_histogram(picture, face.box) for face in faces]
        known = list(self._tracks)
        costs = np.array(
            [
                [self._tracks[k].distance(f, h, time_s) for k in known]
                for f, h in zip(faces, histograms, strict=True)
            ]
        ).reshape(len(faces), len(known))
        matched = {i: known[j] for i, j in _assignment(costs) if costs[i, j] < NEW_TRACK}
        new = count(self._next)
        tracked = [
            replace(face, track=matched[i] if i in matched else next(new))
            for i, face in enumerate(faces)
        ]
        self.reserve(tracked)
        for face, histogram in zip(tracked, histograms, strict=True):
            self._update(face, histogram, time_s)
        return sorted(tracked, key=lambda f: f.track)

    def observe(self, faces: Sequence[Face], picture: Picture, time_s: float) -> None:
        """Update the tracks with faces whose tracks are known."""
        for face in faces:
            self._update(face, _colour_histogram(picture, face.box), time_s)

    def _update(self, face: Face, histogram: Histogram, time_s: float) -> None:
        old = self._tracks.get(face.track)
        velocity = (0.0, 0.0)
        if old:
            elapsed = max(time_s - old.time_s, 1e-6)
            (x, y), (u, v) = old.box.centre, face.box.centre
            velocity = ((u - x) / elapsed, (v - y) / elapsed)
            histogram = HISTOGRAM_MEMORY * old.histogram + (1 - HISTOGRAM_MEMORY) * histogram
        self._tracks[face.track] = _Track(face.box, time_s, velocity, histogram)


def _assignment(costs: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return pairs (face, track) that minimise the sum of the distances."""
    if min(costs.shape) == 0:
        return []
    if max(costs.shape) == 1:
        return [(0, 0)]
    from scipy.optimize import linear_sum_assignment

    # All distances above the limit cost the same, so that they cannot outweigh a good match.
    rows, columns = linear_sum_assignment(np.minimum(costs, NEW_TRACK))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True)]


def smoothed(faces: Sequence[Face], around: Iterable[Sequence[Face]]) -> list[Face]:
    """Replace each box by the mean box of its track over several frames.

    Boxes copied from the original were smoothed there and stay unchanged.

    Args:
        faces: faces of one frame.
        around: faces of the frames to average over, including that frame.
    """
    boxes: dict[int, list[Box]] = {}
    for faces_of_frame in around:
        for face in faces_of_frame:
            if face.box_from != "twin":
                boxes.setdefault(face.track, []).append(face.box)
    return [
        face if face.box_from == "twin" else replace(face, box=_mean_box(boxes[face.track]))
        for face in faces
    ]


def _mean_box(boxes: Sequence[Box]) -> Box:
    values = np.mean([(b.x, b.y, b.width, b.height) for b in boxes], axis=0)
    return Box(*(int(v) for v in values))  # rounded down, so that it stays inside the frame


def _colour_histogram(picture: Picture, box: Box) -> Histogram:
    """Return the normalised HSV histogram of a face and its hair."""
    (x, y), half = box.centre, APPEARANCE_REACH * box.side / 2
    left, top = max(int(x - half), 0), max(int(y - half), 0)
    right, bottom = min(int(x + half), picture.width), min(int(y + half), picture.height)
    region = picture.part(left, top, right - left, bottom - top)
    small = cv2.resize(region, (APPEARANCE_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    ranges = [0, 180, 0, 256, 0, 256]
    histogram = cv2.calcHist([hsv], [0, 1, 2], None, list(HISTOGRAM_BINS), ranges)
    return np.asarray(histogram / histogram.sum(), np.float32)
