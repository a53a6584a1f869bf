"""A manifest's crops as training batches."""
