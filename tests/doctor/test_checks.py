"""ffpp-doctor: what it finds, and what it says to do."""

import os
import shutil
from pathlib import Path

from ffpp_tools.doctor import checks, machine
from ffpp_tools.doctor.inventory import ClipSet, check_clips
from ffpp_tools.doctor.machine import NOTE, OK, PROBLEM
from ffpp_tools.sources.celeba import HQ_MAPPING
from tests.helpers.worlds import PLAN


def by_what(findings):
    return {(f.what, f.state): f for f in findings}


def test_clips_above_the_size_limit_are_not_reported_as_damaged(ffpp):
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
        "1 file damaged or truncated",
    ]
    assert any("my favourite.mp4" in f.found and f.state == NOTE for f in findings)
    assert "conversion_dict.json" in found["official lists", NOTE].found
    assert ("official lists", OK) not in found


def test_missing_clips_are_listed_completely_only_if_all_names_are_known():
    few = ClipSet("Deepfakes", "c40", (), 1000, ("481_469",), ())
    assert next(checks.of_clips([few])).found.endswith("; missing clips include: 481_469")
    one = ClipSet("Deepfakes", "c40", (), 1, ("481_469",), ())
    assert next(checks.of_clips([one])).found.endswith("; missing: 481_469")


def test_too_little_space_is_a_problem(copy, tmp_path, monkeypatch):
    sources = check_clips(copy, PLAN)
    assert checks.of_space(sources, tmp_path / "not/there/yet").state == OK
    monkeypatch.setattr(checks, "free_space", lambda folder: 1000)
    found = checks.of_space(sources, tmp_path)
    assert found.state == PROBLEM
    assert "--every" in found.remedy


def test_stills_without_an_identity_file_are_noted(world, tmp_path):
    assert checks.of_stills(world / "CelebA").state == OK
    bare = tmp_path / "CelebA"
    shutil.copytree(world / "CelebA/Img", bare / "Img")
    found = checks.of_stills(bare)
    assert (found.state, "identity_CelebA.txt" in found.remedy) == (NOTE, True)
    next((bare / "Img/img_align_celeba").iterdir()).write_bytes(b"")
    assert checks.of_stills(bare).state == PROBLEM
    (tmp_path / "empty").mkdir()
    assert checks.of_stills(tmp_path / "empty").state == PROBLEM


def test_skipped_files_among_stills_are_named(tmp_path):
    folder = tmp_path / "CelebAMask-HQ"
    for name in ("CelebA-HQ-img/0.jpg", "CelebAMask-HQ-mask-anno/0/00000_hair.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"x")
    (folder / HQ_MAPPING).write_text("idx orig_idx orig_file\n0 4 000005.jpg\n")
    found = checks.of_stills(folder)
    assert (found.state, found.what) == (OK, "CelebAMask-HQ")
    assert found.found.startswith(
        "1 of 30,000 images; CelebA-HQ: 1 photograph; identity known for 0"
    )
    assert "skipped 1 (segmentation masks): CelebAMask-HQ-mask-anno/0/000" in found.found
    os.mkfifo(folder / "CelebA-HQ-img/1.jpg")
    found = checks.of_stills(folder)
    assert (found.state, "skipped 1 (a FIFO, not a file): CelebA" in found.found) == (NOTE, True)
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
