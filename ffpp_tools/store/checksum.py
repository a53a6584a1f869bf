"""A digest stored with values in a JSON file, so that later changes to the values are detected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "digest"


def with_digest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with their digest added under `KEY`."""
    return {**values, KEY: _digest(values)}


def is_intact(values: Mapping[str, Any]) -> bool | None:
    """Return whether the values match their digest; None if they have no digest."""
    return values[KEY] == _digest(values) if KEY in values else None


def _digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of all values except the digest, in the form in which JSON returns them.

    >>> _digest({"b": (1, 2.5), "a": None}) == _digest({"a": None, "b": [1, 2.5], "digest": "x"})
    True
    """
    plain = {name: value for name, value in values.items() if name != KEY}
    text = json.dumps(json.loads(json.dumps(plain)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
