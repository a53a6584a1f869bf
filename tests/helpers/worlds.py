"""How the drawn world of `conftest.py` is made and extracted."""

from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.video.sampling import FramePlan

PEOPLE = 8
PLAN = FramePlan(every=10)
SETTINGS = ClipSettings(PLAN)
