"""Select the frames of a clip to extract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffpp_tools.errors import SettingsError


@dataclass(frozen=True)
class FramePlan:
    """Every Nth frame from frame 0 (as in the paper), or a number of evenly spaced frames.

    Exactly one of `every` and `per_clip` is set.
    """

    every: int | None = 25
    per_clip: int | None = None

    def __post_init__(self) -> None:
        """Validate the fields."""
        if (self.every is None) == (self.per_clip is None):
            raise SettingsError("set exactly one of `every` and `per_clip`")
        for name, value in (("every", self.every), ("per_clip", self.per_clip)):
            if value is not None and value < 1:
                raise SettingsError(f"{name} ({value}) must be at least 1")

    def wanted(self, n_frames: int) -> Sequence[int]:
        """Return the 0-based indices of the wanted frames among `n_frames`, strictly increasing.

        >>> list(FramePlan(every=25).wanted(60))
        [0, 25, 50]
        >>> list(FramePlan(every=None, per_clip=3).wanted(101))
        [0, 50, 100]
        """
        if self.every is not None:
            return range(0, n_frames, self.every)
        count = min(self.per_clip or 0, n_frames)
        return [int(i) for i in np.linspace(0, n_frames - 1, count)]
