"""The two families of errors, which commands turn into one line each."""

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
def test_every_error_of_a_package_is_of_its_family_and_says_when_it_is_raised(module, base):
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    assert len(kinds) > 5
    for kind in kinds:
        assert issubclass(kind, base)
        assert kind.__name__.endswith("Error")
        assert kind is base or kind.__doc__ != base.__doc__


def test_who_catches_the_wider_error_catches_the_narrower_one():
    assert issubclass(of_ffpp.SizeError, of_ffpp.DecodeError)
    assert issubclass(of_classify.DownloadError, of_classify.ModelError)
    assert issubclass(of_classify.RunEndedError, of_classify.RunError)
    assert issubclass(of_classify.ChangedError, of_classify.RunError)


def test_a_value_that_is_no_choice_is_refused_with_the_setting_the_value_and_the_choices():
    check_choice("format", "png", ("png", "jpg"))
    for value, named in (("gif", "'gif'"), (None, "None"), (["png"], r"\['png'\]")):
        with pytest.raises(SettingsError, match=rf"^format \({named}\) must be one of png, jpg$"):
            check_choice("format", value, ("png", "jpg"))
