"""Training runs: from settings and a manifest to a run folder."""
