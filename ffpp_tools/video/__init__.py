"""Video files: which frames they show, and how wanted frames are decoded."""
