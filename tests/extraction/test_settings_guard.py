from dataclasses import replace

import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import FindSettings
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.store.ledger import verify
from ffpp_tools.store.tables import read_frames
from ffpp_tools.video.sampling import FramePlan
from tests.helpers.files import hashes
from tests.helpers.worlds import SETTINGS


@pytest.mark.parametrize(
    ("other", "recorded", "requested"),
    [
        (ClipSettings(FramePlan(every=5), SETTINGS.crop), "every 10", "every 5"),
        (ClipSettings(SETTINGS.plan, CropSettings(margin=1.5)), "margin 1.3", "margin 1.5"),
        (ClipSettings(SETTINGS.plan, CropSettings(shape="box")), "shape square", "shape box"),
        (replace(SETTINGS, find=FindSettings(search="full")), "search fast", "search full"),
        (replace(SETTINGS, faces="all"), "faces largest", "faces all"),
        (replace(SETTINGS, twins=False), "twins True", "twins False"),
    ],
)
def test_different_settings_are_an_error_and_the_folder_is_unchanged(
    few, tmp_path, other, recorded, requested
):
    extract_dataset(few[:1], tmp_path / "out", SETTINGS)
    before = hashes(tmp_path / "out")
    with pytest.raises(SettingsError, match=r"--out.*--overwrite") as refusal:
        extract_dataset(few, tmp_path / "out", other)
    assert f": {recorded}; requested: {requested}. " in str(refusal.value)
    assert hashes(tmp_path / "out") == before


def test_a_foreign_folder_is_an_error_and_unchanged(few, world, tmp_path):
    for name in ("notes.txt", "draft.tmp"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(SettingsError, match=r"not a dataset folder: it contains draft\.tmp.*--out"):
        extract_dataset(few, tmp_path, SETTINGS)
    with pytest.raises(SettingsError, match="not a dataset folder"):
        extract_still_dataset(find_stills(world / "CelebA", "CelebA", limit=2), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["draft.tmp", "notes.txt"]


def test_only_temporary_files_of_killed_runs_are_deleted(few, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    leftover = ["parts/x.json.0123456789abcdef.tmp", "parts/x.json.77.tmp", "frames.parquet.77.tmp"]
    mine = ["parts/x.tmp", "notes.tmp", "frames.parquet.1.2.tmp"]
    for name in (*leftover, *mine):
        (tmp_path / name).touch()
    extract_dataset(few[:1], tmp_path, SETTINGS)
    assert [name for name in (*leftover, *mine) if (tmp_path / name).exists()] == mine


def test_stills_must_use_the_crop_settings_of_the_clips(few, world, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    stills = find_stills(world / "CelebA", "CelebA", limit=2)
    with pytest.raises(SettingsError, match=r"1\.3.*2\.0") as refusal:
        extract_still_dataset(stills, tmp_path, StillSettings(CropSettings(margin=2.0)))
    assert "--out" in str(refusal.value)
    assert "--overwrite" not in str(refusal.value)  # which would refuse as well


def test_overwrite_deletes_the_crops_of_clips_and_keeps_those_of_stills(few, world, tmp_path):
    stills = find_stills(world / "CelebA", "CelebA", limit=2)
    extract_dataset(few, tmp_path, SETTINGS)
    extract_still_dataset(stills, tmp_path)
    (tmp_path / "mine.txt").touch()
    other = replace(SETTINGS, plan=FramePlan(every=20))
    extract_dataset(few[:1], tmp_path, other, overwrite=True)
    frames = read_frames(tmp_path)
    assert len(frames[frames["compression"] == "still"]) == 2
    extract_dataset(few[:1], tmp_path / "fresh", other)
    assert set(read_frames(tmp_path / "fresh")["frame_id"]) < set(frames["frame_id"])
    assert (tmp_path / "mine.txt").exists()
    assert not list(verify(tmp_path))


def test_an_overwrite_with_other_crop_settings_fails_before_anything_is_deleted(
    few, world, tmp_path
):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    extract_still_dataset(find_stills(world / "CelebA", "CelebA", limit=2), tmp_path)
    before = hashes(tmp_path)
    bare = replace(SETTINGS, crop=CropSettings(margin=1.0))
    with pytest.raises(SettingsError, match=r"use another folder with --out\.$"):
        extract_dataset(few[:1], tmp_path, bare, overwrite=True)
    assert hashes(tmp_path) == before


def test_overwrite_does_not_touch_a_foreign_folder(few, tmp_path):
    (tmp_path / "parts/Youtube/c40").mkdir(parents=True)
    (tmp_path / "parts/Youtube/c40/thesis.txt").touch()
    with pytest.raises(SettingsError, match="contains parts"):
        extract_dataset(few[:1], tmp_path, SETTINGS, overwrite=True)
    assert (tmp_path / "parts/Youtube/c40/thesis.txt").exists()
