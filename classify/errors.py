"""Exceptions of the package. Messages name the file and the fix."""


class ClassifyError(Exception):
    """Base of all errors of this package."""


class PackError(ClassifyError):
    """Training images are missing or unreadable, or their array cannot be written."""


class ModelError(ClassifyError):
    """Unknown architecture, or weights that are unavailable or do not fit."""


class DownloadError(ModelError):
    """Pretrained weights that are not on this machine and cannot be downloaded."""


class RunError(ClassifyError):
    """A run folder that is missing, incomplete, occupied, or inconsistent with its manifest."""


class LossError(ClassifyError):
    """A training run whose loss is not finite because of its settings, not its data."""


class RunEndedError(RunError):
    """A run that has nothing left to train."""


class ChangedError(RunError):
    """A file of a run that was modified and cannot be recomputed."""
