"""Shared fixtures: small drawn demo data, crops extracted from it, and the real data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from ffpp_tools.console import console
from ffpp_tools.demo import draw_world
from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
from ffpp_tools.extraction.workers import Workers
from ffpp_tools.sources.faceforensics import Family, families, find_clips
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import Manifest
from tests.helpers.videos import shortened_with_index_first
from tests.helpers.worlds import PEOPLE, SETTINGS


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo data: eight drawn people with clips of about 1.5 s, fakes, masks and stills."""
    return draw_world(tmp_path_factory.mktemp("world"), PEOPLE, seconds=1.5, workers=2)


@pytest.fixture(scope="session")
def ffpp(world: Path) -> Path:
    return world / "FaceForensics++"


@pytest.fixture
def few(ffpp: Path) -> list[Family]:
    """The families of two Youtube and two FaceSwap clips."""
    return families(ffpp, find_clips(ffpp, categories=["Youtube", "FaceSwap"], limit=2))


@pytest.fixture(scope="session")
def dataset(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of the demo data: every 10th frame of each clip, and all stills."""
    folder = tmp_path_factory.mktemp("made") / "dataset"
    root, workers = world / "FaceForensics++", Workers(2)
    extract_dataset(families(root, find_clips(root)), folder, SETTINGS, workers)
    for category in ("CelebA", "CelebA-HQ"):
        extract_still_dataset(find_stills(world / category, category), folder, workers=workers)
    return folder


@pytest.fixture(scope="session")
def videos_manifest(dataset: Path) -> Manifest:
    settings = SplitSettings(mode="videos", ratios=(50, 25, 25))
    return make_manifest(dataset, dataset.parent / "manifests/videos", settings)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real FF++ clips: FFPP_TEST_DATA if set, else ../shared."""
    folder = Path(os.environ.get("FFPP_TEST_DATA", "../shared"))
    if not (folder / "data/FaceForensics++").is_dir():
        pytest.skip(f"no real data at {folder} (set FFPP_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def yunet_file() -> Path:
    """YuNet's model file: FFPP_TEST_YUNET if set."""
    path = Path(os.environ.get("FFPP_TEST_YUNET", ""))
    if not path.is_file():
        pytest.skip("no model file of YuNet (set FFPP_TEST_YUNET)")
    return path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the figures of reports by empty images: drawing them takes most of the time."""
    monkeypatch.setattr("classify.training.curves.image", lambda figure, kind: b"<svg></svg>")


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    """Runs one of our commands in this process; returns (exit status, stdout, stderr)."""
    scripts = {entry.name: entry for entry in entry_points(group="console_scripts")}

    def run(name: str, *args: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")  # commands change it
        monkeypatch.setattr("ffpp_tools.console._json_output.requested", False)
        monkeypatch.setattr("ffpp_tools.console.log.folder", None)
        monkeypatch.setattr("ffpp_tools.console.log._buffer", "")
        monkeypatch.setattr(console, "quiet", False)
        monkeypatch.setattr(console, "_file", None)
        capsys.readouterr()
        status: object = 0
        try:
            scripts[name].load()()
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs an installed command in `tmp_path`; returns its exit status and output."""

    def run(name: str, *args: object, **env: str) -> subprocess.CompletedProcess[str]:
        script = Path(sys.executable).parent / name
        return subprocess.run(
            [str(script), *map(str, args)],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120", **env},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def copy(ffpp: Path, tmp_path: Path) -> Path:
    """A copy of the drawn originals and Deepfakes, with one fault of each kind."""
    root = tmp_path / "FaceForensics++"
    for category in ("original_sequences/youtube", "manipulated_sequences/Deepfakes"):
        shutil.copytree(ffpp / category, root / category)
    shutil.copytree(ffpp / "splits", root / "splits")
    videos = root / "original_sequences/youtube/c23/videos"
    (videos / "000.mp4").write_bytes(b"")
    (videos / "001.mp4").write_bytes(shortened_with_index_first(videos / "001.mp4", tmp_path))
    (videos / "002.mp4").unlink()
    (videos / "003.mp4.part").write_bytes(b"half")
    shutil.copy(videos / "004.mp4", videos / "my favourite.mp4")
    return root


@pytest.fixture
def clip(ffpp: Path) -> Path:
    """The video file of a drawn original."""
    return find_clips(ffpp, categories=["Youtube"])[0].path
