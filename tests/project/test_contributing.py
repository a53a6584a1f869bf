"""The examples of CONTRIBUTING.md are inserted into a copy of the code, and run."""

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from ffpp_tools.store.tables import read_faces, read_frames
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow

PACKAGES = ("ffpp_tools", "classify", "data_manifests")


class Block(NamedTuple):
    """A fenced block. Its first line names the file and the function that it belongs to, if any."""

    language: str
    file: str
    function: str
    text: str


def blocks(section):
    """The blocks under a heading, in order."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section_match = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section_match, f"no heading {section!r}"
    section_blocks = []
    for language, body in re.findall(
        r"^```(\w+)\n(.*?)^```", section_match[1], re.MULTILINE | re.DOTALL
    ):
        head = re.match(r"# ([\w/.]+\.(?:py|toml))(?:: (\w+))?\n", body)
        file, function = head.groups("") if head else ("", "")
        section_blocks.append(Block(language, file, function, body[head.end() :] if head else body))
    return section_blocks


def insert(code, block):
    """Insert a block into its function, below its TOML header, or at the end of its file."""
    path = code / block.file
    old = path.read_text() if path.exists() else ""
    header = re.match(r"\[\w+]\n", block.text)
    if block.function:
        tree = ast.parse(old)
        (function,) = (n for n in tree.body if getattr(n, "name", "") == block.function)
        line = function.body[0].end_lineno  # of the docstring
        lines = old.splitlines(keepends=True)
        new = "".join([*lines[:line], textwrap.indent(block.text, "    "), *lines[line:]])
    elif old and header:
        assert re.search(rf"^{re.escape(header[0].strip())}", old, re.MULTILINE)
        start = re.search(rf"^{re.escape(header[0].strip())}.*\n", old, re.MULTILINE).end()
        new = old[:start] + block.text[header.end() :] + old[start:]
    else:
        new = f"{old}\n\n{block.text}" if old else block.text
    path.write_text(new)


@pytest.fixture
def workspace(tmp_path, world, dataset, videos_manifest):
    """A folder with the demo data where the commands expect the data."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/FaceForensics++").symlink_to(world / "FaceForensics++")
    shutil.copytree(dataset, tmp_path / "dataset")
    (tmp_path / "data_manifests").mkdir()
    (tmp_path / "data_manifests/videos").symlink_to(videos_manifest.folder)
    root = world / "FaceForensics++"
    fake = min((root / "manipulated_sequences/Deepfakes/c23/videos").iterdir())
    target, source = fake.stem.split("_")
    for folder in ("takes", "fakes"):
        (tmp_path / "studio" / folder).mkdir(parents=True)
    shutil.copy(fake, tmp_path / "studio/fakes/anna_ben.mp4")
    for old, new in ((target, "anna"), (source, "ben")):
        original = root / f"original_sequences/youtube/c23/videos/{old}.mp4"
        shutil.copy(original, tmp_path / f"studio/takes/{new}.mp4")
    return tmp_path


def follow(section, workspace, tmp_path_factory):
    """Insert the blocks of a section into a copy of the code, and run its commands."""
    code = tmp_path_factory.mktemp("code")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, code / package, ignore=ignored)
    commands = []
    for block in blocks(section):
        if block.language == "sh":
            commands.append(block.text)
        else:
            assert block.file, f"{section}: a block names no file: {block.text}"
            insert(code, block)
    assert commands
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=workspace,
            env={**os.environ, "PYTHONPATH": str(code), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{section}: {command}{done.stderr}"
    return code


def crops(dataset):
    return read_faces(dataset).merge(read_frames(dataset), on="frame_id")


def test_a_custom_detector_finds_faces(workspace, tmp_path_factory):
    follow("A new detector", workspace, tmp_path_factory)
    faces = crops(workspace / "dataset-even")
    assert set(faces["detector"]) == {"hog-even"}
    assert set(faces["category"]) == {
        "Deepfakes",
        "Face2Face",
        "FaceSwap",
        "NeuralTextures",
        "Youtube",
    }


def test_fakes_of_a_custom_source_are_cropped_with_the_boxes_of_their_originals(
    workspace, tmp_path_factory
):
    follow("A new source", workspace, tmp_path_factory)
    faces = crops(workspace / "dataset-studio")
    assert set(zip(faces["category"], faces["clip"], faces["label"], strict=True)) == {
        ("Studio", "anna", "real"),
        ("Studio", "ben", "real"),
        ("Studio-fake", "anna_ben", "fake"),
    }
    fakes = faces[faces["category"] == "Studio-fake"]
    assert set(fakes["box_from"]) == {"twin"}
    assert set(fakes["target_id"]) == {"anna"}
    assert set(fakes["source_id"]) == {"ben"}


def test_a_custom_architecture_trains_and_has_the_declared_number_of_parameters(
    workspace, tmp_path_factory
):
    code = follow("A new architecture", workspace, tmp_path_factory)
    config = tomllib.loads((workspace / "runs/tiny/config.toml").read_text())
    assert "tiny" in str(config)
    assert len(pd.read_csv(workspace / "runs/tiny/log.csv")) == 1
    count = (
        "from classify.models import ARCHITECTURES, build; "
        "print(build('tiny', 2).count_params(), ARCHITECTURES['tiny'].parameters)"
    )
    done = subprocess.run(
        [sys.executable, "-c", count],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-2:] == ["242", "242"]


def test_a_custom_recipe_creates_the_manifest_that_it_describes(workspace, tmp_path_factory):
    follow("A new recipe", workspace, tmp_path_factory)
    train = pd.read_csv(workspace / "data_manifests/faceswap/train.csv")
    assert set(train["category"]) == {"FaceSwap", "Youtube"}
    assert set(train["class"]) == {"fake", "real"}


def test_contributing_names_exactly_the_targets_of_the_makefile():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = {t for line in re.findall(r"`make ([a-z -]+)`", text) for t in line.split()}
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named == targets - {"help", "clean"}
