"""The folders of the packages: who imports whom, how many modules, and where their tests are."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

PACKAGES = ("ffpp_tools", "classify", "data_manifests")
MOST_MODULES = 13  # of a folder
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def dotted(path: Path) -> str:
    """The name by which a file is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, modules: set[str]) -> set[str]:
    """The modules, of these, that a file imports anywhere, also for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in modules else str(node.module) for name in names}
    return (found & modules) - {dotted(path)}


def imports() -> dict[str, set[str]]:
    """Module → the modules it imports. What a package's own __init__.py offers does not count."""
    modules = {dotted(path) for path in FILES}
    return {
        dotted(path): set() if dotted(path) in PACKAGES else imported(path, modules)
        for path in FILES
    }


def wing(module: str) -> str:
    """The folder of a package that a module lies in; of one beside the folders, itself."""
    return ".".join(module.split(".")[:2])


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Some nodes that lead to each other in a circle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


def test_no_modules_import_each_other_in_a_circle():
    graph = imports()
    assert "ffpp_tools.sources.clip" in graph["ffpp_tools.faces.unchanged_fakes"]
    assert circle(graph) == []


def test_imports_between_folders_run_one_way():
    graph = defaultdict(set)
    for module, others in imports().items():
        graph[wing(module)] |= {wing(other) for other in others} - {wing(module)}
    assert circle(graph) == []


def test_a_folder_holds_no_more_modules_than_a_reader_takes_in():
    counts = defaultdict(int)
    for path in FILES:
        counts[path.parent.relative_to(ROOT).as_posix()] += path.name != "__init__.py"
    assert {name: n for name, n in counts.items() if n > MOST_MODULES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_a_test_file_of_its_name(package):
    without = [
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if path.is_relative_to(ROOT / package) and path.name != "__init__.py"
        if not _test_file(path.relative_to(ROOT / package)).is_file()
    ]
    assert without == []


def _test_file(module: Path) -> Path:
    """Where a module's tests are: `splits/build.py` → `tests/splits/test_build.py`."""
    return ROOT / "tests" / module.with_name(f"test_{module.name}")


def test_no_test_file_imports_from_another():
    files = sorted((ROOT / "tests").rglob("*.py"))
    tests = {dotted(path) for path in files}
    own = {name for name in tests if name.split(".")[-1].startswith(("test_", "conftest"))}
    assert len(own) > 100
    found = {dotted(path): sorted(imported(path, tests) & own) for path in files}
    assert {name: others for name, others in found.items() if others} == {}
