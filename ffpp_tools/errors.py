"""What can go wrong, told to the person who can put it right."""


class FfppError(Exception):
    """Base of every error of this package: what happened, in which file, what to do."""


class DataNotFoundError(FfppError):
    """Videos or stills are not where they were looked for."""


class DecodeError(FfppError):
    """A video or image cannot be read, or not as far as was wanted."""


class SizeError(DecodeError):
    """A video or image declares more pixels than the limit allows."""


class SettingsError(FfppError):
    """Settings that contradict each other, or those an output folder was made with."""


class TableError(FfppError):
    """A table or manifest is missing, damaged or of another schema."""


class SplitError(FfppError):
    """The data at hand cannot fill the manifest that was asked for."""


class FormatError(FfppError):
    """A file of a newer release, whose format this one does not know."""


class LockedError(FfppError):
    """Another process is writing to a folder."""


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a value of the setting `name` that is not among its choices.

    Raises:
        SettingsError: naming the setting, the value and the choices.
    """
    if value not in choices:
        raise SettingsError(f"{name} ({value!r}) must be one of {', '.join(choices)}")
