"""The code blocks of README.md run as written, in order, in a fresh clone."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from tests.helpers.project import ROOT, copied_tree

pytestmark = pytest.mark.slow

SHELL = ("", "sh", "bash", "console")  # "" is an indented block
QUICK = "--weights none --size 32 --epochs 1"
# Text of README.md, its replacement in the test, and the reason.
SUBSTITUTES = (
    ("git clone <this repository>", "ln -s tree ffpp-tools", "no address yet, and no network"),
    ("make demo", "make --dry-run demo", "test_whole_way.py runs it"),
    ("--arch efficientnetb0", f"--arch efficientnetb0 {QUICK}", "no network, and faster"),
    (
        "ffpp-identify dataset",
        "ffpp-identify dataset --distance 0.05",
        "the embedding network confuses drawn people",
    ),
    (
        '"runs/b0")',
        '"runs/b0", classify.TrainSettings(arch="sepconv", size=32, epochs=1))',
        "no network, and faster",
    ),
)
# First words of blocks that are not run, and the reason.
NOT_RUN = {"pip install --no-deps": "test_distribution.py runs it in an empty environment"}


class Block(NamedTuple):
    language: str
    line: int
    text: str

    @property
    def name(self) -> str:
        return f"README.md, line {self.line}: {self.text.strip().splitlines()[0]}"


def readme_blocks() -> list[Block]:
    """Every code block, fenced or indented."""
    tokens = MarkdownIt("commonmark").parse((ROOT / "README.md").read_text())
    return [
        Block(token.info.strip(), token.map[0] + 1, token.content)
        for token in tokens
        if token.type in ("fence", "code_block") and token.map
    ]


def substituted(text: str) -> str:
    for old, new, _ in SUBSTITUTES:
        text = text.replace(old, new)
    return text


def commands(block: Block) -> str:
    """The commands of a block; of a console block, the lines after the prompt."""
    if block.language != "console":
        return block.text
    return "".join(f"{m}\n" for m in re.findall(r"^\$ (.+)$", block.text, re.MULTILINE))


def blocks(*languages: str) -> list[Block]:
    return [b for b in readme_blocks() if b.language in languages and not is_skipped(b)]


def is_skipped(block: Block) -> bool:
    return block.text.lstrip().startswith(tuple(NOT_RUN))


@pytest.fixture
def clone(tmp_path: Path, world: Path) -> Path:
    """A copy of this tree, with this environment as its .venv and with demo data."""
    tree = copied_tree(tmp_path / "tree")
    (tree / ".venv").mkdir()
    (tree / ".venv/bin").symlink_to(Path(sys.prefix) / "bin")
    (tree / ".venv/installed").touch()
    (tree / "data").symlink_to(world)
    video = min(world.glob("FaceForensics++/original_sequences/**/*.mp4"))
    shutil.copyfile(video, tree / "video.mp4")
    return tree


def environment(clone: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(clone)}


def test_every_block_is_run_or_listed_with_a_reason():
    all_blocks = readme_blocks()
    for block in all_blocks:
        assert block.language in (*SHELL, "python") or is_skipped(block), (
            f"{block.name}: neither run nor in NOT_RUN"
        )
    for start in NOT_RUN:
        assert any(b.text.lstrip().startswith(start) for b in all_blocks), (
            f"no block begins: {start}"
        )


def test_every_substitute_is_used():
    text = "".join(block.text for block in blocks(*SHELL, "python"))
    for old, _, _ in SUBSTITUTES:
        assert old in text, f"README.md no longer contains {old!r}"


def test_the_shell_blocks_run_in_order(clone):
    shell = blocks(*SHELL)
    assert len(shell) >= 4
    mark = "README block "
    script = "".join(
        f"echo '{mark}{number}' >&2\n{substituted(commands(block))}\n"
        for number, block in enumerate(shell)
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=clone.parent,
        env=environment(clone),
        capture_output=True,
        text=True,
        check=False,
    )
    last = int(re.findall(rf"{mark}(\d+)", done.stderr)[-1])
    errors = done.stderr.rpartition(f"{mark}{last}")[2]
    assert done.returncode == 0, f"{shell[last].name}\n\n{errors}\n{done.stdout[-3000:]}"
    assert (clone / "runs/b0/report/report.html").is_file()
    assert (clone / "data_manifests/multiclass/test.csv").is_file()
    assert any((clone / "runs").glob("efficientnetb0-multiclass*/best.keras"))
    assert any((clone / "runs/b0/predicted").rglob("*.html"))


def test_the_python_blocks_print_an_auc_per_method(clone):
    for block in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-c", substituted(block.text)],
            cwd=clone,
            env=environment(clone),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block.name}\n\n{done.stderr}"
        printed = [line.split() for line in done.stdout.splitlines()]
        aucs = {words[0]: float(words[1]) for words in printed if len(words) == 2}
        assert set(aucs) >= {"Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"}
        assert all(0 <= auc <= 1 for auc in aucs.values())
