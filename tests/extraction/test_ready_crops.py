"""Crops of others, taken unchanged: bytes, rows, resuming, and the way to a manifest."""

import os
from dataclasses import replace

import numpy as np
import pytest

import ffpp_tools
from classify.data.pack import pack
from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.pipeline import extract_dataset, extract_ready_crops
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.files import sha256
from ffpp_tools.sources.deepfakebench import read_crop_set
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.ledger import verify
from ffpp_tools.store.tables import read_faces, read_frames
from tests.helpers.crop_sets import PAIRS, ffpp_crops, write_json
from tests.helpers.files import hashes


@pytest.fixture
def crop_set(tmp_path):
    return write_json(tmp_path / "json/FaceForensics++.json", ffpp_crops(tmp_path))


def test_crops_are_equal_byte_by_byte_and_their_boxes_unknown(crop_set, tmp_path):
    made = ffpp_tools.extract_stills(crop_set, tmp_path / "out")
    assert len(made.frames) == len(made.faces) == 80
    assert set(made.frames["status"]) == {"ok"}
    face = made.faces.set_index("face_id").loc["Deepfakes/c40/000_001/000012"]
    assert face["path"] == "faces/Deepfakes/c40/000_001/000012.png"
    assert (face["box_from"], face["detector"], face["crop_size"]) == ("whole", "none", 32)
    source = tmp_path / (
        "datasets/rgb/FaceForensics++/manipulated_sequences/Deepfakes/c40/frames/000_001/012.png"
    )
    assert (tmp_path / "out" / face["path"]).read_bytes() == source.read_bytes()
    assert (tmp_path / "out" / face["path"]).samefile(source)
    assert face["sha256"] == sha256(source)
    frame = made.frames.set_index("frame_id").loc["Deepfakes/c40/000_001/000012"]
    assert frame[["target_id", "source_id", "compression", "partition", "frame"]].to_list() == [
        *("000", "001", "c40", "train", 12)
    ]
    assert np.isnan(frame["time_s"])
    assert not list(verify(tmp_path / "out"))


def test_crops_are_copied_where_links_are_impossible(crop_set, tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    clips = read_crop_set(crop_set, limit=1).clips
    extract_ready_crops(clips, tmp_path / "out")
    assert {p.stat().st_nlink for p in (tmp_path / "out/faces").rglob("*.png")} == {1}
    assert not list(verify(tmp_path / "out"))


def test_missing_and_damaged_frames_are_recorded_and_can_be_retried(crop_set, tmp_path):
    (clip, *_) = read_crop_set(crop_set).clips
    first, last = (clip.root / path for _, path in clip.frames)
    data = first.read_bytes()
    first.unlink()
    last.write_bytes(data[:-40])
    empty = replace(clip, name="empty", frames=())
    made = extract_ready_crops([clip, empty], tmp_path / "out")
    rows = made.frames.sort_values("frame_id")
    assert rows["status"].to_list() == ["unreadable", "truncated", "unreadable"]
    assert str(first) in rows["error"].iloc[0]
    assert "no frames" in rows["error"].iloc[2]
    first.write_bytes(data)
    assert len(extract_ready_crops([clip], tmp_path / "out").faces) == 0
    assert len(extract_ready_crops([clip], tmp_path / "out", retry=True).faces) == 1


def test_a_retry_keeps_crops_whose_source_is_gone(crop_set, tmp_path):
    (clip,) = read_crop_set(crop_set, limit=1).clips[:1]
    broken, *others = (clip.root / name for _, name in clip.frames)
    data = broken.read_bytes()
    broken.write_bytes(b"broken")
    first = extract_ready_crops([clip], tmp_path / "out")
    assert 0 < len(first.faces) == len(others)
    for source in others:
        source.unlink()
    broken.write_bytes(data)
    made = extract_ready_crops([clip], tmp_path / "out", retry=True)
    assert set(made.frames["status"]) == {"ok"}
    assert len(made.faces) == len(others) + 1
    assert list(verify(tmp_path / "out")) == []


def test_a_second_run_continues_and_gives_the_same_folder(crop_set, tmp_path):
    clips = read_crop_set(crop_set).clips
    extract_ready_crops(clips[:3], tmp_path / "out")
    part = next((tmp_path / "out/parts").rglob("*.json"))
    written = part.stat().st_mtime_ns
    extract_ready_crops(clips, tmp_path / "out")
    assert part.stat().st_mtime_ns == written
    extract_ready_crops(clips[::-1], tmp_path / "once")
    assert hashes(tmp_path / "out") == hashes(tmp_path / "once")


def test_other_crops_or_another_list_are_refused_and_nothing_changes(crop_set, few, tmp_path):
    clips = read_crop_set(crop_set, limit=1).clips
    extract_ready_crops(clips, tmp_path / "out")
    before = hashes(tmp_path / "out")
    with pytest.raises(SettingsError, match=r"contains crops that others made.*--overwrite"):
        extract_dataset(few, tmp_path / "out", ClipSettings())
    changed = [replace(clip, partition="test") for clip in clips]
    with pytest.raises(SettingsError, match=r"with other frames or in another split.*--out"):
        extract_ready_crops(changed, tmp_path / "out")
    assert hashes(tmp_path / "out") == before
    made = extract_ready_crops(changed, tmp_path / "out", overwrite=True)
    assert set(made.frames["partition"]) == {"test"}


def test_the_official_recipe_takes_the_splits_of_the_file_and_crops_are_packed(crop_set, tmp_path):
    ffpp_tools.extract_stills(crop_set, tmp_path / "out")
    manifest = make_manifest(tmp_path / "out", tmp_path / "m", SplitSettings("videos", "official"))
    for split, pairs in PAIRS.items():
        samples = manifest.samples(split)
        assert set(samples["target_id"]) == {person for pair in pairs for person in pair}
        assert set(samples["category"]) == set(read_frames(tmp_path / "out")["category"])
    assert not manifest.info["audit"]["leaks"]
    assert not manifest.samples("test").get("pair", np.array([""])).astype(bool).any()
    packed = pack(manifest, "test", 32)
    faces = read_faces(tmp_path / "out").set_index("face_id")
    assert len(packed.images) == len(manifest.samples("test")) == 20
    assert len(faces) == 80
    grouped = make_manifest(tmp_path / "out", tmp_path / "g", SplitSettings("videos"))
    assert grouped.samples("train")["group"].isin(["Youtube/000", "Youtube/002"]).any()
