"""Settings of an extraction."""

import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.faces.match_quality import ReferenceFaces


def test_whole_stills_cannot_be_harmonised():
    with pytest.raises(SettingsError, match="no face is detected"):
        StillSettings(whole=True, harmonise=ReferenceFaces((("c23", 50),)))
