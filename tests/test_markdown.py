"""Escaping of values in Markdown documents, and templates."""

import pytest
from markdown_it import MarkdownIt

from ffpp_tools.markdown import Markdown, escaped, templates


def rendered(text):
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


@pytest.mark.parametrize(
    "text", ["1. x", "- x", "+ x", "=", "3) x", "0.001", "# x", "a_b_c", "~~x~~", "www.a.b"]
)
def test_text_is_rendered_unchanged(text):
    assert rendered(escaped(text)) == f"<p>{text}</p>\n"


def test_control_characters_and_line_ends_become_spaces():
    assert escaped("a\nb\x1b\u2028c") == "a b  c"


def test_templates_escape_every_value_that_is_not_markdown():
    template = templates("ffpp_tools").from_string("{{ text }} {{ link }} {{ counted(2, 'clip') }}")
    found = template.render(text="*x* http://a.b", link=Markdown("<https://c.d>"))
    assert found == r"\*x\* http\://a.b <https://c.d> 2 clips"
