"""Values that a shell completes."""

import pytest

from data_manifests import modes
from ffpp_tools.cli import completion
from ffpp_tools.store.schema import SPLITS


def test_words_are_offered_as_text():
    assert completion.values("a", 2)() == ["a", "2"]


def test_a_constant_or_what_a_function_returns_is_looked_up_when_a_shell_asks():
    assert completion.values_of("ffpp_tools.store.schema:SPLITS")() == list(SPLITS)
    assert completion.MODES() == list(modes())
    later = completion.values_of("ffpp_tools.no_such_module:NAMES")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        later()


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
def test_every_list_has_its_words_each_once(completer, example):
    words = completer()
    assert example in words
    assert len(set(words)) == len(words)
