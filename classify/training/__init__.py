"""From settings and a manifest to a run folder."""
