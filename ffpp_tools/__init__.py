"""Builds leak-free face datasets from FaceForensics++ videos and celebrity stills."""
