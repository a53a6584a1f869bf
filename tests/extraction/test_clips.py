import os
import shutil
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from ffpp_tools.extraction.clips import extract_family
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.stills import extract_stills
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import Box, FindSettings
from ffpp_tools.files import sha256
from ffpp_tools.sources.clip import Clip
from ffpp_tools.sources.faceforensics import Family, families, find_clips
from ffpp_tools.sources.stills import Still
from ffpp_tools.video import decode, demux
from ffpp_tools.video.decode_limits import Limits
from ffpp_tools.video.sampling import FramePlan
from tests.helpers.faces import found_in, scene
from tests.helpers.videos import full_decode, shortened_with_index_first, write

EVERY_10TH = ClipSettings(FramePlan(every=10))


def extract_clip(clip, settings, dataset):
    """Extract a clip without related clips."""
    ((_, part),) = extract_family(Family((clip,), (), ()), settings, dataset)
    return part


def test_a_crop_is_the_square_around_the_largest_face(ffpp, tmp_path):
    clip = find_clips(ffpp, categories=["FaceSwap"])[0]
    part = extract_clip(clip, EVERY_10TH, tmp_path)
    reference = full_decode(clip.path)
    assert [r.frame for r in part.frames] == list(range(0, len(reference), 10))
    assert {r.status for r in part.frames} == {"ok"}
    for frame, face in zip(part.frames, part.faces, strict=True):
        image = reference[frame.frame]
        (found,) = found_in(image)
        box = Box(face.box_x, face.box_y, face.box_w, face.box_h)
        assert box == found.box if face.box_from == "detected" else box.iou(found.box) > 0.6
        assert face.crop_size == round(1.3 * box.side)
        rows = slice(face.crop_y, face.crop_y + face.crop_size)
        columns = slice(face.crop_x, face.crop_x + face.crop_size)
        saved = cv2.imread(str(tmp_path / face.path))[..., ::-1]
        np.testing.assert_array_equal(saved, image[rows, columns])
        assert face.sha256 == sha256(tmp_path / face.path)


def test_rows_identify_clip_and_frame(ffpp, tmp_path):
    clip = find_clips(ffpp, categories=["Deepfakes"])[0]
    part = extract_clip(clip, EVERY_10TH, tmp_path)
    row, face = part.frames[1], part.faces[1]
    assert row.frame_id == face.face_id == f"Deepfakes/c23/{clip.name}/000010"
    assert (row.category, row.label, row.compression) == ("Deepfakes", "fake", "c23")
    assert f"{row.target_id}_{row.source_id}" == clip.name
    assert (row.height, row.faces_found) == (288, 1)
    assert [f.box_from for f in part.faces[:2]] == ["detected", "followed"]
    assert 0.3 < row.time_s < 0.45


def test_an_unreadable_clip_gets_a_row_with_the_reason(tmp_path):
    path = tmp_path / "000.mp4"
    path.write_text("not a video")
    part = extract_clip(Clip("Youtube", "c23", "000", path), EVERY_10TH, tmp_path)
    (row,) = part.frames
    assert (row.frame_id, row.status) == ("Youtube/c23/000/000000", "unreadable")
    assert str(path) in row.error
    assert part.faces == ()


def test_a_truncated_clip_has_rows_for_decoded_and_missing_frames(ffpp, tmp_path):
    original = find_clips(ffpp, categories=["Youtube"])[0]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(shortened_with_index_first(original.path, tmp_path))
    part = extract_clip(Clip("Youtube", "c23", "000", cut), EVERY_10TH, tmp_path)
    whole = extract_clip(original, EVERY_10TH, tmp_path)
    assert [r.frame for r in part.frames] == [r.frame for r in whole.frames]
    statuses = [r.status for r in part.frames]
    assert statuses == sorted(statuses)  # all "ok" before all "truncated"
    assert set(statuses) == {"ok", "truncated"}
    assert "ends after" in part.frames[-1].error
    assert len(part.faces) == statuses.count("ok")


def test_a_clip_above_the_pixel_limit_gets_a_row_with_the_reason(ffpp, tmp_path):
    """It is not decoded; with a higher limit it is extracted."""
    path = find_clips(ffpp, categories=["Youtube"])[0].path
    family = Family((Clip("Youtube", "c23", "000", path),), (), ())
    limits = Limits(pixels=400 * 288 - 1)
    ((_, part),) = extract_family(family, EVERY_10TH, tmp_path, limits=limits)
    (row,) = part.frames
    assert (row.frame, row.status) == (0, "unreadable")
    assert row.error.startswith(f"{path}: declares 400 × 288 = 115,200 pixels, more than the limit")
    assert "115,199" in row.error
    assert "--max-pixels" in row.error
    ((_, part),) = extract_family(family, EVERY_10TH, tmp_path, limits=Limits(pixels=400 * 288))
    assert {row.status for row in part.frames} == {"ok"}


def test_the_pixel_limit_is_an_option(ffpp, tmp_path, typed):
    clip = find_clips(ffpp, categories=["Youtube"])[0].path
    videos = tmp_path / "data/original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    shutil.copy(clip, videos)
    stills = tmp_path / "stills"
    stills.mkdir()
    Image.new("RGB", (64, 48)).save(stills / "a.png")
    for words in (
        ("ffpp-extract", tmp_path / "data"),
        ("ffpp-stills", stills, "--category", "x", "--label", "real"),
    ):
        status, out, err = typed(*words, "--out", tmp_path / words[0], "--max-pixels", 999)
        assert status == 1
        assert "more than the limit of 999" in " ".join((out + err).split())


def test_frames_without_a_large_enough_face_get_rows_and_no_crops(ffpp, tmp_path):
    clip = find_clips(ffpp, categories=["Youtube"])[0]
    settings = ClipSettings(FramePlan(every=10), CropSettings(min_face=200))
    part = extract_clip(clip, settings, tmp_path)
    assert {(r.status, r.faces_found) for r in part.frames} == {("too_small", 1)}
    assert part.faces == ()

    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((120, 120, 3), 90, np.uint8))
    empty = extract_stills([Still("CelebA", "real", "blank", blank, "")], StillSettings(), tmp_path)
    assert [(r.status, r.width, r.height) for r in empty.frames] == [("no_face", 120, 120)]
    assert not (tmp_path / "faces").exists()


def family_of(ffpp, target, **selected):
    """The clips that show a target's frames: one original and four fakes."""
    (family,) = (
        f for f in families(ffpp, find_clips(ffpp, **selected)) if f.originals[0].name == target
    )
    return family


def parts(family, dataset, settings=EVERY_10TH, done=lambda _: False):
    return {c.category: p for c, p in extract_family(family, settings, dataset, done)}


@pytest.fixture(scope="module")
def long_face2face(ffpp):
    """The name of a target whose Face2Face is longer than its original."""
    for clip in find_clips(ffpp, ["Face2Face"]):
        own = ffpp / f"original_sequences/youtube/c23/videos/{clip.target_id}.mp4"
        last_planned = (demux.read_video(clip.path).n_frames - 1) // 10 * 10
        if last_planned >= demux.read_video(own).n_frames:
            return clip.target_id
    pytest.fail("the demo world has such a clip")


def test_fakes_use_the_boxes_of_their_original_up_to_its_end(ffpp, tmp_path, long_face2face):
    found = parts(family_of(ffpp, long_face2face), tmp_path)
    boxes = {f.frame_id.split("/")[-1]: f for f in found["Youtube"].faces}
    for category in ("Deepfakes", "FaceSwap", "NeuralTextures", "Face2Face"):
        rows, faces = found[category].frames, found[category].faces
        shift = (found["Youtube"].frames[0].width - rows[0].width) // 2
        for face in faces:
            frame = face.frame_id.split("/")[-1]
            assert face.box_from == ("twin" if frame in boxes else "detected")
            if frame in boxes:
                own = boxes[frame]
                assert (face.box_x, face.box_y) == (own.box_x - shift, own.box_y)
                assert (face.box_w, face.box_h, face.score) == (own.box_w, own.box_h, own.score)
    last = found["Face2Face"].faces[-1]
    assert last.box_from == "detected", (
        "after the end of the original, faces are detected in the fake"
    )


def test_an_original_that_is_not_selected_still_provides_boxes(ffpp, tmp_path):
    target = find_clips(ffpp, ["Deepfakes"])[0].target_id
    whole = parts(family_of(ffpp, target), tmp_path / "whole")
    alone = parts(family_of(ffpp, target, categories=["Deepfakes"]), tmp_path / "alone")
    assert alone == {"Deepfakes": whole["Deepfakes"]}
    assert not (tmp_path / "alone/faces/Youtube").exists()
    family = family_of(ffpp, target)
    again = parts(family, tmp_path / "again", done=lambda c: c.category != "Deepfakes")
    assert again == alone


def test_without_twins_detection_runs_on_every_clip(ffpp, tmp_path):
    target = find_clips(ffpp, ["Deepfakes"])[0].target_id
    settings = replace(EVERY_10TH, twins=False)
    for part in parts(family_of(ffpp, target), tmp_path, settings).values():
        assert {f.box_from for f in part.faces} <= {"detected", "followed"}


def test_other_compressions_use_the_same_boxes(ffpp, tmp_path):
    clip = find_clips(ffpp, ["Deepfakes"])[0]
    root = tmp_path / "ffpp"
    for category, name in (("Youtube", clip.target_id), ("Deepfakes", clip.name)):
        source = next(c for c in find_clips(ffpp, [category]) if c.name == name)
        for compression, crf in (("c23", "23"), ("c40", "40")):
            folder = root / source.path.relative_to(ffpp).parents[2] / compression / "videos"
            folder.mkdir(parents=True)
            write(folder / f"{name}.mp4", full_decode(source.path), crf=crf)
    (everything,) = families(root, find_clips(root))
    assert [c.compression for c in everything.originals] == ["c23", "c40"]
    made = dict(extract_family(everything, EVERY_10TH, tmp_path / "all"))
    boxes = {
        (c.category, c.compression): [(f.box_x, f.box_y, f.box_w) for f in p.faces]
        for c, p in made.items()
    }
    assert len(boxes) == 4
    assert len({tuple(b) for b in boxes.values()}) == 1
    (only,) = families(root, find_clips(root, ["Deepfakes"], ["c40"]))
    ((clip, part),) = extract_family(only, EVERY_10TH, tmp_path / "only")
    assert part == made[clip]
    assert {f.box_from for f in part.faces} == {"twin"}


@pytest.fixture(scope="module")
def copying_faceswap(ffpp, tmp_path_factory):
    """A data folder with one FaceSwap whose frames 10 to 29 are copied from the original."""
    fake = find_clips(ffpp, ["FaceSwap"])[0]
    root = tmp_path_factory.mktemp("copying")
    own = next(c for c in find_clips(ffpp, ["Youtube"]) if c.name == fake.target_id)
    copy = root / own.path.relative_to(ffpp)
    copy.parent.mkdir(parents=True)
    shutil.copy(own.path, copy)
    forged, real = full_decode(fake.path), full_decode(own.path)
    forged[10:30] = real[10:30]
    path = root / fake.path.relative_to(ffpp)
    path.parent.mkdir(parents=True)
    write(path, forged, crf="18")
    return root


def test_unchanged_fakes_are_not_extracted_as_fakes(copying_faceswap, tmp_path):
    (family,) = families(copying_faceswap, find_clips(copying_faceswap))
    part = parts(family, tmp_path)["FaceSwap"]
    expected = ["unchanged_fake" if r.frame in (10, 20) else "ok" for r in part.frames]
    assert [r.status for r in part.frames] == expected
    assert len(part.faces) == expected.count("ok")
    assert len(list((tmp_path / "faces/FaceSwap").rglob("*.png"))) == len(part.faces)
    kept = parts(family, tmp_path, replace(EVERY_10TH, keep_unchanged=True))["FaceSwap"]
    assert [r.status for r in kept.frames] == expected
    assert len(kept.faces) == len(expected)
    full = replace(EVERY_10TH, find=FindSettings(search="full"))
    judged = parts(family, tmp_path, full)["FaceSwap"]
    assert [r.status for r in judged.frames] == expected
    assert {f.box_from for f in judged.faces} == {"detected"}


@pytest.fixture(scope="module")
def two_people(tmp_path_factory):
    """A data folder with a clip of a large bystander and of a small person whose face is forged."""
    root = tmp_path_factory.mktemp("two")
    paths = {
        "own": root / "original_sequences/youtube/c23/videos/000.mp4",
        "fake": root / "manipulated_sequences/Deepfakes/c23/videos/000_001.mp4",
        "mask": root / "manipulated_sequences/Deepfakes/masks/videos/000_001.mp4",
    }
    for path in paths.values():
        path.parent.mkdir(parents=True)
    own = [scene(360, 640, [(3, 320, 10 + i, 20), (2, 230, 380, 90)]) for i in range(30)]
    fake = [scene(360, 640, [(3, 320, 10 + i, 20), (8, 230, 380, 90)]) for i in range(30)]
    mask = np.zeros((360, 640, 3), np.uint8)
    mask[150:290, 440:560] = 255
    write(paths["own"], own)
    write(paths["fake"], fake)
    write(paths["mask"], [mask] * 30)
    return root


def extracted(root, dataset, **changed):
    (family,) = families(root, find_clips(root))
    return parts(family, dataset, replace(EVERY_10TH, **changed))


def test_the_mask_selects_the_forged_face_in_the_fake_and_in_its_original(two_people, tmp_path):
    for part in extracted(two_people, tmp_path).values():
        assert [f.box_x > 400 for f in part.faces] == [True] * 3
        assert {r.faces_found for r in part.frames} == {2}
        assert len({f.track for f in part.faces}) == 1


@pytest.fixture(scope="module")
def two_people_without_mask(two_people, tmp_path_factory):
    root = tmp_path_factory.mktemp("maskless") / "two"
    shutil.copytree(two_people, root, ignore=shutil.ignore_patterns("masks"))
    return root


def as_method(root, method, folder):
    """A copy of the data folder in which the fake is by another method."""
    copy = folder / method
    shutil.copytree(root, copy)
    (copy / "manipulated_sequences/Deepfakes").rename(copy / "manipulated_sequences" / method)
    return copy


@pytest.mark.parametrize("method", ["Deepfakes", "NeuralTextures"])
def test_without_a_mask_the_largest_face_or_largest_changed_face_is_selected(
    two_people_without_mask, tmp_path, method
):
    root = as_method(two_people_without_mask, method, tmp_path)
    found = extracted(root, tmp_path / "out")
    assert [f.box_x < 300 for f in found["Youtube"].faces] == [True] * 3
    assert [f.box_x > 400 for f in found[method].faces] == [True] * 3
    assert {r.status for r in found[method].frames} == {"ok"}
    assert all(f.difference > 10 for f in found[method].faces)
    assert all(np.isnan(f.difference) for f in found["Youtube"].faces)


@pytest.mark.parametrize("method", ["Deepfakes", "Face2Face", "NeuralTextures"])
def test_without_a_mask_bystanders_are_faces_that_differ_much_less_than_another(
    two_people_without_mask, tmp_path, method
):
    root = as_method(two_people_without_mask, method, tmp_path)
    found = extracted(root, tmp_path / "out", faces="all")[method]
    assert [f.track for f in found.faces] == [1, 1, 1]
    crops = {p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*_*.png")}
    assert {f.path for f in found.faces} == {c for c in crops if f"/{method}/" in c}
    kept = extracted(root, tmp_path / "kept", faces="all", keep_unchanged=True)[method]
    assert {r.status for r in kept.frames} == {"ok"}
    assert [f.track for f in kept.faces] == [1, 1, 1], (
        "unchanged faces next to a changed one are dropped"
    )


@pytest.mark.parametrize("method", ["FaceSwap", "Face2Face", "NeuralTextures"])
def test_pixels_identify_unchanged_faces_for_swaps_only(copying_faceswap, tmp_path, method):
    """Frames 10 to 29 equal the original's. For Face2Face that may be a small real change."""
    root = tmp_path / "ffpp"
    shutil.copytree(copying_faceswap, root)
    (root / "manipulated_sequences/FaceSwap").rename(root / "manipulated_sequences" / method)
    (family,) = families(root, find_clips(root))
    part = parts(family, tmp_path / "out")[method]
    dropped = [r.frame for r in part.frames if r.status == "unchanged_fake"]
    assert dropped == ([10, 20] if method == "FaceSwap" else [])
    assert {r.unchanged_by for r in part.frames} == ({"", "pixels"} if dropped else {""})
    small = [f.difference for f in part.faces if f.face_id[-6:] in ("000010", "000020")]
    assert small == [] if dropped else max(small) < 2
    assert all(f.difference > 5 for f in part.faces if f.face_id[-6:] in ("000000", "000030"))


@pytest.mark.parametrize("method", ["FaceSwap", "Face2Face"])
def test_the_mask_takes_precedence_over_pixels(copying_faceswap, tmp_path, method):
    """The mask is white up to frame 29, and empty from frame 30 on, where the face is changed."""
    root = tmp_path / "ffpp"
    shutil.copytree(copying_faceswap, root)
    (fake,) = find_clips(root, ["FaceSwap"])
    frames = full_decode(fake.path)
    (root / "manipulated_sequences/FaceSwap").rename(root / "manipulated_sequences" / method)
    mask = root / f"manipulated_sequences/{method}/masks/videos/{fake.name}.mp4"
    mask.parent.mkdir(parents=True)
    white = [np.full_like(image, 255 if i < 30 else 0) for i, image in enumerate(frames)]
    write(mask, white)
    (family,) = families(root, find_clips(root))
    part = parts(family, tmp_path / "out")[method]
    expected = ["ok" if r.frame < 30 else "unchanged_fake" for r in part.frames]
    assert [r.status for r in part.frames] == expected
    assert {r.unchanged_by for r in part.frames if r.frame >= 30} == {"mask"}
    mask.write_bytes(b"no video")
    again = parts(family, tmp_path / "damaged")[method]
    assert all("extracted without its mask" in r.error for r in again.frames)
    dropped = [r.frame for r in again.frames if r.status == "unchanged_fake"]
    assert dropped == ([10, 20] if method == "FaceSwap" else [])


def test_all_faces_are_cropped_except_bystanders_in_fakes(two_people, tmp_path):
    found = extracted(two_people, tmp_path, faces="all")
    ids = [f.face_id for f in found["Youtube"].faces]
    assert ids == [f"Youtube/c23/000/0000{i}0/{track}" for i in range(3) for track in (0, 1)]
    assert [f.track for f in found["Deepfakes"].faces] == [1, 1, 1]
    for part in found.values():
        for face in part.faces:
            assert sha256(tmp_path / face.path) == face.sha256
    crops = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png")}
    assert crops == {f.path for part in found.values() for f in part.faces}


def test_the_tracked_person_is_the_one_selected_in_most_frames(tmp_path):
    """The large bystander leaves after the first planned frame."""
    root = tmp_path / "ffpp"
    path = root / "original_sequences/youtube/c23/videos/000.mp4"
    path.parent.mkdir(parents=True)
    stays, passes = (2, 230, 380, 90), (3, 320, 10, 20)
    write(path, [scene(360, 640, [stays, passes] if i < 5 else [stays]) for i in range(45)])
    largest = extracted(root, tmp_path / "a")["Youtube"].faces
    assert [f.box_x > 400 for f in largest] == [False, True, True, True, True]
    tracked = extracted(root, tmp_path / "b", faces="tracked")["Youtube"]
    assert [f.box_x > 400 for f in tracked.faces] == [True] * 5
    assert len({f.track for f in tracked.faces}) == 1
    assert len(list((tmp_path / "b").rglob("*.png"))) == 5


def test_boxes_are_smoothed_only_on_request(ffpp, tmp_path):
    target = find_clips(ffpp, ["Deepfakes"])[0].target_id
    plain = parts(family_of(ffpp, target), tmp_path / "a")
    smooth = parts(family_of(ffpp, target), tmp_path / "b", replace(EVERY_10TH, smooth=3))
    boxes = [[f.box_x for f in made["Youtube"].faces] for made in (plain, smooth)]
    middle = range(1, len(boxes[0]) - 1)
    assert [boxes[1][i] for i in middle] == [sum(boxes[0][i - 1 : i + 2]) // 3 for i in middle]
    assert [f.box_x for f in smooth["Deepfakes"].faces] == boxes[1][
        : len(smooth["Deepfakes"].faces)
    ]


def test_all_aligned_crops_have_the_same_size(ffpp, tmp_path):
    clip = find_clips(ffpp, ["Youtube"])[0]
    settings = replace(EVERY_10TH, crop=CropSettings(align=True))
    for face in extract_clip(clip, settings, tmp_path).faces:
        assert cv2.imread(str(tmp_path / face.path)).shape == (256, 256, 3)


def test_a_decoder_that_hangs_affects_only_its_clip(ffpp, tmp_path, monkeypatch):
    """Opening a pipe without a writer never returns. Normally pipes are rejected."""
    monkeypatch.setattr("ffpp_tools.files.special_file_kind", lambda path: "")
    root = tmp_path / "ffpp"
    folder = root / "original_sequences/youtube/c23/videos"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "000.mp4")
    shutil.copy(find_clips(ffpp, ["Youtube"])[0].path, folder / "001.mp4")
    made = {}
    for family in families(root, find_clips(root)):
        made |= {
            c.name: p for c, p in extract_family(family, EVERY_10TH, tmp_path, limits=Limits(0.5))
        }
    assert {r.status for r in made["001"].frames} == {"ok"}
    (row,) = made["000"].frames
    assert row.status == "unreadable"
    assert "000.mp4: the decoder timed out" in row.error


@pytest.mark.parametrize("smooth", [1, 5])
def test_frames_decoded_before_a_decoder_hangs_are_kept(ffpp, tmp_path, monkeypatch, smooth):
    clip = find_clips(ffpp, ["Youtube"])[0]
    frames = decode.frames

    def hanging(video, wanted):
        for frame in frames(video, wanted):
            if frame.index == 20:
                threading.Event().wait()
            yield frame

    monkeypatch.setattr(decode, "frames", hanging)
    family, settings = Family((clip,), (), ()), replace(EVERY_10TH, smooth=smooth)
    ((_, part),) = extract_family(family, settings, tmp_path, limits=Limits(0.5))
    assert [r.status for r in part.frames[:2]] == ["ok", "ok"]
    assert {r.status for r in part.frames[2:]} == {"decode_error"}
    assert all("timed out" in r.error for r in part.frames[2:])
