"""Which faces of a fake were not manipulated: by the fake's mask, or by its original's pixels.

A frame labelled fake may hold no manipulation: FaceSwap's generator hands the original's frame on
where its landmarks fail, and bystanders are never manipulated. A frame is left out only where that
is certain:

    mask video of the fake?  ──yes──▶ its mask decides, whatever the method
            │ no
            ▼
    Deepfakes or FaceSwap?   ──yes──▶ the difference from the original is compression noise
            │ no
            ▼
    kept; of several people in one frame, those who differ far less than somebody else are
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

# The swap methods whose differences were measured. Face2Face and NeuralTextures re-render every
# frame, and change so little that pixels cannot tell their work from noise: only a mask can.
SWAPS = ("Deepfakes", "FaceSwap")
# Limits of the difference from the original, in grey levels and in standard deviations of the
# original's face: at most half of the least that a swap was measured to change, 9.4 levels and 0.19
# at c40, 14.1 and 0.29 else (`benchmarks/unchanged_fakes.py`; docs/extraction.md has the tables).
# Both must hold: in a dark room every difference is small. Video of unknown compression (`native`)
# must be as near as raw.
MARGIN = 0.5
MAX_DIFFERENCE = {"raw": 2.5, "native": 2.5, "c23": 2.5, "c40": 4.6}
MAX_RELATIVE = 0.09
MIN_TOGETHER = 3  # frames that show two people, before one is taken for a bystander of the other


@dataclass(frozen=True)
class Change:
    """What is known of the manipulation of one face of a fake's frame."""

    difference: float  # from the original's face, in grey levels; nan where it was not compared
    unchanged_by: str  # "mask" or "pixels", whichever shows that nothing was changed; else empty
    beside: bool = False  # whether pixels may show it to be a bystander's: somebody else is there


class ChangeDetector:
    """Compares the faces of a fake's frames, one frame after the other, with its original's."""

    def __init__(self, clip: Clip) -> None:
        """Nothing compared yet."""
        self._clip = clip
        self._frames: list[dict[int, tuple[float, float]]] = []  # track → both differences
        self._limit = MAX_DIFFERENCE[clip.compression]

    def of_frame(
        self, faces: Sequence[Face], picture: Picture, twin: MatchedFrame | None, mask: Image | None
    ) -> dict[int, Change]:
        """What is known of each face of the next frame, by its track.

        Args:
            faces: found in the frame.
            picture: the frame.
            twin: the original's frame, where it shows the same.
            mask: of the frame, as `choose.forged` takes it; None where there is none.
        """
        nothing = (math.nan, math.nan)
        differences = {f.track: twin.difference(f.box) if twin else nothing for f in faces}
        if twin:
            self._limit = max(self._limit, MAX_DIFFERENCE[twin.original.compression])
        outside = None if mask is None else select.outside(faces, mask, picture)
        compared = {t: both for t, both in differences.items() if not math.isnan(both[0])}
        beside = outside is None and len(compared) > 1
        if beside:
            self._frames.append(compared)
        found = {}
        for track, (level, relative) in differences.items():
            if outside is not None:
                by = "mask" if track in outside else ""
            else:
                swap = self._clip.category in SWAPS
                by = "pixels" if swap and self._is_noise(level, relative) else ""
            shown = round(level, 2) if track in compared else math.nan
            found[track] = Change(shown, by, beside and track in compared)
        return found

    def bystanders(self, together: int = MIN_TOGETHER) -> frozenset[int]:
        """The tracks of people whom the frames so far show to be unchanged, beside one who is not.

        Two people are compared in the frames that show both and have no mask. The median of a
        bystander's differences there is within both limits for noise, and less than `MARGIN` times
        the median of the other person's.

        Args:
            together: how many frames have to show both.
        """
        tracks = sorted({track for frame in self._frames for track in frame})
        return frozenset(
            track
            for track in tracks
            if any(self._is_beside(track, other, together) for other in tracks)
        )

    def _is_beside(self, track: int, other: int, least: int) -> bool:
        """Whether a person is unchanged beside another one, who is changed."""
        both = [frame for frame in self._frames if track in frame and other in frame]
        if track == other or len(both) < least:
            return False
        level, relative = np.median([frame[track] for frame in both], axis=0)
        most = np.median([frame[other][0] for frame in both])
        return self._is_noise(level, relative) and bool(level < MARGIN * most)

    def _is_noise(self, level: float, relative: float) -> bool:
        return bool(level <= self._limit and relative <= MAX_RELATIVE)
