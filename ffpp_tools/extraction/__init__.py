"""Extraction of face crops from clips and stills: single tasks, the pipeline, and its workers."""
