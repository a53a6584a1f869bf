"""Checks of the machine and of the data, with a remedy for each problem."""
