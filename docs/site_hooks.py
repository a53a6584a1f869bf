"""The documentation site's pages: the repository's documents, the commands, the modules.

MkDocs calls the `on_…` functions (`hooks` in mkdocs.yml). Every document keeps its place in the
repository, so that one relative link holds on a forge and in the site. The pages of commands and
modules are made from the code at each build.
"""

from __future__ import annotations

import logging
import pkgutil
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from tomllib import loads
from typing import Any

import griffe
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PACKAGES = ("ffpp_tools", "classify", "data_manifests")
DOCUMENTS = ("*.md", "docs/*.md", "data_manifests/README.md")
# What documents link to and the site shows as it is.
ATTACHED = ("LICENSE", "docs/*.png", "benchmarks/*.py", "data_manifests/**/*.toml")
log = logging.getLogger("mkdocs.hooks")  # a warning fails a strict build


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the documents where they lie in the repository, and add the generated pages."""
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for pattern in (*DOCUMENTS, *ATTACHED):
        for path in sorted(ROOT.glob(pattern)):
            uri = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    pages = {f"reference/{package}.md": reference(package) for package in PACKAGES}
    pages |= {"reference/index.md": from_python(), "commands.md": commands()}
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to a module's file lead to the module's page."""

    def module(link: re.Match[str]) -> str:
        return f"[{link[1]}][{link[2].replace('/', '.')}]"

    below = "|".join(PACKAGES)
    return re.sub(rf"\[([^]]+)]\((?:\.\./)*((?:{below})/[\w/]+)\.py\)", module, markdown)


def commands() -> str:
    """A page of every command's help, from the console scripts of pyproject.toml."""
    scripts = loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    parts = ["# Commands", "What every command says with `--help`."]
    for name, target in scripts.items():
        for title, command in _walk(name, command_of(target)):
            parts += [f"## {title}", *_help(title, command)]
    return "\n\n".join(parts) + "\n"


def command_of(target: str) -> Any:
    """The click command behind a console script, such as `classify.cli:app`."""
    return typer.main.get_command(EntryPoint("", target, "").load().app)


def _walk(title: str, command: Any) -> Iterator[tuple[str, Any]]:
    """A command and those below it, by what is typed."""
    yield title, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _walk(f"{title} {name}", below)


def _help(title: str, command: Any) -> list[str]:
    context = command.context_class(command, info_name=title)
    about, _, example = (command.help or "").partition("Example: ")
    usage = command.get_usage(context).removeprefix("Usage: ")
    parts = [about.strip(), f"```console\n{usage}\n```"]
    if example:
        parts += ["Example:", f"```console\n{example.strip()}\n```"]
    rows = [p.get_help_record(context) for p in command.get_params(context)]
    rows = [r for r in rows if r and r[0] != "--help"]
    if rows:
        named = ((f"`{name}`", _escaped(about)) for name, about in rows)
        parts.append(_table(("argument or option", "meaning"), named))
    return parts


def _escaped(text: str) -> str:
    """Text in which Markdown sees no markup."""
    return re.sub(r"([|<*_`])", r"\\\1", " ".join(text.split()))


def reference(package: str) -> str:
    """A page of a package's modules, in the order of docs/architecture.md."""
    listed = _architecture(package)
    found = {name: _place(package, name, listed) for name in _modules(package)}
    for name in (name for name, place in found.items() if place is None):
        log.warning("docs/architecture.md says nothing of %s", name)
    for place in set(range(len(listed))) - set(found.values()):
        log.warning("docs/architecture.md: there is no %s in %s", listed[place], package)
    ordered = sorted(found, key=lambda name: (found[name] is None, found[name] or 0))
    return "\n\n".join([f"# {package}", *(f"::: {name}" for name in ordered)]) + "\n"


def _modules(package: str) -> list[str]:
    """The names of a package's public modules, its own last if it holds more than a docstring."""
    top = import_module(package)
    found = pkgutil.walk_packages(top.__path__, f"{package}.")
    return [package, *(module.name for module in found)]


def _architecture(package: str) -> list[str]:
    """The modules in the first column of a package's table, such as `video.decode` or `gan/`."""
    text = (ROOT / "docs/architecture.md").read_text()
    section = text.partition(f"## `{package}`")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def _place(package: str, name: str, listed: list[str]) -> int | None:
    """Where a module stands; a folder without a row stands before its first module."""
    below = name.removeprefix(package).removeprefix(".")
    if not below:
        return -1
    top = below.split(".")[0]
    for row in (below, top, f"{top}/"):
        if row in listed:
            return listed.index(row)
    return next((i for i, row in enumerate(listed) if row.startswith(f"{below}.")), None)


def from_python() -> str:
    """The exported names of the packages, each with its first line and a link to the rest."""
    rows = []
    for package in map(import_module, ("ffpp_tools", "classify")):
        for name in package.__all__:
            exported = getattr(package, name)
            if where := getattr(exported, "__module__", None):
                about = exported.__doc__.split("\n")[0]
                rows.append((f"[`{package.__name__}.{name}`][{where}.{name}]", _escaped(about)))
    parts = [
        "# Reference",
        "[From Python](../docs/python.md) is the introduction. The packages export:",
        _table(("name", "what it is"), rows),
        "Everything, module by module:",
        "\n".join(f"- [{package}]({package}.md)" for package in PACKAGES),
    ]
    return "\n\n".join(parts) + "\n"


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, str]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Docstrings(griffe.Extension):
    """What the code says in its own way, in that of the site."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Show doctests as code: Markdown would take `>>>` for quotations."""
        if obj.docstring:
            fenced = r"```pycon\n\1\n```\n"
            text = re.sub(r"^(>>> (?:.+\n?)+)", fenced, obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = text

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Take the comment behind a field for its description."""
        comment = re.search(r"  # (.+)$", attr.lines[-1]) if attr.lines else None
        if comment and not attr.docstring:
            attr.docstring = griffe.Docstring(comment[1], parent=attr)
