"""Manifests and datasets in formats of other tools."""
