"""Datasets as they are downloaded: which files lie where, and what their names mean."""
