"""A DCGAN that learns from real faces and generates new ones, to test detectors on."""
