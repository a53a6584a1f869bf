"""The settings of the drawn world of `conftest.py`."""

from __future__ import annotations

from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.video.sampling import FramePlan

PEOPLE = 8


SETTINGS = ClipSettings(FramePlan(every=10))
