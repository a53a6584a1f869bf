"""Shell completion of option values."""

import pytest

from data_manifests import modes
from ffpp_tools.cli import completion
from ffpp_tools.store.schema import SPLITS


def test_completion_values_are_strings():
    assert completion.values("a", 2)() == ["a", "2"]


def test_constants_and_functions_are_looked_up_only_on_completion():
    assert completion.values_of("ffpp_tools.store.schema:SPLITS")() == list(SPLITS)
    assert completion.MODES() == list(modes())
    missing = completion.values_of("ffpp_tools.no_such_module:NAMES")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        missing()


@pytest.mark.parametrize(
    ("completer", "example"),
    [
        (completion.RECIPES, "grouped"),
        (completion.CATEGORIES, "Deepfakes"),
        (completion.VIDEO_CATEGORIES, "Youtube"),
        (completion.COMPRESSIONS, "c23"),
        (completion.METHODS, "FaceSwap"),
    ],
)
def test_every_completion_list_contains_a_known_value_and_no_duplicates(completer, example):
    offered = completer()
    assert example in offered
    assert len(set(offered)) == len(offered)
