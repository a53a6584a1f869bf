"""Tests that reports use the current identity groups, not those of the manifest's creation."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from classify.evaluation.compare import compare
from classify.evaluation.split_audit import UNREADABLE, split_audit
from classify.evaluation.thresholds import operating_point
from classify.reporting.provenance import of_run, of_verdicts
from classify.reporting.report import make_report, report_on_file
from ffpp_tools.files import sha256
from ffpp_tools.sources import official_lists
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import Manifest
from tests.helpers.runs import train_tiny

pytestmark = pytest.mark.usefixtures("undrawn")
CLEAN, LEAKS = "No identity group is known to be in two splits", "PEOPLE APPEAR IN SEVERAL SPLITS"


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """A run on its own copy of the dataset, to which tests may add lists."""
    folder = tmp_path_factory.mktemp("later")
    own = shutil.copytree(dataset, folder / "dataset")
    asked = SplitSettings(mode="videos", ratios=(50, 25, 25))
    manifest = make_manifest(own, folder / "manifest", asked)
    return train_tiny(manifest.folder, folder / "run", epochs=1)


@pytest.fixture
def conversion(trained):
    """conversion_dict.json of the dataset, in which two clips are from the same video."""
    manifest = trained.manifest
    path = manifest.root / official_lists.FOLDER / official_lists.CONVERSION
    before = path.read_bytes() if path.exists() else None
    first = {
        split: manifest.samples(split).query("category == 'Youtube'")["clip"].iloc[0]
        for split in ("train", "test")
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({first["train"]: "one 0", first["test"]: "one 1"}))
    yield first
    path.unlink()
    if before:
        path.write_bytes(before)


def test_a_new_edge_between_splits_is_in_every_first_line(trained, conversion, tmp_path):
    assert trained.manifest.info["audit"]["leaks"] is False
    found = make_report(trained)
    assert found.provenance.startswith(f"Split: grouped. {LEAKS}: 1 identity group (")
    assert "clips cut from the same YouTube video" in found.provenance
    assert found.leaks
    card = (found.folder / "model-card.md").read_text().splitlines()
    assert LEAKS in card[2]
    assert CLEAN not in (found.folder / "report.html").read_text()
    report = json.loads((found.folder / "report.json").read_text())
    assert report["leaks"] is True
    assert not any("YouTube video, for want" in remark for remark in found.remarks)
    assert LEAKS in of_verdicts(trained, found.operating_point, [])
    theirs = report_on_file(found.folder / "predictions.csv", trained.manifest, folder=tmp_path)
    assert LEAKS in theirs.provenance
    twin = shutil.copytree(trained.folder, trained.folder.with_name("twin"))
    compared = compare([trained, type(trained).read(twin)])
    shutil.rmtree(twin)
    assert compared.notes[0] == "People appear in several splits of the manifest of run, twin."


def test_the_leak_disappears_with_the_edge(trained):
    found = make_report(trained)
    assert found.provenance.startswith(f"Split: grouped. {CLEAN}")
    assert not found.leaks
    assert LEAKS not in of_verdicts(trained, operating_point(trained), [])


def test_intervals_are_over_the_current_groups(trained):
    """All identities of the test split turn out to be one person."""
    manifest = trained.manifest
    clips = manifest.samples("test")["target_id"].unique()
    path = manifest.root / official_lists.FOLDER / official_lists.CONVERSION
    path.parent.mkdir(exist_ok=True)
    before = split_audit(manifest)
    groups = manifest.samples("test")["group"].nunique()
    path.write_text(json.dumps({clip: f"one {i}" for i, clip in enumerate(clips)}))
    after = split_audit(manifest)
    path.unlink()
    assert not after.leaks
    assert before.manifest.info["groups"]["test"]["clips"] == groups
    assert after.manifest.info["groups"]["test"]["clips"] == 1
    assert len(set(after.samples("test")["group"])) == 1
    assert (before.changed, after.changed) == (False, groups > 1)


def test_rows_of_train_copied_into_test_are_found(trained, tmp_path):
    """The hashes in manifest.json are updated, so that only the audit can find the rows."""
    folder = shutil.copytree(trained.manifest.folder, tmp_path / "m")
    rows = {split: pd.read_csv(folder / f"{split}.csv", dtype=str) for split in ("train", "test")}
    pd.concat([rows["test"], rows["train"][:80]]).to_csv(folder / "test.csv", index=False)
    info = json.loads((folder / "manifest.json").read_text())
    info["root"] = str(trained.manifest.root)
    info["files"]["test.csv"] = sha256(folder / "test.csv")
    (folder / "manifest.json").write_text(json.dumps(info))
    said = of_run(trained, Manifest.read(folder), "test", operating_point(trained))
    assert LEAKS in said
    assert "frames of the same clip" in said


def test_without_the_dataset_the_first_line_says_that_the_audit_is_old(trained, tmp_path):
    root = trained.manifest.root
    make_report(trained)
    root.rename(tmp_path / "away")
    try:
        found = make_report(trained)
        again = split_audit(found.manifest)
    finally:
        (tmp_path / "away").rename(root)
    assert f"{CLEAN}, with 3 limitations. {UNREADABLE} (" in found.provenance
    assert "those known when the manifest was created" in found.provenance
    assert found.provenance.count(UNREADABLE) == 1
    assert again.manifest.info["summary"].count(UNREADABLE) == 1
    assert len(found.evaluations) == 2  # by the predictions that were there


def test_a_missing_table_is_named(dataset, tmp_path):
    """Without the table, its edges would be lost."""
    own = shutil.copytree(dataset, tmp_path / "dataset")
    path = own / official_lists.FOLDER / official_lists.CONVERSION
    path.parent.mkdir(exist_ok=True)
    clips = sorted({p.name for p in (own / "faces/Youtube").rglob("*") if p.name.isdigit()})
    path.write_text(json.dumps(dict.fromkeys(clips[:2], "one 0")))
    manifest = make_manifest(own, tmp_path / "m", SplitSettings("videos", "paper", shrink=True))
    assert official_lists.CONVERSION not in split_audit(manifest).manifest.info["summary"]
    path.unlink()
    summary = split_audit(manifest).manifest.info["summary"]
    lost = f"lists/{official_lists.CONVERSION}, ON WHICH THE MANIFEST IS BASED, IS NO LONGER"
    assert lost in summary
    assert LEAKS in summary


def test_the_dataset_is_read_once_for_a_whole_command(trained, monkeypatch):
    from ffpp_tools.grouping.dataset import Dataset

    read = Dataset.read.__func__
    folders = []
    monkeypatch.setattr(
        Dataset, "read", classmethod(lambda cls, path: folders.append(path) or read(cls, path))
    )
    (trained.manifest.root / "touched.txt").write_text("so that nothing is remembered")
    make_report(trained)
    assert len(folders) == 1
    assert np.unique(folders).tolist() == [trained.manifest.root]
