"""What can go wrong, told to the person who can put it right."""


class ClassifyError(Exception):
    """Base of every error of this package: what happened, in which file, what to do."""


class PackError(ClassifyError):
    """A crop of the manifest is missing or cannot be read."""


class ModelError(ClassifyError):
    """No such architecture, or weights that cannot be had or do not fit."""


class DownloadError(ModelError):
    """Pretrained weights that only a network would bring."""


class RunError(ClassifyError):
    """A run folder that is missing, incomplete, in the way, or out of step with its manifest."""


class LossError(ClassifyError):
    """A training whose loss is not finite: a matter of its settings, not of its data."""


class RunEndedError(RunError):
    """Nothing is left to train in a run folder."""


class ChangedError(RunError):
    """A file of a run is not what was written, and what it said cannot be made anew."""
