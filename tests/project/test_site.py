"""The documentation site: builds without warnings, is complete, and loads from no other host."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.helpers.project import MODULES, ROOT

pytestmark = pytest.mark.slow

DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "data_manifests/*.md")
    for path in ROOT.glob(pattern)
)
LOADING = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("link", "href"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # A proxy that does not exist: a build that uses the network fails.
    nowhere = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "all")}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Loaded(HTMLParser):
    """Collects the addresses that a page loads when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if (tag, name) in LOADING]
        self.addresses += [url for name, value in attrs if name == "style" for url in urls(value)]

    def handle_data(self, data):
        if self.cdata_elem == "style":
            self.addresses += urls(data)


def urls(style):
    return re.findall(r"""(?:url\(|@import)\s*["']?([^"')]+)""", style)


def page(site, name):
    html = (site / name).read_text()
    return html[html.index("<article") : html.index("</article>")]


def test_no_page_loads_anything_from_another_host(site):
    loaded = Loaded()
    pages = [*site.rglob("*.html")]
    for path in pages:
        html = path.read_text()
        loaded.feed(html)
        assert 'class="mermaid"' not in html, f"{path}: the theme would load a script for it"
    for path in site.rglob("*.css"):
        loaded.addresses += urls(path.read_text())
    assert len(pages) > len(DOCUMENTS)
    assert any(address.endswith(".css") for address in loaded.addresses)
    assert [a for a in loaded.addresses if re.match(r"(\w+:)?//", a)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_document_has_the_same_elements_on_the_site_as_in_commonmark(site, document):
    # MkDocs and CommonMark differ in nested lists, and in tables within lists.
    name = document.with_suffix(".html")
    html = page(site, name.with_name("index.html") if name.stem == "README" else name)
    commonmark = MarkdownIt("commonmark").enable("table").render((ROOT / document).read_text())
    for tag in ("h1", "h2", "h3", "li", "tr", "pre", "img", "blockquote"):
        assert len(re.findall(rf"<{tag}\b", html)) == len(re.findall(rf"<{tag}\b", commonmark)), tag


def test_every_command_is_documented_with_its_options(site):
    text = page(site, "commands.html")
    headings = set(re.findall(r'<h2 id="([\w-]+)"', text))
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) | {"classify-train", "classify-gan-train", "classify-study-backbones"} <= (
        headings
    )
    assert "Take every Nth frame of a clip, from frame 0." in text
    assert "<code>--twins / --no-twins</code>" in text


@pytest.mark.parametrize("module", [*MODULES, "data_manifests"])
def test_every_module_is_documented_with_its_functions(site, module):
    text = page(site, f"reference/{module.split('.')[0]}.html")
    assert f'id="{module}"' in text
    source = Path(importlib.util.find_spec(module).origin).read_text()
    for name in re.findall(r"^(?:def|class) ([A-Za-z]\w+)", source, re.MULTILINE):
        assert f'id="{module}.{name}"' in text


def test_the_search_index_covers_docs_commands_and_reference(site):
    index = json.loads((site / "search/search_index.json").read_text())
    text = {entry["location"].partition("#")[0]: "" for entry in index["docs"]}
    for entry in index["docs"]:
        text[entry["location"].partition("#")[0]] += entry["text"]
    assert "commit mark" in text["docs/architecture.html"]
    assert "evenly spaced" in text["commands.html"]
    assert "intersection over union" in text["reference/ffpp_tools.html"]


def test_a_link_to_a_module_points_to_its_reference(site):
    html = page(site, "docs/training.html")
    assert 'href="../reference/classify.html#classify.training.settings"' in html
    assert "settings.py" not in html


def test_field_comments_are_shown_and_doctests_are_rendered_as_code(site):
    text = page(site, "reference/ffpp_tools.html")
    assert "000_003" in text  # from the comment after a field of Clip
    assert "<p>&gt;&gt;&gt;" not in text
    assert "<blockquote>" not in text


def test_exported_names_link_to_the_reference(site):
    text = page(site, "reference/index.html")
    assert 'href="classify.html#classify.api.train"' in text
    assert 'href="ffpp_tools.html#ffpp_tools.splits.manifest.Manifest"' in text
