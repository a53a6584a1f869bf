"""The exceptions of both packages, each of which a command reports in one line."""

import inspect

import pytest

from classify import errors as classify_errors
from ffpp_tools import errors as ffpp_errors
from ffpp_tools.errors import SettingsError, check_choice


@pytest.mark.parametrize(
    ("module", "base"),
    [(ffpp_errors, ffpp_errors.FfppError), (classify_errors, classify_errors.ClassifyError)],
    ids=["ffpp_tools", "classify"],
)
def test_every_exception_has_the_base_class_of_its_package_and_its_own_docstring(module, base):
    error_classes = [error_class for _, error_class in inspect.getmembers(module, inspect.isclass)]
    assert len(error_classes) > 5
    for error_class in error_classes:
        assert issubclass(error_class, base)
        assert error_class.__name__.endswith("Error")
        assert error_class is base or error_class.__doc__ != base.__doc__


def test_a_handler_of_a_general_error_also_catches_the_specific_ones():
    assert issubclass(ffpp_errors.SizeError, ffpp_errors.DecodeError)
    assert issubclass(classify_errors.DownloadError, classify_errors.ModelError)
    assert issubclass(classify_errors.RunEndedError, classify_errors.RunError)
    assert issubclass(classify_errors.ChangedError, classify_errors.RunError)


def test_the_error_for_an_invalid_choice_names_setting_value_and_choices():
    check_choice("format", "png", ("png", "jpg"))
    for value, shown in (("gif", "'gif'"), (None, "None"), (["png"], r"\['png'\]")):
        with pytest.raises(SettingsError, match=rf"^format \({shown}\) must be one of png, jpg$"):
            check_choice("format", value, ("png", "jpg"))
