"""What an HTML page holds."""

import base64
import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects what a page would fetch, its tables' headers and its pictures' texts."""

    def __init__(self):
        super().__init__()
        self.fetched, self.headers, self.alts, self.pictures = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.fetched += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag == "th":
            self.headers.append(attrs.get("scope"))
        if tag == "img":
            self.alts.append(attrs.get("alt"))
            self.pictures.append(attrs["src"])


def pictures_in(path):
    """What the pictures of a page hold."""
    page = Page()
    page.feed(path.read_text())
    return [base64.b64decode(address.partition("base64,")[2]) for address in page.pictures]


def files_with_pictures(folder):
    """The names of all files below a folder that are pictures, by what is in them."""
    known = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM")
    return {p.name for p in folder.rglob("*") if p.is_file() and p.read_bytes().startswith(known)}


OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
