import cv2
import numpy as np

from ffpp_tools.crop import CropSettings
from ffpp_tools.detect import Box
from ffpp_tools.extract import ClipSettings, StillSettings, extract_family, extract_stills
from ffpp_tools.files import sha256
from ffpp_tools.layout import Clip, Family, Still, find_clips, find_stills
from ffpp_tools.plan import FramePlan
from tests.test_decode import full_decode, shortened_with_index_first
from tests.test_detect import found_in

EVERY_10TH = ClipSettings(FramePlan(every=10))


def extract_clip(clip, settings, dataset):
    """What a clip without relatives comes to."""
    ((_, part),) = extract_family(Family((clip,), (), ()), settings, dataset)
    return part


def test_a_crop_is_the_square_round_the_largest_face_of_its_frame(ffpp, tmp_path):
    clip = find_clips(ffpp, categories=["FaceSwap"])[0]
    part = extract_clip(clip, EVERY_10TH, tmp_path)
    reference = full_decode(clip.path)
    assert [r.frame for r in part.frames] == list(range(0, len(reference), 10))
    assert {r.status for r in part.frames} == {"ok"}
    for frame, face in zip(part.frames, part.faces, strict=True):
        image = reference[frame.frame]
        (found,) = found_in(image)
        box = Box(face.box_x, face.box_y, face.box_w, face.box_h)
        assert box == found.box if face.box_from == "detected" else box.overlap(found.box) > 0.6
        assert face.crop_size == round(1.3 * box.side)
        rows = slice(face.crop_y, face.crop_y + face.crop_size)
        columns = slice(face.crop_x, face.crop_x + face.crop_size)
        saved = cv2.imread(str(tmp_path / face.path))[..., ::-1]
        np.testing.assert_array_equal(saved, image[rows, columns])
        assert face.sha256 == sha256(tmp_path / face.path)


def test_rows_say_which_clip_and_frame_they_are(ffpp, tmp_path):
    clip = find_clips(ffpp, categories=["Deepfakes"])[0]
    part = extract_clip(clip, EVERY_10TH, tmp_path)
    row, face = part.frames[1], part.faces[1]
    assert row.frame_id == face.face_id == f"Deepfakes/c23/{clip.name}/000010"
    assert (row.category, row.label, row.compression) == ("Deepfakes", "fake", "c23")
    assert f"{row.target_id}_{row.source_id}" == clip.name
    assert (row.height, row.faces_found) == (288, 1)
    assert [f.box_from for f in part.faces[:2]] == ["detected", "followed"]
    assert 0.3 < row.time_s < 0.45


def test_an_unreadable_clip_is_a_row_that_says_why(tmp_path):
    path = tmp_path / "000.mp4"
    path.write_text("not a video")
    part = extract_clip(Clip("Youtube", "c23", "000", path), EVERY_10TH, tmp_path)
    (row,) = part.frames
    assert (row.frame_id, row.status) == ("Youtube/c23/000/000000", "unreadable")
    assert str(path) in row.error
    assert part.faces == ()


def test_a_truncated_clip_keeps_its_frames_and_accounts_for_the_lost(ffpp, tmp_path):
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


def test_a_frame_without_a_face_and_one_too_small_leave_rows_and_no_crops(ffpp, tmp_path):
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


def test_stills_are_cropped_by_the_clips_rules(world, tmp_path):
    stills = find_stills(world / "CelebA", "CelebA", limit=3)
    part = extract_stills(stills, StillSettings(), tmp_path)
    for still, row, face in zip(stills, part.frames, part.faces, strict=True):
        assert row.frame_id == f"CelebA/still/{still.name}/000000"
        assert (row.target_id, row.source_id, row.frame) == (still.identity, "", 0)
        assert face.path == f"faces/CelebA/still/{still.name}.png"
        assert face.crop_size == min(round(1.3 * max(face.box_w, face.box_h)), 178)


def test_broken_images_are_rows(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    stills = [
        Still("CelebA", "real", p.stem, p, "")
        for p in (tmp_path / "text.jpg", tmp_path / "empty.jpg", tmp_path / "gone.jpg")
    ]
    part = extract_stills(stills, StillSettings(), tmp_path)
    assert [r.status for r in part.frames] == ["unreadable"] * 3
    assert all(str(s.path) in r.error for s, r in zip(stills, part.frames, strict=True))
