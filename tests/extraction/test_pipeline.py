import shutil
from pathlib import Path

import pandas as pd
import pytest

from ffpp_tools.errors import FfppError, TableError
from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
from ffpp_tools.extraction.workers import Workers
from ffpp_tools.files import sha256
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.store.ledger import status_counts
from ffpp_tools.store.schema import STATUSES
from ffpp_tools.store.tables import read_faces, read_frames
from tests.helpers.files import hashes
from tests.helpers.worlds import SETTINGS


def found(root):
    """All families of a tree."""
    return families(root, find_clips(root))


def test_every_planned_frame_is_accounted_for(dataset, ffpp):
    frames, faces = read_frames(dataset), read_faces(dataset)
    assert frames["frame_id"].is_unique
    assert frames["frame_id"].is_monotonic_increasing
    assert faces["face_id"].is_monotonic_increasing
    assert set(frames["status"]) <= set(STATUSES)
    assert set(faces["frame_id"]) == set(frames.loc[frames["status"] == "ok", "frame_id"])
    clips = frames[frames["compression"] == "c23"].groupby(["category", "clip"])
    assert len(clips) == len(find_clips(ffpp))
    for _, clip in clips:
        assert list(clip["frame"]) == list(range(0, 10 * len(clip), 10))
    assert {p.relative_to(dataset).as_posix() for p in (dataset / "faces").rglob("*.png")} == set(
        faces["path"]
    )


def test_one_broken_clip_does_not_stop_the_others(few, tmp_path, ffpp):
    copy = tmp_path / "ffpp"
    videos = copy / "original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    shutil.copy(few[-1].originals[0].path, videos / "001.mp4")
    (videos / "000.mp4").write_bytes(b"\0" * 5000)
    summary = extract_dataset(found(copy), tmp_path / "out", SETTINGS)
    statuses = summary.frames.groupby("clip")["status"].unique()
    assert list(statuses["000"]) == ["unreadable"]
    assert list(statuses["001"]) == ["ok"]
    assert status_counts(summary.frames).loc[("Youtube", "c23"), "unreadable"] == 1


def test_retry_extracts_repaired_clips_and_leaves_good_ones(few, tmp_path):
    clip = few[-1].originals[0]
    copy = tmp_path / "original_sequences/youtube/c23/videos/000.mp4"
    copy.parent.mkdir(parents=True)
    copy.write_text("half a download")
    out = tmp_path / "out"
    extract_dataset(found(tmp_path), out, SETTINGS)
    assert len(read_faces(out)) == 0
    shutil.copy(clip.path, copy)
    extract_dataset(found(tmp_path), out, SETTINGS)
    assert set(read_frames(out)["status"]) == {"unreadable"}, (
        "failed clips are not tried again without retry"
    )
    extract_dataset(found(tmp_path), out, SETTINGS, retry=True)
    assert set(read_frames(out)["status"]) == {"ok"}
    part = out / "parts/Youtube/c23/000.json"
    written = part.stat().st_mtime_ns
    extract_dataset(found(tmp_path), out, SETTINGS, retry=True)
    assert part.stat().st_mtime_ns == written


def test_a_second_selection_of_stills_adds_to_the_first(world, tmp_path):
    stills = find_stills(world / "CelebA", "CelebA", limit=6)
    extract_still_dataset(stills[:4], tmp_path)
    extract_still_dataset(stills, tmp_path)
    frames = read_frames(tmp_path)
    assert list(frames["clip"]) == [s.name for s in stills]


def test_retry_replaces_a_failed_still_in_any_selection(world, tmp_path):
    folder = tmp_path / "stills"
    shutil.copytree(world / "CelebA-HQ", folder)
    first, *_, last = sorted(folder.glob("*.jpg"))
    whole = first.read_bytes()
    first.write_bytes(whole[:100])
    out = tmp_path / "out"
    extract_still_dataset(find_stills(folder, "CelebA-HQ", limit=3), out)
    assert list(read_frames(out)["status"]) == ["unreadable", "ok", "ok"]
    first.write_bytes(whole)
    last.rename(folder / "a_x.jpg")
    (folder / "a").mkdir()
    shutil.copy(first, folder / "a/x.jpg")  # a/x and a_x are different photographs
    stills = find_stills(folder, "CelebA-HQ")
    extract_still_dataset(stills, out, workers=Workers(2), retry=True)
    frames = read_frames(out)
    assert sorted(frames["clip"]) == sorted(s.name for s in stills)
    assert set(frames["status"]) == {"ok"}
    extract_still_dataset(stills, tmp_path / "at once")
    assert hashes(tmp_path / "at once/faces") == hashes(out / "faces")
    for table in ("frames.parquet", "faces.parquet"):
        assert (out / table).read_bytes() == (tmp_path / "at once" / table).read_bytes()


def test_a_damaged_part_is_an_error(few, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    part = next((tmp_path / "parts").rglob("*.json"))
    part.write_text('{"frames": [')
    with pytest.raises(TableError, match=part.name):
        extract_dataset(few[:1], tmp_path, SETTINGS)


def test_an_unwritable_folder_is_an_error(few, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FfppError, match="cannot be written"):
        extract_dataset(few, tmp_path / "file", SETTINGS)


@pytest.mark.slow
def test_real_clips_give_the_planned_frames_and_nearly_all_hold_a_face(real_data, tmp_path):
    root = real_data / "data/FaceForensics++"
    clips = find_clips(root, compressions=["c40"])
    summary = extract_dataset(families(root, clips), tmp_path, workers=Workers(2))
    planned = status_counts(summary.frames)["planned"].droplevel("compression").to_dict()
    assert planned == {
        "Actors": 134,
        "Deepfakes": 147,
        "Face2Face": 147,
        "FaceSwap": 140,
        "NeuralTextures": 140,
        "Youtube": 147,
    }
    assert len(summary.faces) >= 0.99 * sum(planned.values())
    assert isinstance(summary.faces, pd.DataFrame)
    path = Path(tmp_path / summary.faces["path"].iloc[0])
    assert sha256(path) == summary.faces["sha256"].iloc[0]


@pytest.mark.parametrize("selected", [["Youtube", "FaceSwap"], ["FaceSwap"]])
def test_fakes_of_an_original_that_failed_are_done_again_with_it(ffpp, tmp_path, selected):
    fake = find_clips(ffpp, ["FaceSwap"])[0]
    own = next(c for c in find_clips(ffpp, ["Youtube"]) if c.name == fake.target_id)
    root, out = tmp_path / "ffpp", tmp_path / "out"
    for clip in (fake, own):
        copy = root / clip.path.relative_to(ffpp)
        copy.parent.mkdir(parents=True)
        shutil.copy(clip.path, copy)
    copy.write_text("half a download")
    families_now = families(root, find_clips(root, selected))
    frames = extract_dataset(families_now, out, SETTINGS).frames
    assert frames[frames["category"] == "FaceSwap"]["error"].str.contains("its original").all()
    shutil.copy(own.path, copy)
    extract_dataset(families_now, out, SETTINGS, retry=True)
    extract_dataset(families_now, tmp_path / "undisturbed", SETTINGS)
    assert hashes(out) == hashes(tmp_path / "undisturbed")
