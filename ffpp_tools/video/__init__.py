"""Video files: which frames they contain, and decoding of selected frames."""
