"""Markdown documents from templates: every value is escaped by one rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ffpp_tools.console import counted

if TYPE_CHECKING:
    from jinja2 import Environment

SPECIAL = re.compile(r"[\\`*_\[\]<>|~&#!$]")
LINE_START = re.compile(r"^(\d*)([-+=]|[.)](?=\s|$))")
ADDRESS = re.compile(r"(?<=[A-Za-z])(://)|\b(www)\.")


class Markdown(str):
    """Text that is already Markdown and is not escaped."""

    __slots__ = ()

    @property
    def plain(self) -> str:
        """The text without angle brackets around its links.

        >>> Markdown("a form (<https://a.org/b>)").plain
        'a form (https://a.org/b)'
        """
        return re.sub(r"<(https?://[^>]*)>", r"\1", self)


def templates(package: str) -> Environment:
    """Return the Markdown templates of a package.

    They can use `counted` and `named`, and escape every value that is not `Markdown`.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(package),
        autoescape=False,
        finalize=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    made.globals.update(counted=counted, named=named)
    return made


def escaped(value: Any) -> str:
    r"""Escape a value as one line of plain text in Markdown.

    >>> print(escaped("a|b <i>\n# [x](http://y)"))
    a\|b \<i\> \# \[x\](http\://y)
    """
    if isinstance(value, Markdown):
        return value
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = SPECIAL.sub(r"\\\g<0>", text)
    text = ADDRESS.sub(lambda match: r"\://" if match[1] else r"www\.", text)
    return LINE_START.sub(r"\1\\\2", text)


def named(names: Iterable[str], nothing: str = "none") -> str:
    """Join names for a sentence.

    >>> named(["Deepfakes", "FaceSwap"]), named([])
    ('Deepfakes, FaceSwap', 'none')
    """
    return ", ".join(names) or nothing


def listed(values: Mapping[str, Any], nothing: str) -> str:
    """Join the settings in use, those with a value.

    >>> listed({"margin": 1.3, "align": False, "shape": "square"}, "not recorded")
    'margin 1.3, shape square'
    """
    used = {name: value for name, value in values.items() if value not in (None, "", False)}
    return named([f"{name} {value}" for name, value in used.items()], nothing)
