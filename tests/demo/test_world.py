import json

import cv2
import numpy as np
import pytest

from ffpp_tools.demo import draw_world
from ffpp_tools.demo.manipulate import METHODS
from ffpp_tools.errors import FfppError
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.video import decode, demux
from tests.helpers.faces import found_in
from tests.helpers.files import hashes
from tests.helpers.worlds import PEOPLE


def read(path, indices):
    return [f.picture.image.astype(int) for f in decode.frames(demux.read_video(path), indices)]


def pairs_of(ffpp, method):
    """(fake clip, clip of its target) for every fake of a method."""
    originals = {c.name: c for c in find_clips(ffpp, categories=["Youtube"])}
    return [(c, originals[c.target_id]) for c in find_clips(ffpp, categories=[method])]


def mask_of(clip, ffpp):
    return ffpp / "manipulated_sequences" / clip.category / "masks/videos" / f"{clip.name}.mp4"


@pytest.mark.slow
def test_the_same_seed_draws_the_same_bytes_with_any_number_of_workers(world, tmp_path):
    again = draw_world(tmp_path / "again", PEOPLE, seconds=1.5, workers=1)
    assert hashes(again) == hashes(world)


def test_every_pair_is_forged_both_ways(ffpp):
    listed = [
        pair
        for split in ("train", "val", "test")
        for pair in json.loads((ffpp / f"splits/{split}.json").read_text())
    ]
    expected = {f"{a}_{b}" for pair in listed for a, b in (pair, pair[::-1])}
    assert len(expected) == PEOPLE
    for method in METHODS:
        assert {c.name for c in find_clips(ffpp, categories=[method])} == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_fake_differs_from_its_target_in_the_face_and_nowhere_else(ffpp, method):
    for fake, original in pairs_of(ffpp, method)[:4]:
        (forged,) = read(fake.path, [12])
        (genuine,) = read(original.path, [12])
        (mask,) = read(mask_of(fake, ffpp), [12])
        cut = (genuine.shape[1] - forged.shape[1]) // 2
        genuine = genuine[:, cut : cut + forged.shape[1]]
        difference = np.abs(forged - genuine).mean(axis=2)
        touched = mask[..., 0] > 128
        near = cv2.dilate(touched.astype(np.uint8), np.ones((25, 25))) > 0
        assert 0.005 < touched.mean() < 0.25
        assert np.median(difference[~near]) <= 3
        assert np.percentile(difference[~near], 99) <= 12
        assert difference[touched].mean() > 3 * difference[~near].mean()
        assert difference[touched].mean() > 4


def test_lengths_and_widths_are_those_that_the_real_methods_leave(ffpp):
    originals = {c.name: demux.read_video(c.path) for c in find_clips(ffpp, categories=["Youtube"])}
    widths = {}
    for method in METHODS:
        for fake, original in pairs_of(ffpp, method):
            target, source = (originals[n].n_frames for n in (fake.target_id, fake.source_id))
            expected = {"Deepfakes": target, "Face2Face": source}.get(method, min(target, source))
            assert demux.read_video(fake.path).n_frames == expected
            shapes = [read(c.path, [0])[0].shape[1] for c in (fake, original)]
            widths.setdefault(method, set()).add(tuple(shapes))
    assert widths["Deepfakes"] == widths["FaceSwap"] == {(384, 384), (400, 400)}
    assert widths["Face2Face"] == widths["NeuralTextures"] == {(384, 384), (384, 400)}


def test_dlib_finds_every_drawn_face(ffpp, world):
    for clip in find_clips(ffpp, limit=3):
        for frame in decode.frames(demux.read_video(clip.path), range(0, 30, 10)):
            assert len(found_in(frame.picture.image)) == 1, f"{clip} frame {frame.index}"
    for category in ("CelebA", "CelebA-HQ"):
        for still in find_stills(world / category, category, limit=8):
            assert found_in(cv2.imread(str(still.path))[..., ::-1].copy()), still


def test_stills_have_the_official_sizes_and_an_identity_each(world):
    for category, shape in (("CelebA", (218, 178, 3)), ("CelebA-HQ", (1024, 1024, 3))):
        for still in find_stills(world / category, category):
            assert cv2.imread(str(still.path)).shape == shape
    identities = {s.identity for s in find_stills(world / "CelebA", "CelebA")}
    assert len(identities) == 20
    assert "" not in identities


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 7}, "even"),
        ({"people": 4}, "at least 6"),
        ({"compressions": ["c99"]}, "c99"),
    ],
)
def test_worlds_that_cannot_be_are_refused(tmp_path, arguments, message):
    with pytest.raises(FfppError, match=message):
        draw_world(tmp_path / "w", **arguments)
    assert not (tmp_path / "w").exists()


def test_a_used_folder_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(FfppError, match="not empty"):
        draw_world(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]
