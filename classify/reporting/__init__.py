"""Reports, model cards and comparison pages."""
