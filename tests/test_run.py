import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from distributed import LocalCluster

from ffpp_tools import run
from ffpp_tools.crop import CropSettings
from ffpp_tools.detect import FindSettings
from ffpp_tools.errors import FfppError, SettingsError, TableError
from ffpp_tools.files import sha256
from ffpp_tools.layout import families, find_clips
from ffpp_tools.ledger import account, verify
from ffpp_tools.plan import FramePlan
from ffpp_tools.rows import STATUSES, Part
from ffpp_tools.run import Tally, Workers, extract_dataset, extract_still_dataset
from ffpp_tools.settings import ClipSettings, StillSettings
from ffpp_tools.stills import find_stills
from ffpp_tools.tables import merge_parts, read_faces, read_frames
from tests.conftest import SETTINGS
from tests.test_demo import hashes


@pytest.fixture
def few(ffpp):
    return families(ffpp, find_clips(ffpp, categories=["Youtube", "FaceSwap"], limit=2))


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


def test_same_bytes_for_any_number_of_workers_and_order_of_work(few, tmp_path):
    extract_dataset(few, tmp_path / "one", SETTINGS)
    extract_dataset(few[::-1], tmp_path / "two", SETTINGS, Workers(2))
    for family in few:
        for clip in family.clips[::-1]:  # one clip a run, the fake before its original
            extract_dataset([replace(family, clips=(clip,))], tmp_path / "three", SETTINGS)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") == hashes(tmp_path / "three")


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
    assert account(summary.frames).loc[("Youtube", "c23"), "unreadable"] == 1


def test_a_repaired_clip_is_extracted_on_request_and_a_good_one_is_left(few, tmp_path):
    clip = few[-1].originals[0]
    copy = tmp_path / "original_sequences/youtube/c23/videos/000.mp4"
    copy.parent.mkdir(parents=True)
    copy.write_text("half a download")
    out = tmp_path / "out"
    extract_dataset(found(tmp_path), out, SETTINGS)
    assert len(read_faces(out)) == 0
    shutil.copy(clip.path, copy)
    extract_dataset(found(tmp_path), out, SETTINGS)
    assert set(read_frames(out)["status"]) == {"unreadable"}, "what failed is not tried each time"
    extract_dataset(found(tmp_path), out, SETTINGS, retry=True)
    assert set(read_frames(out)["status"]) == {"ok"}
    part = out / "parts/Youtube/c23/000.json"
    written = part.stat().st_mtime_ns
    extract_dataset(found(tmp_path), out, SETTINGS, retry=True)
    assert part.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "other",
    [
        ClipSettings(FramePlan(every=5), SETTINGS.crop),
        ClipSettings(SETTINGS.plan, CropSettings(margin=1.5)),
        ClipSettings(SETTINGS.plan, CropSettings(shape="box")),
        replace(SETTINGS, find=FindSettings(search="full")),
        replace(SETTINGS, faces="all"),
        replace(SETTINGS, twins=False),
    ],
)
def test_a_folder_made_with_other_settings_is_refused_and_left_alone(few, tmp_path, other):
    extract_dataset(few[:1], tmp_path / "out", SETTINGS)
    before = hashes(tmp_path / "out")
    with pytest.raises(SettingsError, match=r"--out.*--overwrite"):
        extract_dataset(few, tmp_path / "out", other)
    assert hashes(tmp_path / "out") == before


def test_stills_must_be_cropped_like_the_clips(few, world, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    stills = find_stills(world / "CelebA", "CelebA", limit=2)
    with pytest.raises(SettingsError, match=r"1\.3.*2\.0"):
        extract_still_dataset(stills, tmp_path, StillSettings(CropSettings(margin=2.0)))


def test_a_second_selection_of_stills_adds_to_the_first(world, tmp_path):
    stills = find_stills(world / "CelebA", "CelebA", limit=6)
    extract_still_dataset(stills[:4], tmp_path)
    extract_still_dataset(stills, tmp_path)
    frames = read_frames(tmp_path)
    assert list(frames["clip"]) == [s.name for s in stills]


def test_a_repaired_still_replaces_its_failure_whatever_was_selected(world, tmp_path):
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
    shutil.copy(first, folder / "a/x.jpg")  # a/x and a_x are two photographs
    stills = find_stills(folder, "CelebA-HQ")
    extract_still_dataset(stills, out, workers=Workers(2), retry=True)
    frames = read_frames(out)
    assert sorted(frames["clip"]) == sorted(s.name for s in stills)
    assert set(frames["status"]) == {"ok"}
    extract_still_dataset(stills, tmp_path / "at once")
    assert hashes(tmp_path / "at once/faces") == hashes(out / "faces")
    for table in ("frames.parquet", "faces.parquet"):
        assert (out / table).read_bytes() == (tmp_path / "at once" / table).read_bytes()


def test_rows_that_do_not_add_up_are_refused(few, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    path = next((tmp_path / "parts").rglob("*.json"))
    part = Part.read(path)
    for broken in (
        Part(part.frames, part.faces[1:]),
        Part(part.frames[1:], part.faces),
        Part((*part.frames, part.frames[0]), part.faces),
        Part((replace(part.frames[0], status="lost"), *part.frames[1:]), part.faces[1:]),
    ):
        broken.write(path)
        with pytest.raises(TableError, match="do not add up"):
            merge_parts(tmp_path)


def test_a_damaged_part_is_named(few, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    part = next((tmp_path / "parts").rglob("*.json"))
    part.write_text('{"frames": [')
    with pytest.raises(TableError, match=part.name):
        extract_dataset(few[:1], tmp_path, SETTINGS)


def test_a_place_that_cannot_be_written_is_named(few, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FfppError, match="cannot be written"):
        extract_dataset(few, tmp_path / "file", SETTINGS)


@pytest.mark.parametrize("table", ["frames.parquet", "faces.parquet"])
def test_tables_survive_a_round_trip_and_name_what_is_wrong(dataset, tmp_path, table):
    read = read_frames if table == "frames.parquet" else read_faces
    with pytest.raises(TableError, match="ffpp-extract"):
        read(tmp_path)
    (tmp_path / table).write_text("not parquet")
    with pytest.raises(TableError, match=table):
        read(tmp_path)
    read(dataset).drop(columns=["frame_id"]).to_parquet(tmp_path / table)
    with pytest.raises(TableError, match="frame_id"):
        read(tmp_path)


@pytest.mark.slow
def test_real_clips_give_the_planned_frames_and_nearly_all_hold_a_face(real_data, tmp_path):
    root = real_data / "data/FaceForensics++"
    clips = find_clips(root, compressions=["c40"])
    summary = extract_dataset(families(root, clips), tmp_path, workers=Workers(2))
    planned = account(summary.frames)["planned"].droplevel("compression").to_dict()
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


def test_starting_anew_deletes_what_was_made_from_clips_and_keeps_the_stills(few, world, tmp_path):
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


def test_starting_anew_is_refused_before_anything_is_deleted(few, world, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    extract_still_dataset(find_stills(world / "CelebA", "CelebA", limit=2), tmp_path)
    before = hashes(tmp_path)
    bare = replace(SETTINGS, crop=CropSettings(margin=1.0))
    with pytest.raises(SettingsError, match="the rest of it anew"):
        extract_dataset(few[:1], tmp_path, bare, overwrite=True)
    assert hashes(tmp_path) == before


def test_a_folder_that_no_run_has_made_is_left_alone(few, tmp_path):
    (tmp_path / "parts/Youtube/c40").mkdir(parents=True)
    (tmp_path / "parts/Youtube/c40/thesis.txt").touch()
    extract_dataset(few[:1], tmp_path, SETTINGS, overwrite=True)
    assert (tmp_path / "parts/Youtube/c40/thesis.txt").exists()


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


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two processes on this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as running:
        yield running


def test_a_dask_cluster_gives_the_same_bytes(cluster, few, world, tmp_path):
    stills = find_stills(world / "CelebA", "CelebA", limit=4)
    there = Workers(scheduler=cluster.scheduler_address)
    for folder, workers in ((tmp_path / "here", Workers()), (tmp_path / "there", there)):
        extract_dataset(few, folder, SETTINGS, workers)
        extract_still_dataset(stills, folder, workers=workers)
    assert hashes(tmp_path / "here") == hashes(tmp_path / "there")


def test_a_worker_of_a_cluster_may_die(cluster, ffpp, tmp_path):
    """Dask gives its clips to another; what was committed is not extracted twice."""
    there = Workers(scheduler=cluster.scheduler_address)
    killed = []

    def kill_one(tallies, units, size):
        for tally in tallies:
            if not killed:
                process = next(iter(cluster.workers.values())).process.process
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)
            yield tally

    extract_dataset(found(ffpp), tmp_path / "there", SETTINGS, there, progress=kill_one)
    assert killed
    extract_dataset(found(ffpp), tmp_path / "here", SETTINGS, Workers(2))
    assert hashes(tmp_path / "here") == hashes(tmp_path / "there")


def test_a_scheduler_that_does_not_answer_is_named(few, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "DASK_TIMEOUT_S", 0.5)
    with pytest.raises(FfppError, match=r"tcp://127\.0\.0\.1:9.*`dask scheduler`"):
        extract_dataset(few, tmp_path, SETTINGS, Workers(scheduler="tcp://127.0.0.1:9"))


@pytest.mark.parametrize(("count", "timeout_s"), [(0, 1), (1, 0)])
def test_impossible_workers_are_refused(count, timeout_s):
    with pytest.raises(SettingsError, match="must be"):
        Workers(count, timeout_s=timeout_s)


def test_tallies_add_up_to_what_was_done(few, tmp_path):
    seen = []

    def progress(tallies, units, size):
        seen.append((units, size))
        for tally in tallies:
            seen.append(tally)
            yield tally

    summary = extract_dataset(few, tmp_path, SETTINGS, progress=progress)
    (units, size), *tallies = seen
    total = sum(tallies, Tally())
    assert total == Tally(units, len(summary.faces), 0, size)
    assert units == len(summary.frames.groupby(["category", "clip"]))
    assert size == sum(c.path.stat().st_size for f in few for c in f.clips)
