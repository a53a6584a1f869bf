"""The exception classes of the two packages, and the check of choices."""

import inspect

import pytest

from classify import errors as of_classify
from ffpp_tools import errors as of_ffpp
from ffpp_tools.errors import SettingsError, check_choice


@pytest.mark.parametrize(
    ("module", "base"),
    [(of_ffpp, of_ffpp.FfppError), (of_classify, of_classify.ClassifyError)],
    ids=["ffpp_tools", "classify"],
)
def test_all_errors_of_a_package_have_its_base_class_and_a_docstring(module, base):
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    assert len(kinds) > 5
    for kind in kinds:
        assert issubclass(kind, base)
        assert kind.__name__.endswith("Error")
        assert kind is base or kind.__doc__ != base.__doc__


def test_specific_errors_are_subclasses_of_general_ones():
    assert issubclass(of_ffpp.SizeError, of_ffpp.DecodeError)
    assert issubclass(of_classify.DownloadError, of_classify.ModelError)
    assert issubclass(of_classify.RunEndedError, of_classify.RunError)
    assert issubclass(of_classify.ChangedError, of_classify.RunError)


def test_the_error_on_an_invalid_choice_names_setting_value_and_choices():
    check_choice("format", "png", ("png", "jpg"))
    for value, named in (("gif", "'gif'"), (None, "None"), (["png"], r"\['png'\]")):
        with pytest.raises(SettingsError, match=rf"^format \({named}\) must be one of png, jpg$"):
            check_choice("format", value, ("png", "jpg"))
