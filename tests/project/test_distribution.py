"""Wheel and sdist: their content, and the workflow in an environment with nothing else."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers.project import ROOT, copied_tree

PACKAGES = ("classify", "data_manifests", "ffpp_tools")
NOT_CODE = {
    "classify/py.typed",
    "classify/templates/base.html",
    "classify/templates/report.html",
    "data_manifests/classes.toml",
    "data_manifests/py.typed",
    "data_manifests/recipes/grouped.toml",
    "data_manifests/recipes/paper.toml",
    "ffpp_tools/py.typed",
    "ffpp_tools/templates/overview.html",
}
# Files in a working tree that must never be distributed.
PRIVATE = (
    ".venv/lib/secret.py",
    "data/FaceForensics++/original_sequences/000.mp4",
    "data_manifests/videos/train.csv",
    "dataset/faces/000.png",
    "demo/DRAWN.txt",
    "runs/b0/best.keras",
    "site/index.html",
    "tests/__pycache__/x.pyc",
)
NO_NETWORK = "NewConnectionError|NameResolutionError|ConnectTimeoutError|ProxyError"


def build(tree: Path, out: Path) -> tuple[Path, Path]:
    """Build wheel and sdist of a tree as `make build` does."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out)],
        cwd=tree,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        check=True,
    )
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


def in_wheel(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def in_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}


def files(tree: Path) -> set[str]:
    return {p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_tree(tmp_path_factory.mktemp("clone") / "ffpp-tools")


@pytest.fixture(scope="module")
def distributions(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    full = tmp_path_factory.mktemp("full") / "ffpp-tools"
    shutil.copytree(tree, full)
    for name in PRIVATE:
        (full / name).parent.mkdir(parents=True, exist_ok=True)
        (full / name).write_text("secret")
    return build(full, tmp_path_factory.mktemp("dist"))


def test_the_wheel_contains_only_the_packages(tree, distributions):
    names = in_wheel(distributions[0])
    assert names >= NOT_CODE
    assert names == {
        name for name in files(tree) if name.startswith(tuple(f"{p}/" for p in PACKAGES))
    }


def test_the_wheel_declares_its_metadata_and_licence(distributions):
    with zipfile.ZipFile(distributions[0]) as wheel:
        about = {n.partition(".dist-info/")[2]: n for n in wheel.namelist() if ".dist-info/" in n}
        assert wheel.read(about["licenses/LICENSE"]).decode() == (ROOT / "LICENSE").read_text()
        metadata = wheel.read(about["METADATA"]).decode()
        scripts = wheel.read(about["entry_points.txt"]).decode()
    assert "\nRequires-Python: <3.14,>=3.11\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nclassify = classify.cli:app\n" in scripts


def test_the_sdist_contains_the_whole_tree_without_ignored_files(tree, distributions):
    names = in_sdist(distributions[1])
    assert names == files(tree) | {"PKG-INFO"}
    assert {"tests/conftest.py", "docs/architecture.md", "requirements.lock", "LICENSE"} <= names


def test_the_sdist_builds_the_same_wheel(distributions, tmp_path):
    wheel, sdist = distributions
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    rebuilt, _ = build(unpacked, tmp_path / "dist")
    assert rebuilt.name == wheel.name
    assert in_wheel(rebuilt) == in_wheel(wheel)


@pytest.mark.slow
def test_the_workflow_runs_with_only_the_wheel_and_the_lock_file(distributions, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
        "PATH": f"{tmp_path / 'venv/bin'}:/usr/bin:/bin",
        "CC": "/bin/false",  # fails if anything is compiled
        "CXX": "/bin/false",
    }

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run(sys.executable, "-m", "venv", tmp_path / "venv").returncode == 0
    (folder / "requirements.lock").symlink_to(ROOT / "requirements.lock")
    wheel = distributions[0].name
    (folder / wheel).symlink_to(distributions[0])
    for line in install_commands(wheel):
        done = run(*line.split())
        if done.returncode and re.search(NO_NETWORK, done.stdout + done.stderr):
            pytest.skip("no package index is reachable")
        assert done.returncode == 0, done.stderr
    (folder / "requirements.lock").unlink()
    (folder / wheel).unlink()
    missing = run("pip", "check").stdout.splitlines()
    assert [line for line in missing if "requires dlib, which is not installed" not in line] == []
    for command in (
        "ffpp-demo --people 8 --seconds 1 --out demo",
        "ffpp-extract demo/FaceForensics++",
        "ffpp-split --mode videos --ratios 50/25/25",
        "ffpp-audit data_manifests/videos --no-probe",
        "classify train --manifest data_manifests/videos --arch sepconv --size 32 --epochs 1",
        "classify report runs/sepconv-videos",
    ):
        done = run(*command.split())
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert (folder / "runs/sepconv-videos/report/report.html").is_file()
    where = run("python", "-c", "import classify, ffpp_tools; print(classify.__file__)").stdout
    assert where.startswith(str(tmp_path / "venv"))
    shutil.rmtree(tmp_path / "venv")  # some gigabytes


def install_commands(wheel: str) -> list[str]:
    """The install commands of README.md, with the name of this wheel."""
    lines = re.findall(r"^    (pip install --no-deps .+)$", readme(), re.MULTILINE)
    assert len(lines) == 2
    return [re.sub(r"ffpp_tools-\S+\.whl", wheel, line) for line in lines]


def readme() -> str:
    return (ROOT / "README.md").read_text()
