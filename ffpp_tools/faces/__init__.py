"""Faces in a frame: detected, tracked, selected and cropped."""
