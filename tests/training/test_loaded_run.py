"""A finished run whose files are each read only once."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from classify.training.loaded_run import LoadedManifest, LoadedRun
from classify.training.runs import Run
from ffpp_tools.files import sha256
from tests.helpers.runs import TINY, train_tiny


def loaded(manifest):
    return LoadedManifest(manifest.folder, manifest.info, manifest.sha256)


def test_samples_are_read_once_and_changes_to_them_stay_with_the_caller(
    videos_manifest, monkeypatch
):
    manifest = loaded(videos_manifest)
    first = manifest.samples("test")
    pd.testing.assert_frame_equal(first, videos_manifest.samples("test"))
    monkeypatch.setattr(Path, "read_bytes", None)  # no file can be read from here on
    first["label"] = "changed"
    again = manifest.samples("test", ["label", "path"])
    assert list(again) == ["label", "path"]
    assert set(again["label"]) == {"fake", "real"}


@pytest.fixture
def run(videos_manifest, tmp_path):
    plain = Run.of(tmp_path, TINY, videos_manifest)
    (tmp_path / "best.keras").write_bytes(b"a checkpoint")
    return LoadedRun(**{f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)})


def test_the_checkpoint_of_a_loaded_run_is_hashed_once_and_that_of_a_run_every_time(run):
    before = sha256(run.folder / "best.keras")
    assert run.checkpoint_sha256 == before
    (run.folder / "best.keras").write_bytes(b"another")
    assert run.checkpoint_sha256 == before
    other = Run(run.folder, run.settings, run.manifest_path, run.manifest_sha256)
    assert other.checkpoint_sha256 == sha256(run.folder / "best.keras") != before


def test_a_loaded_run_always_returns_the_same_manifest(run, videos_manifest):
    assert run.manifest is run.manifest
    assert run.manifest.info == videos_manifest.info
    assert isinstance(run.manifest, LoadedManifest)


COUNT_OPENS = """
import collections, json, os, sys
opened = collections.Counter()
def count(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        opened[os.path.realpath(os.fspath(arguments[0]))] += 1
sys.addaudithook(count)
import classify
classify.evaluate(sys.argv[1])
print(json.dumps(opened))
"""


def test_a_report_opens_each_file_of_the_run_and_of_its_manifest_at_most_twice(
    videos_manifest, tmp_path
):
    run = train_tiny(videos_manifest.folder, tmp_path / "run")
    # The checkpoint is hashed. Without stored predictions it is also checked, and Keras opens it
    # twice.
    for expected in (4, 1):
        done = subprocess.run(
            [sys.executable, "-c", COUNT_OPENS, str(run.folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        opened = json.loads(done.stdout.splitlines()[-1])
        inputs = [*run.folder.glob("*.*"), *videos_manifest.folder.glob("*.*")]
        counts = {path.name: opened.get(str(path.resolve()), 0) for path in inputs}
        assert counts.pop("best.keras") == expected
        assert {"manifest.json", "test.csv", "log.csv", "config.toml"} <= set(counts)
        assert {name: n for name, n in counts.items() if n > 2} == {}
