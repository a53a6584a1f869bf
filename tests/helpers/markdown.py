"""Markdown documents, rendered for tests."""

from html.parser import HTMLParser

from markdown_it import MarkdownIt

HOSTILE = "# x|y `z` <i>a</i> ![p](http://evil/x.png)\n\n1. [l](javascript:1) www.evil.org \\"


class Rendered(HTMLParser):
    """Rendered Markdown: tables with their headings, links, and text."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self.links, self.text = [], set(), [], ""
        self._heading, self._within = "", ""
        parser = MarkdownIt("commonmark", {"html": True}).enable("table")
        self.feed(parser.render(text))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("h1", "h2", "h3", "th", "td"):
            self._within = tag
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag in ("h1", "h2", "h3"):
            self._heading = ""
        if tag == "table":
            self.tables.append((self._heading, []))
        if tag == "tr":
            self.tables[-1][1].append([])
        if tag in ("th", "td"):
            self.tables[-1][1][-1].append("")

    def handle_endtag(self, tag):
        if tag == self._within:
            self._within = ""

    def handle_data(self, data):
        self.text += data
        if self._within in ("h1", "h2", "h3"):
            self._heading += data
        elif self._within in ("th", "td"):
            self.tables[-1][1][-1][-1] += data


def table(card, heading, first):
    """Return the rows of the table under a heading whose first column has a given name."""
    (found,) = (
        rows for above, rows in Rendered(card).tables if above == heading and rows[0][0] == first
    )
    return found
