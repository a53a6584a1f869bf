"""Crops as arrays: single files, and datasets for training code."""
