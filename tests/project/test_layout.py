"""Package layout: import directions, modules per folder, and a test file per module."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

PACKAGES = ("ffpp_tools", "classify", "data_manifests")
MAX_MODULES = 13  # per folder
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def dotted(path: Path) -> str:
    """The import name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, modules: set[str]) -> set[str]:
    """Those of `modules` that a file imports anywhere, type-only imports included."""
    imported_names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported_names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            imported_names |= {name if name in modules else str(node.module) for name in names}
    return (imported_names & modules) - {dotted(path)}


def imports() -> dict[str, set[str]]:
    """Module → the modules it imports. Re-exports in a package's __init__.py do not count."""
    modules = {dotted(path) for path in FILES}
    return {
        dotted(path): set() if dotted(path) in PACKAGES else imported(path, modules)
        for path in FILES
    }


def subpackage(module: str) -> str:
    """The subpackage of a module; for a top-level module, the module itself."""
    return ".".join(module.split(".")[:2])


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of one import cycle, or [] if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_an_import_cycle_is_detected():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


def test_modules_have_no_import_cycle():
    graph = imports()
    assert "ffpp_tools.sources.clip" in graph["ffpp_tools.faces.unchanged_fakes"]
    assert cycle(graph) == []


def test_subpackages_have_no_import_cycle():
    graph = defaultdict(set)
    for module, others in imports().items():
        graph[subpackage(module)] |= {subpackage(other) for other in others} - {subpackage(module)}
    assert cycle(graph) == []


def test_no_folder_exceeds_the_maximum_number_of_modules():
    counts = defaultdict(int)
    for path in FILES:
        counts[path.parent.relative_to(ROOT).as_posix()] += path.name != "__init__.py"
    assert {name: n for name, n in counts.items() if n > MAX_MODULES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_a_test_file_with_its_name(package):
    untested = [
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if path.is_relative_to(ROOT / package) and path.name != "__init__.py"
        if not _test_file(path.relative_to(ROOT / package)).is_file()
    ]
    assert untested == []


def _test_file(module: Path) -> Path:
    """The test file of a module: `splits/build.py` → `tests/splits/test_build.py`."""
    return ROOT / "tests" / module.with_name(f"test_{module.name}")


def test_no_test_file_imports_from_another():
    files = sorted((ROOT / "tests").rglob("*.py"))
    tests = {dotted(path) for path in files}
    test_files = {name for name in tests if name.split(".")[-1].startswith(("test_", "conftest"))}
    assert len(test_files) > 100
    imports_of = {dotted(path): sorted(imported(path, tests) & test_files) for path in files}
    assert {name: others for name, others in imports_of.items() if others} == {}
