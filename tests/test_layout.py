from collections import Counter

import pytest

from ffpp_tools.clip import Clip
from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.layout import families, find_clips
from tests.conftest import PEOPLE


def test_every_clip_of_the_tree_is_found_once(ffpp):
    clips = find_clips(ffpp)
    methods = ("Youtube", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    assert Counter(c.category for c in clips) == dict.fromkeys(methods, PEOPLE)
    assert {c.compression for c in clips} == {"c23"}
    assert clips == sorted(clips, key=lambda c: (c.category, c.compression, c.name))


def test_masks_are_not_clips(ffpp):
    assert not [c for c in find_clips(ffpp) if "masks" in c.path.parts]


def test_limit_counts_clips_of_each_category(ffpp):
    clips = find_clips(ffpp, categories=["Youtube", "Deepfakes"], limit=2)
    assert Counter(c.category for c in clips) == {"Youtube": 2, "Deepfakes": 2}


def test_the_other_spelling_of_the_roots_and_of_raw_is_understood(tmp_path):
    for folder, name in (("original/youtube", "000"), ("manipulate/FaceSwap", "000_003")):
        path = tmp_path / folder / "c0/videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True)
        path.touch()
    found = [(c.category, c.compression, c.name) for c in find_clips(tmp_path)]
    assert found == [("FaceSwap", "raw", "000_003"), ("Youtube", "raw", "000")]


@pytest.mark.parametrize(
    ("category", "name", "target", "source", "label"),
    [
        ("Youtube", "183", "183", "", "real"),
        ("Deepfakes", "183_253", "183", "253", "fake"),
        ("Actors", "13__walking_down_indoor_hall_disgust", "13", "", "real"),
        ("DeepFakeDetection", "01_02__kitchen_pan__YCSEBZO4", "01", "02", "fake"),
    ],
)
def test_names_tell_target_and_source(tmp_path, category, name, target, source, label):
    clip = Clip(category, "c40", name, tmp_path)
    assert (clip.target_id, clip.source_id, clip.label) == (target, source, label)


def test_missing_data_says_what_was_looked_for_and_what_to_do(tmp_path):
    with pytest.raises(DataNotFoundError) as error:
        find_clips(tmp_path / "nowhere")
    for words in (str(tmp_path / "nowhere"), "original_sequences", "on request", "ffpp-demo"):
        assert words in str(error.value)


@pytest.mark.parametrize("given", [".", "FaceForensics++/original_sequences"])
def test_a_folder_above_or_below_is_told_from_the_right_one(ffpp, given):
    with pytest.raises(DataNotFoundError, match=r"is it .*FaceForensics\+\+\?$"):
        find_clips(ffpp.parent / given)


def test_what_there_is_instead_of_what_was_asked_for_is_listed(ffpp):
    with pytest.raises(DataNotFoundError, match=r"compression c40 under .*Youtube \(c23\)$"):
        find_clips(ffpp, compressions=["c40"])


def test_unknown_names_are_refused_with_the_known_ones(ffpp):
    with pytest.raises(SettingsError, match=r"Deepfake;.*Deepfakes"):
        find_clips(ffpp, categories=["Deepfake"])
    with pytest.raises(SettingsError, match=r"c32.*c40"):
        find_clips(ffpp, compressions=["c32"])


def test_what_was_asked_for_and_is_not_there_is_named(ffpp):
    with pytest.raises(DataNotFoundError, match="category FaceShifter"):
        find_clips(ffpp, categories=["Youtube", "FaceShifter"])
    with pytest.raises(DataNotFoundError, match=r"compression c40.*c23"):
        find_clips(ffpp, compressions=["c23", "c40"])


def test_hidden_files_are_no_clips(tmp_path):
    videos = tmp_path / "original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    for name in ("000.mp4", "._000.mp4"):
        (videos / name).touch()
    assert [c.name for c in find_clips(tmp_path)] == ["000"]


def test_frames_written_as_images_are_clips_where_there_are_no_videos(tmp_path):
    for clip in ("000", "003"):
        for name in ("0000.png", "0001.png"):
            path = tmp_path / "original_sequences/youtube/c23/images" / clip / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    fake = tmp_path / "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"
    fake.parent.mkdir(parents=True)
    fake.touch()
    clips = find_clips(tmp_path)
    assert [(c.category, c.name, c.path.is_dir()) for c in clips] == [
        ("Deepfakes", "000_003", False),
        ("Youtube", "000", True),
        ("Youtube", "003", True),
    ]
    (family,) = families(tmp_path, clips[:1])
    assert [c.path.name for c in family.originals] == ["000"]
    assert clips[1].mask.name == "000.mp4"
