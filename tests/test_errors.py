import pytest

from ffpp_tools.errors import SettingsError, check_choice


def test_a_value_that_is_no_choice_is_refused_with_the_setting_the_value_and_the_choices():
    check_choice("format", "png", ("png", "jpg"))
    for value, named in (("gif", "'gif'"), (None, "None"), (["png"], r"\['png'\]")):
        with pytest.raises(SettingsError, match=rf"^format \({named}\) must be one of png, jpg$"):
            check_choice("format", value, ("png", "jpg"))
