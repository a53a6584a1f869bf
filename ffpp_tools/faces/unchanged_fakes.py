"""Detect unmanipulated faces in fakes, from the fake's mask or by comparison with its original.

A frame labelled fake may contain no manipulation: FaceSwap's generator returns the original frame
if its landmark detection fails, and bystanders are never manipulated. A face is excluded only if
that is certain:

    mask video of the fake?  ──yes──▶ excluded if the mask is empty there, whatever the method
            │ no
            ▼
    Deepfakes or FaceSwap?   ──yes──▶ excluded if it differs from the original by noise only
            │ no
            ▼
    kept; if there are several people in a frame, those who differ much less than another one are
    bystanders
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffpp_tools.faces import select
from ffpp_tools.faces.detect import Face
from ffpp_tools.faces.paired import MatchedFrame
from ffpp_tools.sources.clip import Clip
from ffpp_tools.video.image import Image, Picture

# Face swapping methods for which the differences were measured. Face2Face and NeuralTextures
# re-render every frame and change so little that only a mask distinguishes it from noise.
SWAPS = ("Deepfakes", "FaceSwap")
# Maximum difference of an unchanged face from the original, in grey levels and in standard
# deviations of the original's face: at most half of the smallest change measured for a swap, which
# is 9.4 levels and 0.19 at c40, 14.1 and 0.29 otherwise (`benchmarks/unchanged_fakes.py`; tables in
# docs/extraction.md). Both limits must hold, since all differences are small in a dark room. Videos
# of unknown compression (`native`) get the strict limit of raw ones.
MARGIN = 0.5
MAX_DIFFERENCE = {"raw": 2.5, "native": 2.5, "c23": 2.5, "c40": 4.6}
MAX_RELATIVE = 0.09
MIN_TOGETHER = 3  # minimum number of frames with both a person and a possible bystander


@dataclass(frozen=True)
class Change:
    """Evidence on whether one face in a frame of a fake is manipulated."""

    difference: float  # from the original's face, in grey levels; nan if not compared
    unchanged_by: str  # "mask" or "pixels", the evidence that the face is unchanged; else empty
    beside: bool = False  # whether other faces were compared too, so it may be a bystander's


class ChangeDetector:
    """Compares the faces in successive frames of a fake with those of its original."""

    def __init__(self, clip: Clip) -> None:
        """Start without any compared frames."""
        self._clip = clip
        self._frames: list[dict[int, tuple[float, float]]] = []  # track → both differences
        self._limit = MAX_DIFFERENCE[clip.compression]

    def of_frame(
        self,
        faces: Sequence[Face],
        picture: Picture,
        matched: MatchedFrame | None,
        mask: Image | None,
    ) -> dict[int, Change]:
        """Compare the faces of the next frame: track → change.

        Args:
            faces: faces of the frame.
            picture: the frame.
            matched: the frame with its original; None if they do not match.
            mask: mask of the frame, as for `select.forged_face`; None if there is none.
        """
        unknown = (math.nan, math.nan)
        differences = {f.track: matched.difference(f.box) if matched else unknown for f in faces}
        if matched:
            self._limit = max(self._limit, MAX_DIFFERENCE[matched.original.compression])
        outside = None if mask is None else select.outside(faces, mask, picture)
        compared = {t: both for t, both in differences.items() if not math.isnan(both[0])}
        several = outside is None and len(compared) > 1
        if several:
            self._frames.append(compared)
        changes = {}
        for track, (level, relative) in differences.items():
            if outside is not None:
                evidence = "mask" if track in outside else ""
            else:
                is_swap = self._clip.category in SWAPS
                evidence = "pixels" if is_swap and self._is_noise(level, relative) else ""
            rounded = round(level, 2) if track in compared else math.nan
            changes[track] = Change(rounded, evidence, several and track in compared)
        return changes

    def bystanders(self, together: int = MIN_TOGETHER) -> frozenset[int]:
        """Return the tracks of unchanged people next to a changed one, from the frames so far.

        Two people are compared in frames that show both and have no mask. There, a bystander's
        median differences are within both limits for noise, and the median in grey levels is less
        than `MARGIN` times the other person's.

        Args:
            together: minimum number of frames that show both people.
        """
        tracks = sorted({track for frame in self._frames for track in frame})
        return frozenset(
            track
            for track in tracks
            if any(self._is_bystander(track, other, together) for other in tracks)
        )

    def _is_bystander(self, track: int, other: int, min_frames: int) -> bool:
        """Whether the person of `track` is unchanged while the person of `other` is changed."""
        shared = [frame for frame in self._frames if track in frame and other in frame]
        if track == other or len(shared) < min_frames:
            return False
        level, relative = np.median([frame[track] for frame in shared], axis=0)
        other_level = np.median([frame[other][0] for frame in shared])
        return self._is_noise(level, relative) and bool(level < MARGIN * other_level)

    def _is_noise(self, level: float, relative: float) -> bool:
        return bool(level <= self._limit and relative <= MAX_RELATIVE)
