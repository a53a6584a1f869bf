"""Manifests: samples selected, assigned to splits, balanced, written and audited."""
