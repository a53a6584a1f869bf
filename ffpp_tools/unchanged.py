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
    kept; of several people, those who differ far less than somebody else are bystanders
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffpp_tools import choose
from ffpp_tools.clip import Clip
from ffpp_tools.detect import Face
from ffpp_tools.picture import Image, Picture
from ffpp_tools.twins import Twin

# The methods that put another face in. Face2Face and NeuralTextures re-render every frame, and
# change so little that pixels cannot tell their work from noise: only a mask can.
SWAPS = ("Deepfakes", "FaceSwap")
# Limits of the difference from the original, in grey levels and in standard deviations of the
# original's face: at most half of the least that a swap was measured to change, 9.4 levels and 0.19
# at c40, 14.1 and 0.29 else (`benchmarks/unchanged_fakes.py`; docs/extraction.md has the tables).
# Both must hold: in a dark room every difference is small. Video of unknown compression (`native`)
# must be as near as raw.
MARGIN = 0.5
MAX_DIFFERENCE = {"raw": 2.5, "native": 2.5, "c23": 2.5, "c40": 4.6}
MAX_RELATIVE = 0.09


@dataclass(frozen=True)
class Change:
    """What is known of the manipulation of one face of a fake's frame."""

    difference: float  # from the original's face, in grey levels; nan where it was not compared
    unchanged_by: str  # "mask" or "pixels", whichever shows that nothing was changed; else empty


class Changes:
    """Compares the faces of a fake's frames, one frame after the other, with its original's."""

    def __init__(self, clip: Clip) -> None:
        """Nothing compared yet."""
        self._clip = clip
        self._differences: dict[int, list[float]] = defaultdict(list)  # by track
        self._limit = MAX_DIFFERENCE[clip.compression]

    def of_frame(
        self, faces: Sequence[Face], picture: Picture, twin: Twin | None, mask: Image | None
    ) -> dict[int, Change]:
        """What is known of each face of the next frame, by its track.

        Args:
            faces: found in the frame.
            picture: the frame.
            twin: the original's frame, where it shows the same.
            mask: of the frame, as `choose.forged` takes it; None where there is none.
        """
        differences = {f.track: twin.difference(f.box) if twin else (math.nan,) * 2 for f in faces}
        if twin:
            self._limit = max(self._limit, MAX_DIFFERENCE[twin.original.compression])
        outside = None if mask is None else choose.outside(faces, mask, picture)
        found = {}
        for track, (level, relative) in differences.items():
            compared = not math.isnan(level)
            if outside is not None:
                by = "mask" if track in outside else ""
            else:
                swap = self._clip.category in SWAPS
                by = "pixels" if swap and self._is_noise(level, relative) else ""
                if compared:
                    self._differences[track].append(level)
            found[track] = Change(round(level, 2) if compared else math.nan, by)
        return found

    def bystanders(self) -> frozenset[int]:
        """The tracks of people whom the frames so far show to be unchanged, beside one who is not.

        Over the frames that were compared and have no mask, the median of their differences is
        within the limit for noise, and less than `MARGIN` times that of somebody else's.
        """
        medians = {track: float(np.median(d)) for track, d in self._differences.items()}
        most = max(medians.values(), default=0.0)
        return frozenset(
            track for track, m in medians.items() if m <= self._limit and m < MARGIN * most
        )

    def _is_noise(self, level: float, relative: float) -> bool:
        return level <= self._limit and relative <= MAX_RELATIVE
