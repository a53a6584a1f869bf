"""A finished run, each of whose files is read once."""

import dataclasses

import pandas as pd
import pytest

from classify.training.loaded_run import LoadedManifest, LoadedRun
from classify.training.runs import Run
from ffpp_tools.files import sha256
from tests.helpers.runs import TINY


def loaded(manifest):
    return LoadedManifest(manifest.folder, manifest.info, manifest.sha256)


def test_samples_are_read_once_and_what_is_written_to_them_stays_with_the_writer(
    videos_manifest, monkeypatch
):
    manifest = loaded(videos_manifest)
    first = manifest.samples("test")
    pd.testing.assert_frame_equal(first, videos_manifest.samples("test"))
    monkeypatch.setattr(pd, "read_csv", None)  # from here on nothing can be read
    first["label"] = "changed"
    again = manifest.samples("test", ["label", "path"])
    assert list(again) == ["label", "path"]
    assert set(again["label"]) == {"fake", "real"}


@pytest.fixture
def run(videos_manifest, tmp_path):
    made = Run.of(tmp_path, TINY, videos_manifest)
    (tmp_path / "best.keras").write_bytes(b"a checkpoint")
    return LoadedRun(**{f.name: getattr(made, f.name) for f in dataclasses.fields(made)})


def test_a_loaded_runs_checkpoint_is_hashed_once_and_that_of_a_run_every_time(run):
    before = sha256(run.folder / "best.keras")
    assert run.checkpoint_sha256 == before
    (run.folder / "best.keras").write_bytes(b"another")
    assert run.checkpoint_sha256 == before
    other = Run(run.folder, run.settings, run.manifest_path, run.manifest_sha256)
    assert other.checkpoint_sha256 == sha256(run.folder / "best.keras") != before


def test_a_loaded_runs_manifest_is_its_own_and_always_the_same(run, videos_manifest):
    assert run.manifest is run.manifest
    assert run.manifest.info == videos_manifest.info
    assert isinstance(run.manifest, LoadedManifest)
