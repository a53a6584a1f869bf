"""Files of earlier releases are read; files of later releases are rejected with a remedy."""

import io
import json
import math
import tarfile
import tomllib
from dataclasses import fields, make_dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tomli_w

from classify.evaluation import thresholds
from classify.evaluation.predict import score_split
from classify.gan.generate import NOTE
from classify.gan.generate import _read as read_note
from classify.gan.run import GanRun
from classify.reporting.report import make_report
from classify.reporting.saved_report import read_saved_report
from classify.search import tune
from classify.training import settings
from classify.training.run_folder import read_environment
from classify.training.runs import Run
from ffpp_tools.errors import FormatError, SettingsError
from ffpp_tools.extraction import settings_guard
from ffpp_tools.extraction.any_media import read_settings
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.extraction.settings_guard import record_settings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.feature_cache import _read_shard
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.splits import manifest, shortcuts
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import format_versions, schema, tables
from ffpp_tools.store.schema import SPLITS, FrameRow, Part
from ffpp_tools.store.tables import read_duplicates, read_faces, read_frames, read_identities
from ffpp_tools.video.sampling import FramePlan
from tests.store.formats.make import small

ARCHIVES = sorted((Path(__file__).parent / "formats").glob("*.tar.xz"))
CROPPED = CropSettings(size="16x16", format="jpg")
AS_CREATED = ClipSettings(FramePlan(every=20), CROPPED)


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def old(request, tmp_path):
    """Files of an earlier release: a dataset, a manifest, runs, a search."""
    small()
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_an_old_dataset_can_be_extended_only_with_the_same_settings(old, ffpp):
    folder = old / "dataset"
    before = read_frames(folder), read_faces(folder)
    clips = families(ffpp, find_clips(ffpp, ["FaceSwap"], limit=1))
    with pytest.raises(SettingsError, match=r"margin 1\.3; requested: margin 2\.0"):
        extract_dataset(clips, folder, replace(AS_CREATED, crop=replace(CROPPED, margin=2.0)))
    extended = extract_dataset(clips, folder, AS_CREATED)
    assert set(extended.frames["category"]) - set(before[0]["category"]) == {"FaceSwap"}
    for table, old_table in zip((extended.frames, extended.faces), before, strict=True):
        old_rows = table[~table["frame_id"].str.startswith("FaceSwap")].reset_index(drop=True)
        pd.testing.assert_frame_equal(old_rows, old_table)
    assert json.loads((folder / "settings.json").read_text())[format_versions.KEY] == 1


def test_an_old_dataset_still_gives_the_same_manifest(old):
    before = Manifest.read(old / "manifest")
    dataset = Dataset.read(old / "dataset")
    assert dataset.changed_since(before.info["tables"]) == []
    split_settings = SplitSettings(recipe=str(old / "two.toml"))
    again = make_manifest(old / "dataset", old / "again", split_settings)
    for split in SPLITS:  # only column `pair` is later
        rows, old_rows = again.samples(split), before.samples(split)
        assert (old_rows["pair"] == "").all()
        pd.testing.assert_frame_equal(rows.assign(pair=""), old_rows)
        assert (rows["pair"] != "").any()
    assert again.info["counts"] == before.info["counts"]
    assert len(shortcuts.read(before)) > 0
    assert not read_identities(old / "dataset").empty
    assert read_duplicates(old / "dataset") is not None


def test_an_old_run_is_evaluated_as_before(old, undrawn):
    run = Run.read(old / "run")
    report = json.loads((old / "run/report/report.json").read_text())
    chosen = (old / "run/operating.json").read_bytes()
    made = make_report(run, "test", faces=False)
    assert (old / "run/operating.json").read_bytes() == chosen
    first = report["provenance"].partition(". ")[0]  # the rest was worded differently
    assert made.provenance.startswith(first)
    assert "In test: 1 identity group of clips" in made.provenance
    now = json.loads((old / "run/report/report.json").read_text())
    assert now["units"] == report["units"]
    assert run.face_settings[0].plan == AS_CREATED.plan


@pytest.mark.slow
def test_old_training_runs_resume(old):
    from classify.gan.train import resume as resume_gan
    from classify.training.train import resume

    assert list(resume(old / "cut").log["epoch"]) == [0, 1]
    assert len(resume_gan(old / "gan").log) == 2
    found = tune.resume(old / "search")
    assert len(found.trials) == 1


def stamp_json(path, key=format_versions.KEY):
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, key: 99}))


def stamp_toml(path):
    path.write_text(tomli_w.dumps({format_versions.KEY: 99, **tomllib.loads(path.read_text())}))


def stamp_table(path):
    table = pd.read_parquet(path)
    table.attrs[format_versions.KEY] = 99
    table.to_parquet(path)


def stamp_arrays(path):
    with np.load(path) as file:
        arrays = dict(file)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, format=99)
    path.write_bytes(buffer.getvalue())


PART = "dataset/parts/Youtube/c23/000.json"
NEWER = {
    "dataset/settings.json": lambda root: recorded_settings(root / "dataset"),
    PART: lambda root: Part.read(root / PART),
    "dataset/frames.parquet": lambda root: read_frames(root / "dataset"),
    "dataset/faces.parquet": lambda root: read_faces(root / "dataset"),
    "dataset/duplicates.parquet": lambda root: read_duplicates(root / "dataset"),
    "dataset/identities.parquet": lambda root: read_identities(root / "dataset"),
    "dataset/measured/hash/2e.npz": lambda root: _read_shard(
        root / "dataset/measured/hash/2e.npz", 64
    ),
    "manifest/manifest.json": lambda root: Manifest.read(root / "manifest"),
    "manifest/probe.json": lambda root: shortcuts.read(Manifest.read(root / "manifest")),
    "run/config.toml": lambda root: Run.read(root / "run"),
    "run/environment.json": lambda root: read_environment(root / "run"),
    "run/faces.json": lambda root: read_settings(root / "run/faces.json"),
    "run/operating.json": lambda root: thresholds.operating_point_or_default(
        Run.read(root / "run")
    ),
    "run/predictions-val.parquet": lambda root: score_split(Run.read(root / "run"), "val"),
    "run/report/report.json": lambda root: read_saved_report(root / "run/report"),
    "gan/config.toml": lambda root: GanRun.read(root / "gan"),
    "gan/generated/generated.json": lambda root: read_note(root / "gan/generated" / NOTE),
    "search/tune.toml": lambda root: tune.resume(root / "search"),
}
STAMPS = {
    ".json": stamp_json,
    ".toml": stamp_toml,
    ".parquet": stamp_table,
    ".npz": stamp_arrays,
}


def test_files_of_a_newer_release_are_rejected_with_a_remedy(tmp_path):
    small()
    with tarfile.open(ARCHIVES[0]) as archive:
        archive.extractall(tmp_path / "whole", filter="data")
    measured = sorted((tmp_path / "whole/dataset/measured/hash").glob("*.npz"))
    for name, read in NEWER.items():
        if name.endswith(".npz"):
            name = measured[0].relative_to(tmp_path / "whole").as_posix()
            read = lambda root, name=name: _read_shard(root / name, 64)  # noqa: E731
        root = tmp_path / "whole"
        kept = (root / name).read_bytes()
        STAMPS[Path(name).suffix](root / name)
        with pytest.raises(FormatError) as refusal:
            read(root)
        message = str(refusal.value)
        assert message.startswith(str(root / name)), message
        for part in ("format 99", "up to 1", "pip install --upgrade ffpp-tools"):
            assert part in message, (name, message)
        (root / name).write_bytes(kept)


@pytest.mark.parametrize("found", [0, True, "2", 1.5, None])
def test_a_format_that_is_no_positive_integer_is_an_error(found, tmp_path):
    with pytest.raises(FormatError, match=r"a\.json: format is .*not an integer"):
        format_versions.checked_format(
            format_versions.PART, tmp_path / "a.json", {format_versions.KEY: found}
        )


@pytest.mark.parametrize("kind", format_versions.VERSIONS)
def test_the_key_of_the_format_is_reserved(kind):
    assert format_versions.with_format(kind, {"a": 2}) == {"format": 1, "a": 2}
    with pytest.raises(
        ValueError, match="the key 'format' is reserved, but has the value 'litert'"
    ):
        format_versions.with_format(kind, {"format": "litert"})


def later(row_type, *columns):
    """The dataclass with further columns, as in a later release."""
    return make_dataclass(row_type.__name__, columns, bases=(row_type,), frozen=True)


def test_existing_datasets_accept_a_later_setting_at_its_default(tmp_path, monkeypatch):
    record_settings(tmp_path, ClipSettings(crop=CROPPED), None)
    record_settings(tmp_path, StillSettings(CROPPED), None)
    crops = later(CropSettings, ("sharpen", float, 0.0), ("bands", tuple, (1, 2)))
    monkeypatch.setitem(settings_guard.SECTIONS, "crop", crops)
    now = ClipSettings(crop=crops(size="16x16", format="jpg"))
    record_settings(tmp_path, now, None)
    assert recorded_settings(tmp_path)["crop"]["sharpen"] == 0
    with pytest.raises(SettingsError, match=r"sharpen 0\.0; requested: sharpen 0\.5"):
        record_settings(tmp_path, replace(now, crop=replace(now.crop, sharpen=0.5)), None)
    monkeypatch.undo()  # read by the earlier release
    with pytest.raises(FormatError, match=r"settings\.json: crop has bands, sharpen.*upgrade"):
        record_settings(tmp_path, ClipSettings(crop=CROPPED), None)


def test_later_extraction_rules_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(settings_guard, "CLIPS_VERSION", 3)
    record_settings(tmp_path, ClipSettings(), None)
    monkeypatch.undo()
    with pytest.raises(
        FormatError, match=r"version 3 of the.* rules; this release has version 2\. .*upgrade"
    ):
        recorded_settings(tmp_path)
    path = tmp_path / "settings.json"
    values = json.loads(path.read_text())
    del values["clips"]["version"]  # as the first datasets have it
    path.write_text(json.dumps(values))
    assert recorded_settings(tmp_path)["clips"]["version"] == 1


def test_existing_tables_are_read_with_the_defaults_of_later_columns(old, monkeypatch):
    before = Manifest.read(old / "manifest")
    frame = later(FrameRow, ("blur", "float", math.nan), ("lens", "str", ""))
    for module in (schema, tables):
        monkeypatch.setattr(module, "FrameRow", frame)
    sample = later(manifest.ManifestRow, ("weight", "float", 1.0))
    monkeypatch.setattr(manifest, "ManifestRow", sample)
    monkeypatch.setattr(
        manifest, "MANIFEST_COLUMNS", tuple(f.name.rstrip("_") for f in fields(sample))
    )
    made = tables.merge_parts(old / "dataset")[0]
    assert (made["lens"] == "").all()
    assert made["blur"].isna().all()
    assert Dataset.read(old / "dataset").changed_since(before.info["tables"]) == []
    assert set(before.samples("test")["weight"]) == {1.0}
    known = made.assign(lens="wide")
    assert tables.content_hash(known) != before.info["tables"]["frames.parquet"]


def test_a_later_training_setting_has_its_value_for_absence_in_old_runs(old, monkeypatch):
    trained = later(settings.TrainSettings, ("smoothing", "float", 0.1))
    monkeypatch.setattr(settings, "TrainSettings", trained)
    assert Run.read(old / "run").settings.smoothing == 0.1
    monkeypatch.setitem(settings.ABSENT, "smoothing", 0.0)
    assert Run.read(old / "run").settings.smoothing == 0.0
    (old / "mine.toml").write_text('[training]\narch = "small"\n')
    assert settings.read_config(old / "mine.toml")[0].smoothing == 0.1
