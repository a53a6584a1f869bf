"""Crops that the tables list but that are missing or empty."""

import shutil
from pathlib import Path

import pytest

from ffpp_tools.cli import printing
from ffpp_tools.errors import FfppError
from ffpp_tools.grouping.dedupe import find_duplicates
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.missing_crops import find_missing_crops
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import read_faces, read_frames


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_missing_crops_are_reported_and_in_no_manifest(
    dataset, tmp_path, monkeypatch, capsys, what
):
    folder = tmp_path / "dataset"
    shutil.copytree(dataset, folder)
    clips = read_frames(folder).query("category == 'FaceSwap' and status == 'ok'")["frame_id"]
    faces = read_faces(folder).set_index("frame_id")
    gone = [faces["path"][name] for name in clips[:3]] + ["faces/CelebA/still/000003.png"]
    for path in gone:
        (folder / path).unlink()
        if what == "empty":
            (folder / path).touch()
    lost = find_missing_crops(folder, faces["path"])
    assert (lost.missing if what == "missing" else lost.empty) == tuple(sorted(gone))
    assert not (lost.empty if what == "missing" else lost.missing)
    monkeypatch.setattr(Path, "read_bytes", None)  # no crop is read
    assert find_missing_crops(folder, faces["path"]) == lost
    monkeypatch.undo()
    found = find_duplicates(folder)
    assert set(found.query("kind == 'unreadable'")["path"]) == set(gone)
    printing.duplicates(found, folder)
    assert "4 crops" in "".join(capsys.readouterr())
    printing.duplicates(found.iloc[:0], folder)
    assert "no duplicates" in "".join(capsys.readouterr())
    assert f"--verify --out {folder}" in str(lost)
    settings = SplitSettings("multiclass", ratios=(50, 25, 25))
    manifest = make_manifest(folder, tmp_path / "m", settings)
    assert not set(gone) & {p for s in SPLITS for p in manifest.samples(s)["path"]}


def test_a_complete_dataset_has_no_missing_crops(dataset, tmp_path):
    paths = read_faces(dataset)["path"]
    assert not find_missing_crops(dataset, paths)
    assert find_missing_crops(tmp_path, paths).missing == tuple(sorted(paths))
    with pytest.raises(FfppError, match="points outside"):
        find_missing_crops(dataset, ["../elsewhere.png"])
