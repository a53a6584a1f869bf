"""Faces in a frame: detection, tracking, selection and cropping."""
