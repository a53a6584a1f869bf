"""The packages as a whole: import cost, dependencies and packaged data."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.resources import files

import pytest

import classify
import data_manifests
import ffpp_tools
from tests.helpers.project import MODULES, ROOT


def imported_by(statement):
    """The modules that a new Python process has loaded after `statement`."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported_and_has_a_docstring(module):
    assert importlib.import_module(module).__doc__


def test_the_dataset_tools_never_import_tensorflow_or_keras():
    loaded = imported_by(
        "import importlib; [importlib.import_module(m) for m in "
        f"{[m for m in MODULES if m.startswith('ffpp_tools')]}]"
    )
    assert not loaded & {"tensorflow", "keras", "torch", "jax"}


@pytest.mark.parametrize("module", ["ffpp_tools.cli", "classify.cli"])
def test_importing_the_commands_loads_no_heavy_dependency(module):
    heavy = {"tensorflow", "keras", "pandas", "cv2", "dlib", "face_recognition", "sklearn", "av"}
    assert not imported_by(f"import {module}") & heavy


def test_the_lock_file_pins_exact_versions_and_names_no_host():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.+!]+( ; .+)?", line) for line in lines)
    names = {line.split("==")[0] for line in lines}
    assert "dlib-bin" in names
    assert "dlib" not in names
    assert "opencv-python" not in names  # together with opencv-python-headless it breaks cv2


def test_the_lock_file_contains_every_declared_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["dev"], *extras["docs"]]
    locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert {re.split(r"[><=\[]", d)[0] for d in declared} <= locked


def imported(folder):
    """The distributions whose modules the code of a folder imports or searches for."""
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "find_spec":
                names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    owners = packages_distributions()
    distributions = {n for name in names for n in owners.get(name.split(".")[0], ())}
    return {name.lower().replace("_", "-") for name in distributions}


def test_the_declared_dependencies_are_the_used_ones():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[><=\[]", d)[0] for d in project["dependencies"]}
    used = imported("ffpp_tools") | imported("classify") | imported("data_manifests")
    optional = {"ai-edge-litert", "distributed", "jax", "tensorboard", "torch"}  # extras, backends
    # face-recognition installs dlib and its models, and importing the models needs setuptools.
    assert used - declared - optional <= {"ffpp-tools", "dlib-bin", "face-recognition-models"}
    assert declared - used == {"face-recognition", "setuptools"}


def test_data_files_are_packaged():
    assert files(classify).joinpath("templates/report.html").is_file()
    assert files(data_manifests).joinpath("classes.toml").is_file()
    for package in (ffpp_tools, classify, data_manifests):
        assert files(package).joinpath("py.typed").is_file()


def test_modes_and_labels_are_those_of_the_paper():
    modes = data_manifests.modes()
    assert list(modes["multiclass"].classes) == [
        "CelebA",
        "CelebA-HQ",
        "Deepfakes",
        "Face2Face",
        "FaceSwap",
        "NeuralTextures",
        "Youtube",
    ]
    assert list(modes["binary"].classes) == ["fake", "real"]
    assert modes["binary"].ratios == (80, 5, 15)
    assert modes["videos"].ratios == modes["multiclass"].ratios == (84, 4, 12)
    for mode in modes.values():
        assert set(mode.categories) <= set(data_manifests.labels())
    binary = modes["binary"].classes
    assert all(data_manifests.labels()[c] == name for name in binary for c in binary[name])
