"""Settings with which `conftest.py` draws and extracts the demo data."""

from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.video.sampling import FramePlan

PEOPLE = 8
PLAN = FramePlan(every=10)
SETTINGS = ClipSettings(PLAN)
