"""A digest kept with values that are written as JSON, so that a later change of them is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "digest"


def with_digest(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values and, as one more of them, their digest."""
    return {**values, KEY: _digest(values)}


def is_intact(values: Mapping[str, Any]) -> bool | None:
    """Whether values are as they were written; None where they carry no digest to tell by."""
    return values[KEY] == _digest(values) if KEY in values else None


def _digest(values: Mapping[str, Any]) -> str:
    """Of all but the digest itself, as JSON would give them back.

    >>> _digest({"b": (1, 2.5), "a": None}) == _digest({"a": None, "b": [1, 2.5], "digest": "x"})
    True
    """
    plain = {name: value for name, value in values.items() if name != KEY}
    text = json.dumps(json.loads(json.dumps(plain)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
