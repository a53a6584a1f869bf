"""Training batches from the crops of a manifest."""
