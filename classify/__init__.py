"""Trains classifiers of face manipulation and judges them honestly."""

import ffpp_tools  # noqa: F401 (limits what OpenCV decodes, which has to be said before it is loaded)
