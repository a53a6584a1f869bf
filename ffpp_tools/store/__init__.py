"""The files of a dataset folder: tables, settings, locks and format versions."""
