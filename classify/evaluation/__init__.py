"""Scores and the metrics computed from them."""
