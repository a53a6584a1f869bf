"""Values that a shell completes. Their modules are imported only when the shell asks."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import get_args

Completer = Callable[[], list[str]]


def values(*words: object) -> Completer:
    """Completion by these words."""
    return lambda: [str(word) for word in words]


def values_of(constant: str) -> Completer:
    """Completion by a constant, a Literal, or what a function without arguments returns.

    Args:
        constant: its location, such as "ffpp_tools.store.schema:SPLITS". Its module must be
            quick to import.
    """

    def complete() -> list[str]:
        module, _, name = constant.partition(":")
        found = getattr(import_module(module), name)
        words = get_args(found) or (found() if callable(found) else found)
        return [str(word) for word in words]

    return complete


MODES = values_of("data_manifests:modes")
CATEGORIES = values_of("data_manifests:labels")
RECIPES = values_of("ffpp_tools.splits.recipes:names")
SPLITS = values_of("ffpp_tools.store.schema:SPLITS")
VIDEO_CATEGORIES = values_of("ffpp_tools.sources.faceforensics:VIDEO_CATEGORIES")
COMPRESSIONS = values_of("ffpp_tools.sources.faceforensics:COMPRESSIONS")
METHODS = values_of("ffpp_tools.sources.faceforensics:METHODS")
