"""Clips and stills to face crops: one task, many tasks, and who runs them."""
