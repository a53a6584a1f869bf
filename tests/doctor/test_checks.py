"""ffpp-doctor: what it finds, and what it says to do."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ffpp_tools.doctor import checks, machine
from ffpp_tools.doctor.inventory import CROP_BYTES, ClipCheck, ClipSet, check_clips
from ffpp_tools.doctor.machine import NOTE, OK, PROBLEM
from ffpp_tools.sources.celeba import HQ_MAPPING
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import demux
from ffpp_tools.video.sampling import FramePlan
from tests.helpers.videos import shortened_with_index_first

PLAN = FramePlan(every=10)


@pytest.fixture
def copy(ffpp, tmp_path):
    """A copy of the drawn originals and Deepfakes, which are given one fault of each kind."""
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


def by_what(findings):
    return {(f.what, f.state): f for f in findings}


def test_a_copy_of_ffpp_is_compared_with_what_ffpp_has(copy):
    sources = {s.category: s for s in check_clips(copy, PLAN, workers=2)}
    youtube, fakes = sources["Youtube"], sources["Deepfakes"]
    assert (youtube.expected, len(youtube.clips)) == (1000, 8)
    assert "002" in youtube.missing
    assert "003" not in youtube.missing
    assert len(youtube.missing) == 1000 - 7
    assert [c.clip.name for c in youtube.empty] == ["000"]
    (short,) = youtube.damaged
    assert short.clip.name == "001"
    assert "ends after" in short.error
    assert [p.name for p in youtube.unknown] == ["my favourite.mp4", "003.mp4.part"]
    assert (fakes.missing, fakes.unknown, fakes.empty, fakes.damaged) == ((), (), [], [])


def test_a_fake_that_the_official_splits_name_is_missed(copy):
    (gone,) = sorted((copy / "manipulated_sequences/Deepfakes/c23/videos").glob("000_*.mp4"))
    gone.unlink()
    sources = {s.category: s for s in check_clips(copy, PLAN)}
    assert sources["Deepfakes"].missing == (gone.stem,)


def test_planned_frames_and_their_space_follow_from_the_packets(ffpp):
    sources = check_clips(ffpp, PLAN)
    clip = find_clips(ffpp, ["Youtube"])[0]
    looked = next(c for s in sources for c in s.clips if c.clip == clip)
    assert looked.planned == len(range(0, demux.read_video(clip.path).n_frames, 10))
    assert looked.size == clip.path.stat().st_size
    c40 = ClipSet("Youtube", "c40", (ClipCheck(clip, 1, 7),), 1000, (), ())
    assert c40.crops_size == 7 * CROP_BYTES["c40"]


def test_clips_beyond_the_limit_of_size_are_no_damaged_ones(ffpp):
    sources = check_clips(ffpp, PLAN, max_pixels=1000)
    assert all(len(s.too_large) == len(s.clips) and not s.damaged for s in sources)
    findings = [f for f in checks.of_clips(sources) if f.state == PROBLEM]
    assert len(findings) == len(sources)
    assert all("pixels, more than the limit" in f.found for f in findings)
    assert all("--max-pixels" in f.remedy for f in findings)


def test_every_finding_that_is_not_ok_has_a_remedy(copy, tmp_path):
    sources = check_clips(copy, PLAN)
    findings = [*checks.of_clips(sources), *checks.of_lists(copy, tmp_path / "dataset")]
    found = by_what(findings)
    assert all(f.remedy for f in findings if f.state != OK)
    assert not any(f.remedy for f in findings if f.state == OK)
    assert [f.found.split(":")[0] for f in findings if f.state == PROBLEM] == [
        "1 file of 0 bytes",
        "1 damaged or cut short",
    ]
    assert any("my favourite.mp4" in f.found and f.state == NOTE for f in findings)
    assert "conversion_dict.json" in found["official lists", NOTE].found
    assert ("official lists", OK) not in found


def test_of_clips_that_are_few_the_missing_ones_are_named_as_some_of_them():
    few = ClipSet("Deepfakes", "c40", (), 1000, ("481_469",), ())
    assert next(checks.of_clips([few])).found.endswith("; missing, among others: 481_469")
    one = ClipSet("Deepfakes", "c40", (), 1, ("481_469",), ())
    assert next(checks.of_clips([one])).found.endswith("; missing: 481_469")


def test_a_backend_that_is_slow_to_start_is_no_problem(monkeypatch):
    def late(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", late)
    found = machine._backend("tensorflow", False, "")
    assert (found.state, "again" in found.remedy) == (NOTE, True)


def test_too_little_space_is_a_problem(copy, tmp_path, monkeypatch):
    sources = check_clips(copy, PLAN)
    assert checks.of_space(sources, tmp_path / "not/there/yet").state == OK
    monkeypatch.setattr(checks, "free_space", lambda folder: 1000)
    found = checks.of_space(sources, tmp_path)
    assert found.state == PROBLEM
    assert "--every" in found.remedy


def test_stills_without_the_lists_that_tell_people_apart_are_noted(world, tmp_path):
    assert checks.of_stills(world / "CelebA").state == OK
    bare = tmp_path / "CelebA"
    shutil.copytree(world / "CelebA/Img", bare / "Img")
    found = checks.of_stills(bare)
    assert (found.state, "identity_CelebA.txt" in found.remedy) == (NOTE, True)
    next((bare / "Img/img_align_celeba").iterdir()).write_bytes(b"")
    assert checks.of_stills(bare).state == PROBLEM
    (tmp_path / "empty").mkdir()
    assert checks.of_stills(tmp_path / "empty").state == PROBLEM


def test_what_lies_among_stills_is_named(tmp_path):
    folder = tmp_path / "CelebAMask-HQ"
    for name in ("CelebA-HQ-img/0.jpg", "CelebAMask-HQ-mask-anno/0/00000_hair.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"x")
    (folder / HQ_MAPPING).write_text("idx orig_idx orig_file\n0 4 000005.jpg\n")
    found = checks.of_stills(folder)
    assert (found.state, found.what) == (OK, "CelebAMask-HQ")
    assert found.found.startswith(
        "1 of 30,000 images; CelebA-HQ: 1 photograph; known: identity of 0"
    )
    assert "passed over as segmentation masks: 1 (CelebAMask-HQ-mask-anno/0/000" in found.found
    os.mkfifo(folder / "CelebA-HQ-img/1.jpg")
    found = checks.of_stills(folder)
    assert (found.state, "a FIFO, not a file: 1 (CelebA" in found.found) == (NOTE, True)
    (folder / HQ_MAPPING).unlink()
    assert HQ_MAPPING in checks.of_stills(folder).remedy


def test_a_fifo_among_the_clips_is_a_problem_and_not_waited_for(tmp_path):
    videos = tmp_path / "original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    os.mkfifo(videos / "000.mp4")
    (source,) = check_clips(tmp_path, PLAN)
    problem = list(checks.of_clips([source]))[-1]
    assert (problem.state, len(source.empty)) == (PROBLEM, 0)
    assert "000.mp4: not a readable video (a FIFO, not a file)" in problem.found


def test_this_machine_can_find_a_face_and_read_h264():
    assert machine.python().state == OK
    assert [f.state for f in machine.packages()] == [OK]
    assert machine.detector().state == OK
    assert "h264" in machine.codecs().found


def test_a_backend_that_cannot_be_imported_is_a_problem_with_its_last_word(monkeypatch):
    monkeypatch.setattr(machine, "ASK", {"json": "1/0"})
    found = machine._backend("json", card=False, mark="")
    assert found.state == PROBLEM
    assert found.found.endswith("ZeroDivisionError: division by zero")


def test_the_backend_of_the_environment_has_to_be_installed(monkeypatch):
    monkeypatch.setattr(machine, "BACKENDS", ())
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    (found,) = machine.backends()
    assert (found.state, "torch is chosen" in found.found) == (PROBLEM, True)


def test_the_command_answers_as_json_and_status_1_is_a_problem(command, copy, tmp_path):
    done = command("ffpp-doctor", copy, "--json", "--every", 10)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    youtube = next(s for s in answer["sources"] if s["category"] == "Youtube")
    assert set(youtube["unreadable"]) == {"000", "001"}
    assert "problem" in done.stderr
    assert {f["state"] for f in answer["findings"]} == {OK, NOTE, PROBLEM}
    assert not (tmp_path / "dataset").exists()


def test_a_user_without_a_home_has_keras_in_tmp(monkeypatch):
    """A container's user who is in no list of users, without HOME."""
    for name in ("HOME", "KERAS_HOME", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert machine.keras_home() == Path("/tmp/.keras")
    assert checks.of_weights().state == NOTE
    assert machine.chosen_backend()
    monkeypatch.setenv("KERAS_HOME", "/elsewhere")
    assert machine.keras_home() == Path("/elsewhere")


def test_a_backend_that_this_user_may_not_start_is_a_finding(monkeypatch, tmp_path):
    (tmp_path / "python").touch()
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    found = machine._backend("tensorflow", False, "")
    assert (found.state, found.what) == (PROBLEM, "tensorflow")
    assert "Permission denied" in found.found
