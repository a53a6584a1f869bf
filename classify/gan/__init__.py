"""A DCGAN: faces to learn from, generated ones out, to test detectors against."""
