"""Trained networks applied to new images and videos, explained and exported."""
