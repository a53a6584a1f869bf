"""The code of docs/tutorial.md and docs/python.md runs as written on the demo data."""

import contextlib
import doctest
import os
import re
import subprocess
import sys

import pytest

from ffpp_tools.console import console
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow


def blocks(document, language):
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """The folder in which the tutorial has run, and its doctest failures."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "demo").symlink_to(world)
    steps = "\n".join(blocks("tutorial.md", "pycon"))
    test = doctest.DocTestParser().get_doctest(steps, {}, "tutorial.md", "docs/tutorial.md", 0)
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False
    )
    failures = []
    console.quiet = True
    try:
        with contextlib.chdir(folder):
            runner.run(test, out=failures.append)
    finally:
        console.quiet = False
    return folder, "".join(failures)


def test_the_tutorial_prints_the_output_that_it_shows(finished):
    folder, failures = finished
    assert failures == ""
    assert (folder / "runs/sepconv/report/report.html").is_file()


def test_the_tutorial_uses_the_same_demo_data_as_the_tests():
    (command,) = blocks("tutorial.md", "bash")
    assert command == "ffpp-demo --out demo --people 8 --seconds 1.5\n"


def test_the_blocks_of_python_md_run_in_order(finished):
    folder, _ = finished
    code = "\n".join(blocks("python.md", "python"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) == 0.5
