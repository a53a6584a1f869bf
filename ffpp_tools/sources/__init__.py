"""Directory layouts and file names of the supported datasets."""
