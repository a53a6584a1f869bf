"""The repository: its root, modules, commands and Keras backends."""

import pkgutil
import shutil
import subprocess
from pathlib import Path

import classify
import ffpp_tools

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    module.name
    for package in (ffpp_tools, classify)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)


def copied_tree(folder: Path) -> Path:
    """Copy the files that git tracks or would add; in an unpacked sdist, all files."""
    ls_files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(ls_files, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        ignored = shutil.ignore_patterns(".venv", "__pycache__", ".*_cache")
        return Path(shutil.copytree(ROOT, folder, ignore=ignored))
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


COMMANDS = [
    ("ffpp-extract",),
    ("ffpp-stills",),
    ("ffpp-clean",),
    ("ffpp-identify",),
    ("ffpp-split",),
    ("ffpp-audit",),
    ("ffpp-demo",),
    ("ffpp-doctor",),
    ("classify",),
    ("classify", "archs"),
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
