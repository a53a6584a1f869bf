"""The content of HTML pages."""

import base64
import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects a page's addresses, the scopes of its table headers, its images and alt texts."""

    def __init__(self):
        super().__init__()
        self.fetched, self.headers, self.alts, self.images = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.fetched += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag == "th":
            self.headers.append(attrs.get("scope"))
        if tag == "img":
            self.alts.append(attrs.get("alt"))
            self.images.append(attrs["src"])


def pictures_in(path):
    """The bytes of the images embedded in a page."""
    page = Page()
    page.feed(path.read_text())
    return [base64.b64decode(address.partition("base64,")[2]) for address in page.images]


def files_with_pictures(folder):
    """The names of all files under a folder whose content is an image."""
    magic = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM")
    return {p.name for p in folder.rglob("*") if p.is_file() and p.read_bytes().startswith(magic)}


OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
