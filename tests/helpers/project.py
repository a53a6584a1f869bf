"""The repository: its root, modules, commands and Keras backends."""

import pkgutil
import re
import shutil
import subprocess
from pathlib import Path

import classify
import ffpp_tools

ROOT = Path(__file__).parents[2]
IGNORED = re.compile(r"\.venv|__pycache__|\..*_cache")  # in a tree without git
MODULES = sorted(
    module.name
    for package in (ffpp_tools, classify)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)


def tree_files() -> list[Path]:
    """Files that git tracks or would add, relative to ROOT; in an unpacked sdist, all files."""
    ls_files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(ls_files, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        paths = [path for path in found if not any(IGNORED.fullmatch(part) for part in path.parts)]
    else:
        paths = [Path(name) for name in listing.stdout.split("\0") if name]
    return [path for path in paths if (ROOT / path).is_file()]


def copied_tree(folder: Path) -> Path:
    """Copy the files of the tree to a folder."""
    for path in tree_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    return folder


COMMANDS = [
    ("ffpp-extract",),
    ("ffpp-stills",),
    ("ffpp-clean",),
    ("ffpp-identify",),
    ("ffpp-split",),
    ("ffpp-audit",),
    ("ffpp-export",),
    ("ffpp-demo",),
    ("ffpp-doctor",),
    ("classify",),
    ("classify", "archs"),
    ("classify", "recipes"),
    ("classify", "train"),
    ("classify", "report"),
    ("classify", "predict"),
    ("classify", "explain"),
    ("classify", "compare"),
    ("classify", "export"),
    ("classify", "tune"),
    ("classify", "gan", "train"),
    ("classify", "gan", "generate"),
    ("classify", "gan", "report"),
    ("classify", "study", "backbones"),
]


BACKENDS = ("tensorflow", "torch", "jax")
