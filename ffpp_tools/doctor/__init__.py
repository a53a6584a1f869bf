"""Checks of this machine and of a copy of FaceForensics++."""
