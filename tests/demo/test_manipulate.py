"""The demo's manipulations."""

import json

import cv2
import numpy as np
import pytest

from ffpp_tools.demo.manipulate import METHODS
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import decode, demux
from tests.helpers.worlds import PEOPLE


def read(path, indices):
    return [f.picture.image.astype(int) for f in decode.frames(demux.read_video(path), indices)]


def pairs_of(ffpp, method):
    """(fake clip, clip of its target) for every fake of a method."""
    originals = {c.name: c for c in find_clips(ffpp, categories=["Youtube"])}
    return [(c, originals[c.target_id]) for c in find_clips(ffpp, categories=[method])]


def mask_of(clip, ffpp):
    return ffpp / "manipulated_sequences" / clip.category / "masks/videos" / f"{clip.name}.mp4"


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
