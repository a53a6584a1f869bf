import dataclasses
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from ffpp_tools.demo.world import Scene, _composed
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.grouping.dedupe import find_duplicates
from ffpp_tools.grouping.duplicate_clips import (
    MAX_BITS,
    mislabelled_pairs,
    near_clips,
    original_node,
)
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.store.tables import DuplicateRow, read_frames, table_of
from ffpp_tools.video.frame_hash import frame_hash, hash_bits
from tests.helpers.videos import written_again
from tests.helpers.worlds import SETTINGS

YOUTUBE, METHOD = "original_sequences/youtube/c23/videos", "manipulated_sequences/{}/c23/videos"
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 2, (40, 255), dtype=np.uint8)


def flipped(bits, count, seed=0):
    """The hash with `count` bits flipped."""
    other = bits.copy()
    other[np.random.default_rng(seed).choice(255, count, replace=False)] ^= 1
    return other


def frames_of(*clips):
    """A ledger of (category, clip, {frame: bits}, frames per second)."""
    rows = [
        (category, clip, frame, frame / fps, np.packbits(bits).tobytes().hex())
        for category, clip, images, fps in clips
        for frame, bits in images.items()
    ]
    table = pd.DataFrame(rows, columns=["category", "clip", "frame", "time_s", "frame_hash"])
    real = table["category"].isin(["Youtube", "DFDC-real"])
    target = table["clip"].str.split("_").str[0]
    return table.assign(compression="c23", target_id=target, label=np.where(real, "real", "fake"))


def duplicate_pairs(*clips):
    return [(r.item, r.partner) for r in near_clips(frames_of(*clips))]


def clip(category, name, numbers, step=25, bits=0, fps=25):
    """A clip that shows some of the images, with `bits` bits of each hash flipped."""
    shown = {i * step: flipped(IMAGES[n], bits, seed=bits) for i, n in enumerate(numbers)}
    return (category, name, shown, fps)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (clip("Youtube", "000", range(4)), clip("Youtube", "001", range(4), bits=MAX_BITS), True),
        (
            clip("Youtube", "000", range(4)),
            clip("Youtube", "001", range(4), bits=MAX_BITS + 1),
            False,
        ),
        (clip("Youtube", "000", [0]), clip("Youtube", "001", [0]), False),
        (clip("Youtube", "000", range(9)), clip("Youtube", "001", range(2)), True),
        (clip("Youtube", "000", range(5)), clip("Youtube", "001", [0, 1, 12, 13, 14]), False),
        (clip("Youtube", "000", range(4)), clip("Youtube", "001", [0, 1, 12, 13]), True),
        (clip("Youtube", "000", range(4)), clip("Deepfakes", "000_001", range(4)), False),
        (clip("Youtube", "001", range(4)), clip("Deepfakes", "000_001", range(4)), True),
        (clip("FaceSwap", "000_001", range(4)), clip("Deepfakes", "000_002", range(4)), False),
        (clip("FaceSwap", "002_001", range(4)), clip("Deepfakes", "000_001", range(4)), True),
        (clip("DFDC-real", "abc", range(4)), clip("DFDC-fake", "xyz", range(4), bits=20), True),
        (
            clip("Youtube", "000", range(6)),
            clip("Youtube", "001", range(6), step=60, fps=60),
            True,
        ),
        (
            clip("Youtube", "000", range(6)),
            clip("Youtube", "001", range(6), step=50, fps=60),
            True,
        ),
    ],
    ids=[
        "every frame near",
        "every frame one bit too far",
        "one frame alone",
        "a copy whose end is cut off",
        "two of five frames",
        "half of the frames",
        "a fake and its original",
        "a fake of another original",
        "fakes of one original",
        "fakes of two originals",
        "a fake without a known original, and its original",
        "the same times at another frame rate",
        "other times at other frames",
    ],
)
def test_clips_are_near_if_half_of_the_sampled_frames_match(one, other, expected):
    first, second = sorted(f"{c[0]}/{c[1]}" for c in (one, other))
    assert duplicate_pairs(one, other) == ([(second, first)] if expected else [])


def test_a_shared_title_card_does_not_make_clips_duplicates():
    """A fifth of all planned frames match: two of eight sampled frames."""
    one = clip("Youtube", "000", range(20), step=1)
    other = clip("Youtube", "001", [*range(4), *range(20, 36)], step=1)
    assert duplicate_pairs(one, other) == []


def test_fakes_of_two_copies_of_one_video_are_not_mislabelled():
    frames = frames_of(
        clip("Youtube", "000", range(4)),
        clip("Youtube", "009", range(4), bits=2),
        clip("Deepfakes", "000_003", range(4), bits=4),
        clip("Deepfakes", "009_001", range(4), bits=5),
        clip("FaceSwap", "500_501", range(4), bits=3),
    )
    found = table_of(DuplicateRow, near_clips(frames))
    assert ("Youtube/009", "Youtube/000") in set(zip(found["item"], found["partner"], strict=True))
    wrong = mislabelled_pairs(found, frames)
    assert set(wrong["item"]) | set(wrong["partner"]) >= {"FaceSwap/500_501"}
    named = wrong[["item", "partner"]].isin(["FaceSwap/500_501"]).any(axis=1)
    assert named.all(), "the misnamed fake is in every pair"


def test_a_copy_is_listed_with_the_nearest_clip_of_each_family():
    found = list(
        near_clips(
            frames_of(
                clip("Deepfakes", "000_001", range(4), bits=9),
                clip("FaceSwap", "000_001", range(4), bits=3),
                clip("Youtube", "009", range(4)),
                clip("Youtube", "800", range(4), bits=12),
            )
        )
    )
    assert [(r.item, r.partner) for r in found] == [
        ("Youtube/009", "FaceSwap/000_001"),
        ("Youtube/800", "FaceSwap/000_001"),
        ("Youtube/800", "Youtube/009"),
    ]
    assert found[0].distance == round(3 / 255, 4)
    assert found[0].path == "Youtube/c23/009"


def test_frames_without_contrast_have_no_hash():
    noise = np.random.default_rng(0).normal(0, 3, (288, 384))
    for level in (0, 16, 128, 255):
        assert frame_hash(np.clip(level + noise, 0, 255).astype(np.uint8)) == ""
    table = frames_of(clip("Youtube", "000", range(4)), clip("Youtube", "001", range(4)))
    assert list(near_clips(table.assign(frame_hash=""))) == []


def drawn(person, room, frame):
    """A frame of a person in another person's room, with a static camera."""
    scene = dataclasses.replace(person, width=room.width)
    object.__setattr__(scene, "__dict__", {**scene.__dict__, "_room": room._room})
    background = room.background(0)
    object.__setattr__(scene, "background", lambda _: background)
    return _composed(scene, frame, scene.portrait.render(scene.expression(frame)))


def test_two_people_in_front_of_the_same_background_are_not_duplicates():
    room = Scene.drawn("room", 99, 2)
    near = []
    for seed in range(2):
        clips = []
        for name, number in (("000", 10 + seed), ("001", 20 + seed)):
            person = Scene.drawn(name, number, 2)
            shown = {
                i: hash_bits([frame_hash(cv2.cvtColor(drawn(person, room, i), cv2.COLOR_RGB2GRAY))])
                for i in (0, 12, 24)
            }
            clips.append(("Youtube", name, {i: b[0, :255] for i, b in shown.items()}, 25))
        near += duplicate_pairs(*clips)
        apart = [(clips[0][2][i] != clips[1][2][i]).sum() for i in clips[0][2]]
        assert np.median(apart) > 1.5 * MAX_BITS
    assert near == []


@pytest.fixture(scope="module")
def planted(ffpp, tmp_path_factory):
    """Two families of the demo world, and copies of their clips under other names."""
    root = tmp_path_factory.mktemp("planted") / "ffpp"
    clips = find_clips(ffpp, ["Youtube", "FaceSwap", "Deepfakes"], limit=2)
    for own in clips:
        target = root / own.path.relative_to(ffpp)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(own.path, target)
    fake, other = (c for c in clips if c.category == "FaceSwap")
    real = next(c for c in clips if c.category == "Youtube")
    methods = {m: root / METHOD.format(m) for m in ("FaceSwap", "Deepfakes")}
    shutil.copy(fake.path, methods["FaceSwap"] / "910_911.mp4")
    shutil.copy(fake.path, methods["Deepfakes"] / "912_913.mp4")
    written_again(fake.path, root / YOUTUBE / "914.mp4", container="matroska")
    written_again(real.path, root / YOUTUBE / "915.mp4", container="mpegts")
    written_again(other.path, methods["Deepfakes"] / "916_917.mp4", crf=40, scale=0.6)
    found = find_clips(root)
    summary = extract_dataset(families(root, found), root.parent / "dataset", SETTINGS)
    return root.parent / "dataset", summary, fake, other, real


def test_copies_under_other_names_are_found(planted):
    dataset, _, fake, other, real = planted
    found = {(r.item, r.kind, r.partner) for r in find_duplicates(dataset).itertuples()}
    assert {
        ("FaceSwap/910_911", "identical", f"FaceSwap/{fake.name}"),
        ("Youtube/914", "identical", "Deepfakes/912_913"),
        ("Youtube/915", "identical", f"Youtube/{real.name}"),
    } <= found
    copies = {"910_911", "912_913", "914"}
    same = pd.DataFrame([f for f in found if f[1] == "identical"], columns=["a", "kind", "b"])
    linked = set(same["a"]) | set(same["b"])
    assert {name for name in linked if name.split("/")[1] in copies} == {
        "FaceSwap/910_911",
        "Deepfakes/912_913",
        "Youtube/914",
    }
    shows = {
        **dict.fromkeys(
            ("FaceSwap/910_911", "Deepfakes/912_913", "Youtube/914"), fake.original_key
        ),
        "Deepfakes/916_917": other.original_key,
        "Youtube/915": real.original_key,
    }
    near = [(item, partner) for item, kind, partner in found if kind == "near"]
    assert "Deepfakes/916_917" in {name for pair in near for name in pair}
    for item, partner in near:
        one, two = (
            shows.get(name) or tuple(original_node(*name.split("/"), "").split("/"))
            for name in (item, partner)
        )
        assert one == two


def test_mislabelled_copies_are_reported(planted):
    dataset, summary, *_ = planted
    wrong = mislabelled_pairs(find_duplicates(dataset), summary.frames)
    named = {name for row in wrong.itertuples() for name in (row.item, row.partner)}
    assert {"FaceSwap/910_911", "Deepfakes/912_913", "Youtube/914"} <= named
    assert "Youtube/915" not in named  # two originals


def test_two_originals_and_a_fake_of_unknown_original_are_not_reported():
    frames = frames_of(
        clip("Youtube", "000", [0]),
        clip("Youtube", "001", [0]),
        clip("DFDC-fake", "abc", [0]),
        clip("DFDC-real", "xyz", [0]),
        clip("Deepfakes", "002_003", [0]),
    )
    pairs = [
        ("Youtube/001", "Youtube/000"),
        ("DFDC-real/xyz", "DFDC-fake/abc"),
        ("Youtube/000", "Deepfakes/002_003"),
    ]
    table = pd.DataFrame(pairs, columns=["item", "partner"]).assign(kind="near")
    assert list(mislabelled_pairs(table, frames)["partner"]) == ["Deepfakes/002_003"]
    assert mislabelled_pairs(table.assign(kind="unreadable"), frames).empty


def test_every_decoded_frame_and_every_clip_has_a_hash(planted):
    dataset, summary, *_ = planted
    frames = read_frames(dataset)
    pd.testing.assert_frame_equal(frames, summary.frames)
    assert (frames["frame_hash"].str.len() == 64).all()
    per_clip = frames.drop_duplicates(["category", "clip", "source_sha256"])
    assert not per_clip.duplicated(["category", "clip"]).any()
    assert frames["source_sha256"].str.len().eq(64).all()
