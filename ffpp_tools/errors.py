"""Exceptions of the package. Messages name the file, the problem and the fix."""


class FfppError(Exception):
    """Base class of all errors of this package."""


class DataNotFoundError(FfppError):
    """Videos or stills are missing from the expected location."""


class DecodeError(FfppError):
    """A video or image cannot be read, or only in part."""


class SizeError(DecodeError):
    """A video or image declares more pixels than the limit allows."""


class SettingsError(FfppError):
    """Settings contradict each other, or differ from those of an existing output folder."""


class TableError(FfppError):
    """A table or manifest is missing, damaged or has a different schema."""


class CropError(FfppError):
    """A crop is missing, unreadable, or differs from its recorded hash."""


class SplitError(FfppError):
    """The dataset has too few samples for the requested manifest."""


class FormatError(FfppError):
    """A file was written by a newer release in a format that this release cannot read."""


class LockedError(FfppError):
    """Another process is writing to the folder."""


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Check that the value of a setting is one of its choices.

    Raises:
        SettingsError: it is not; the message names the setting, the value and the choices.
    """
    if value not in choices:
        raise SettingsError(f"{name} ({value!r}) must be one of {', '.join(choices)}")
