"""The public API of `ffpp_tools` and `classify`: names, signatures and runnable examples."""

import doctest
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import classify
import ffpp_tools
from classify import api as classify_api
from ffpp_tools import api as ffpp_api
from ffpp_tools.console import console

PACKAGES = (ffpp_tools, classify)
FUNCTIONS = [
    (api, name)
    for api in (ffpp_api, classify_api)
    for name, value in vars(api).items()
    if inspect.isfunction(value) and value.__module__ == api.__name__ and not name.startswith("_")
]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_exported_name_exists_and_is_documented(package):
    assert sorted(package.__all__) == package.__all__
    assert set(package.__all__) <= set(dir(package))
    for name in set(package.__all__) - {"__version__"}:
        assert getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_every_function_is_exported_and_has_at_most_three_positional_parameters():
    for api, name in FUNCTIONS:
        package = ffpp_tools if api is ffpp_api else classify
        assert getattr(package, name) is getattr(api, name)
        positional = [
            parameter.name
            for parameter in inspect.signature(getattr(api, name)).parameters.values()
            if parameter.kind is not parameter.KEYWORD_ONLY
        ]
        assert len(positional) <= 3, f"{name}{positional}"
        assert ">>>" in getattr(api, name).__doc__, name


def test_importing_the_packages_loads_no_heavy_dependency():
    code = "import sys, ffpp_tools, classify; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "cv2", "dlib", "keras", "tensorflow", "av", "joblib", "typer"}
    assert not heavy & set(done.stdout.split())


def test_the_version_is_that_of_the_installed_distribution():
    from importlib.metadata import version

    assert ffpp_tools.__version__ == classify.__version__ == version("ffpp-tools")


@pytest.mark.slow
def test_the_docstring_examples_of_all_functions_run_in_order(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "quiet", True)
    (tmp_path / "data").symlink_to(world)
    video = min(world.glob("FaceForensics++/original_sequences/**/*.mp4"))
    shutil.copyfile(video, tmp_path / "video.mp4")
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL, verbose=False
    )
    report = []
    for api, name in FUNCTIONS:
        (example,) = doctest.DocTestFinder(recurse=False).find(
            getattr(api, name), name, globs={}, module=api
        )
        assert example.examples
        runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("recipe", ["own.toml", Path("own.toml")])
def test_the_file_of_a_recipe_is_a_string_or_a_path(recipe, monkeypatch):
    made = []
    monkeypatch.setattr(ffpp_api, "make_manifest", lambda *args: made.append(args[2]))
    ffpp_tools.split("dataset", "manifest", recipe=recipe)
    assert made[0].recipe == "own.toml"
