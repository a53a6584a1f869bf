"""Trains classifiers of face manipulation and judges them honestly."""
