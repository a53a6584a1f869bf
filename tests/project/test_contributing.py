"""CONTRIBUTING.md: what it shows is added to a copy of the code, and used."""

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
    """A fenced block; `file`, its first line, says where it goes, and `function` into which one."""

    language: str
    file: str
    function: str
    text: str


def blocks(section):
    """The blocks below a heading, in order."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    part = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert part, f"no heading {section!r}"
    found = []
    for language, body in re.findall(r"^```(\w+)\n(.*?)^```", part[1], re.MULTILINE | re.DOTALL):
        head = re.match(r"# ([\w/.]+\.(?:py|toml))(?:: (\w+))?\n", body)
        file, function = head.groups("") if head else ("", "")
        found.append(Block(language, file, function, body[head.end() :] if head else body))
    return found


def added(code, block):
    """Put a block where it says: into a function, below a TOML header, or at a file's end."""
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
def place(tmp_path, world, dataset, videos_manifest):
    """An empty folder with the drawn world where the commands look for data."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/FaceForensics++").symlink_to(world / "FaceForensics++")
    shutil.copytree(dataset, tmp_path / "dataset")
    (tmp_path / "data_manifests").mkdir()
    (tmp_path / "data_manifests/videos").symlink_to(videos_manifest.folder)
    top = world / "FaceForensics++"
    fake = min((top / "manipulated_sequences/Deepfakes/c23/videos").iterdir())
    target, source = fake.stem.split("_")
    for folder in ("takes", "fakes"):
        (tmp_path / "studio" / folder).mkdir(parents=True)
    shutil.copy(fake, tmp_path / "studio/fakes/anna_ben.mp4")
    for old, new in ((target, "anna"), (source, "ben")):
        original = top / f"original_sequences/youtube/c23/videos/{old}.mp4"
        shutil.copy(original, tmp_path / f"studio/takes/{new}.mp4")
    return tmp_path


def followed(section, place, tmp_path_factory):
    """Add a section's blocks to a copy of the code, and run its commands."""
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
            added(code, block)
    assert commands
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(code), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{section}: {command}{done.stderr}"
    return code


def crops(dataset):
    return read_faces(dataset).merge(read_frames(dataset), on="frame_id")


def test_a_detector_of_ones_own_finds_faces(place, tmp_path_factory):
    followed("A new detector", place, tmp_path_factory)
    faces = crops(place / "dataset-even")
    assert set(faces["detector"]) == {"hog-even"}
    assert set(faces["category"]) == {
        "Deepfakes",
        "Face2Face",
        "FaceSwap",
        "NeuralTextures",
        "Youtube",
    }


def test_a_set_of_videos_of_ones_own_gives_crops_whose_fakes_have_their_originals_boxes(
    place, tmp_path_factory
):
    followed("A new source", place, tmp_path_factory)
    faces = crops(place / "dataset-studio")
    assert set(zip(faces["category"], faces["clip"], faces["label"], strict=True)) == {
        ("Studio", "anna", "real"),
        ("Studio", "ben", "real"),
        ("Studio-fake", "anna_ben", "fake"),
    }
    fakes = faces[faces["category"] == "Studio-fake"]
    assert set(fakes["box_from"]) == {"twin"}
    assert set(fakes["target_id"]) == {"anna"}
    assert set(fakes["source_id"]) == {"ben"}


def test_an_architecture_of_ones_own_is_trained_and_has_the_parameters_it_says(
    place, tmp_path_factory
):
    code = followed("A new architecture", place, tmp_path_factory)
    config = tomllib.loads((place / "runs/tiny/config.toml").read_text())
    assert "tiny" in str(config)
    assert len(pd.read_csv(place / "runs/tiny/log.csv")) == 1
    count = (
        "from classify.models import ARCHITECTURES, build; "
        "print(build('tiny', 2).count_params(), ARCHITECTURES['tiny'].parameters)"
    )
    done = subprocess.run(
        [sys.executable, "-c", count],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-2:] == ["242", "242"]


def test_a_recipe_of_ones_own_makes_the_manifest_it_describes(place, tmp_path_factory):
    followed("A new recipe", place, tmp_path_factory)
    train = pd.read_csv(place / "data_manifests/faceswap/train.csv")
    assert set(train["category"]) == {"FaceSwap", "Youtube"}
    assert set(train["class"]) == {"fake", "real"}


def test_every_target_it_names_is_in_the_makefile_and_the_other_way_round():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = {t for line in re.findall(r"`make ([a-z -]+)`", text) for t in line.split()}
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named == targets - {"help", "clean"}
