import shutil
from collections import Counter

import pytest

from ffpp_tools.clip import Clip
from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.layout import find_clips
from ffpp_tools.stills import find_stills
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


def test_unknown_names_are_refused_with_the_known_ones(ffpp):
    with pytest.raises(SettingsError, match=r"Deepfake;.*Deepfakes"):
        find_clips(ffpp, categories=["Deepfake"])
    with pytest.raises(SettingsError, match=r"c32.*c40"):
        find_clips(ffpp, compressions=["c32"])


def test_celeba_stills_bear_their_identity(world):
    stills = find_stills(world / "CelebA", "CelebA")
    assert len(stills) == 60
    assert (stills[0].name, stills[0].identity, stills[0].label) == ("000001", "2", "real")


def test_celeba_hq_is_a_flat_folder_of_the_same_numbers(world):
    names = {s.name for s in find_stills(world / "CelebA-HQ", "CelebA-HQ")}
    assert len(names & {s.name for s in find_stills(world / "CelebA", "CelebA")}) == 8


def test_any_folder_of_images_needs_a_label(world):
    with pytest.raises(SettingsError, match="--label"):
        find_stills(world / "CelebA-HQ", "Portraits")
    assert {s.label for s in find_stills(world / "CelebA-HQ", "Portraits", "fake")} == {"fake"}


def test_a_label_cannot_contradict_what_a_category_is(world):
    with pytest.raises(SettingsError, match="is real, not fake"):
        find_stills(world / "CelebA", "CelebA", "fake")


def test_what_was_asked_for_and_is_not_there_is_named(ffpp):
    with pytest.raises(DataNotFoundError, match="category FaceShifter"):
        find_clips(ffpp, categories=["Youtube", "FaceShifter"])
    with pytest.raises(DataNotFoundError, match=r"compression c40.*c23"):
        find_clips(ffpp, compressions=["c23", "c40"])


def test_hidden_files_are_neither_clips_nor_stills(tmp_path, world):
    videos = tmp_path / "original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    for name in ("000.mp4", "._000.mp4"):
        (videos / name).touch()
    assert [c.name for c in find_clips(tmp_path)] == ["000"]
    (tmp_path / "._a.jpg").touch()
    (tmp_path / "a.jpg").touch()
    assert [s.name for s in find_stills(tmp_path, "CelebA")] == ["a"]


def test_an_identity_is_found_by_number_whatever_the_suffix(tmp_path):
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Anno/identity_CelebA.txt").write_text("000007.jpg 42\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/000007.png").touch()
    assert [s.identity for s in find_stills(tmp_path, "CelebA-HQ")] == ["42"]


def test_stills_cannot_pass_as_clips(world):
    with pytest.raises(SettingsError, match="ffpp-extract"):
        find_stills(world / "CelebA-HQ", "Youtube")


def test_two_images_of_one_name_are_refused(world, tmp_path):
    image = next((world / "CelebA-HQ").glob("*.jpg"))
    for suffix in (".jpg", ".JPEG"):
        shutil.copy(image, tmp_path / f"a{suffix}")
    with pytest.raises(SettingsError, match="'a'"):
        find_stills(tmp_path, "CelebA")


def test_an_empty_folder_of_stills_is_an_error(tmp_path):
    with pytest.raises(DataNotFoundError, match="no images"):
        find_stills(tmp_path, "CelebA")
