"""Clips of FaceForensics++, in its own layout and in flat copies."""

import os
from collections import Counter

import pytest

from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.sources.faceforensics import families, find_clips, official_path, remarks
from tests.helpers.worlds import PEOPLE


def test_every_clip_of_the_tree_is_found_once(ffpp):
    clips = find_clips(ffpp)
    methods = ("Youtube", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    assert Counter(c.category for c in clips) == dict.fromkeys(methods, PEOPLE)
    assert {c.compression for c in clips} == {"c23"}
    assert remarks(ffpp, clips) == []
    assert clips == sorted(clips, key=lambda c: (c.category, c.compression, c.name))


def test_masks_are_not_clips(ffpp):
    assert not [c for c in find_clips(ffpp) if "masks" in c.path.parts]


def test_the_limit_applies_to_each_category(ffpp):
    clips = find_clips(ffpp, categories=["Youtube", "Deepfakes"], limit=2)
    assert Counter(c.category for c in clips) == {"Youtube": 2, "Deepfakes": 2}


def test_alternative_names_of_the_roots_and_of_raw_are_recognised(tmp_path):
    for folder, name in (("original/youtube", "000"), ("manipulate/FaceSwap", "000_003")):
        path = tmp_path / folder / "c0/videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True)
        path.touch()
    found = [(c.category, c.compression, c.name) for c in find_clips(tmp_path)]
    assert found == [("FaceSwap", "raw", "000_003"), ("Youtube", "raw", "000")]


def test_the_error_on_missing_data_names_the_folder_and_the_remedy(tmp_path):
    with pytest.raises(DataNotFoundError) as error:
        find_clips(tmp_path / "nowhere")
    for words in (str(tmp_path / "nowhere"), "original_sequences", "on request", "ffpp-demo"):
        assert words in str(error.value)


@pytest.mark.parametrize("given", [".", "FaceForensics++/original_sequences"])
def test_the_right_folder_is_suggested_for_one_above_or_below_it(ffpp, given):
    with pytest.raises(DataNotFoundError, match=r"did you mean .*FaceForensics\+\+\?$"):
        find_clips(ffpp.parent / given)


def test_available_clips_are_listed_if_none_match(ffpp):
    with pytest.raises(DataNotFoundError, match=r"compression c40 under .*Youtube \(c23\)\. Choo"):
        find_clips(ffpp, compressions=["c40"])


def test_the_error_on_an_unknown_name_lists_the_known_ones(ffpp):
    with pytest.raises(SettingsError, match=r"Deepfake;.*Deepfakes"):
        find_clips(ffpp, categories=["Deepfake"])
    with pytest.raises(SettingsError, match=r"c32.*c40"):
        find_clips(ffpp, compressions=["c32"])


def test_requested_categories_and_compressions_without_clips_are_named(ffpp):
    with pytest.raises(DataNotFoundError, match="category FaceShifter"):
        find_clips(ffpp, categories=["Youtube", "FaceShifter"])
    with pytest.raises(DataNotFoundError, match=r"compression c40.*c23"):
        find_clips(ffpp, compressions=["c23", "c40"])


def test_hidden_files_are_not_clips(tmp_path):
    videos = tmp_path / "original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    for name in ("000.mp4", "._000.mp4"):
        (videos / name).touch()
    assert [c.name for c in find_clips(tmp_path)] == ["000"]


def test_folders_of_frames_are_clips_if_there_are_no_videos(tmp_path):
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
    assert clips[1].mask_path.name == "000.mp4"


def touched(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def listed(root, **wanted):
    return [(c.category, c.compression, c.name) for c in find_clips(root, **wanted)]


RAW, C0 = "original_sequences/youtube/raw/videos", "original_sequences/youtube/c0/videos"


def test_clips_of_c0_and_raw_are_merged_and_duplicates_reported(tmp_path):
    touched(tmp_path, f"{RAW}/000.mp4", f"{C0}/000.mp4", f"{C0}/001.mp4", f"{C0}/002.MP4")
    touched(tmp_path, f"{RAW}/003.mov", f"{C0}/003.mp4", f"{RAW}/004.avi", f"{RAW}/004.mp4")
    touched(tmp_path, "original/youtube/raw/videos/005.mp4", "original/youtube/raw/videos/000.mp4")
    clips = find_clips(tmp_path)
    assert {c.path.relative_to(tmp_path).as_posix() for c in clips} == {
        *(f"{RAW}/000.mp4", f"{C0}/001.mp4", f"{C0}/002.MP4", f"{RAW}/003.mov", f"{RAW}/004.mp4"),
        "original/youtube/raw/videos/005.mp4",
    }
    (remark,) = remarks(tmp_path, clips)
    assert remark.startswith("skipped 4 (duplicates of clips): original/youtube/raw/")
    assert len(families(tmp_path, clips)) == len(clips)


def test_a_video_takes_precedence_over_a_folder_of_frames(tmp_path):
    touched(tmp_path, f"{RAW}/000.mp4")
    for name in ("000", "001"):
        touched(tmp_path, f"original_sequences/youtube/raw/images/{name}/0000.png")
    assert {c.name: c.path.is_dir() for c in find_clips(tmp_path)} == {"000": False, "001": True}


def flat(root):
    touched(root, "original/000.mp4", "original/003.mp4", "Deepfakes/000_003.mp4", "csv/a.csv")
    touched(root, "DeepFakeDetection/01_02__kitchen__ABCDEFGH.mp4")


@pytest.mark.parametrize(
    ("folder", "compression"),
    [
        ("FaceForensics++_C23", "c23"),
        ("ff-c40", "c40"),
        ("FF++_raw", "raw"),
        ("c0", "raw"),
        ("c23/FaceForensics++", "c23"),
    ],
)
def test_the_compression_of_a_flat_copy_is_in_its_name(tmp_path, folder, compression):
    flat(tmp_path / folder)
    clips = find_clips(tmp_path / folder)
    assert [(c.category, c.compression, c.name, c.target_id) for c in clips] == [
        ("DeepFakeDetection", compression, "01_02__kitchen__ABCDEFGH", "01"),
        ("Deepfakes", compression, "000_003", "000"),
        ("Youtube", compression, "000", "000"),
        ("Youtube", compression, "003", "003"),
    ]
    (family,) = families(tmp_path / folder, [c for c in clips if c.category == "Deepfakes"])
    assert [c.path.name for c in family.originals] == ["000.mp4"]
    assert remarks(tmp_path / folder, clips) == []
    with pytest.raises(DataNotFoundError, match=rf"Youtube \({compression}\)"):
        other = {"c23": "c40"}.get(compression, "c23")
        find_clips(tmp_path / folder, compressions=[other])


@pytest.mark.parametrize("folder", ["FaceForensics++", "raw"])  # "raw" may just mean raw data
def test_a_flat_copy_without_a_compression_in_its_name_needs_the_option(tmp_path, folder):
    flat(tmp_path / folder)
    with pytest.raises(DataNotFoundError, match=r"flat copy.*pass --compression, or rename the"):
        find_clips(tmp_path / folder)
    clips = find_clips(tmp_path / folder, compressions=["c40"])
    assert {c.compression for c in clips} == {"c40"}
    assert [len(f.originals) for f in families(tmp_path / folder, clips[:2])] == [0, 1]


def test_only_a_folder_with_clips_is_suggested(tmp_path):
    flat(tmp_path / "a/FaceForensics++_C23")
    touched(tmp_path, "b/original/readme.txt", "b/manipulate/readme.txt")
    for given in ("a", ".", "a/FaceForensics++_C23/csv"):
        with pytest.raises(DataNotFoundError, match=r"did you mean .*/a/FaceForensics\+\+_C23\?$"):
            find_clips(tmp_path / given)
    touched(tmp_path, "b/wedding.mp4")
    with pytest.raises(DataNotFoundError, match=r"^no F.*wedding\.mp4 matches none of these"):
        find_clips(tmp_path / "b")
    with pytest.raises(DataNotFoundError, match="is not a folder"):
        find_clips(tmp_path / "b/wedding.mp4")


def test_empty_nested_trees_are_not_suggested(tmp_path):
    (tmp_path / "a/original_sequences").mkdir(parents=True)
    (tmp_path / "original_sequences").mkdir()
    for root in (tmp_path, tmp_path / "a"):
        with pytest.raises(DataNotFoundError, match=r"^no FaceForensics"):
            find_clips(root)
    touched(tmp_path, "a/b/original/000.mp4")
    with pytest.raises(
        DataNotFoundError, match=r"did you mean .*/a/b\? If so, pass --compression too\.$"
    ):
        find_clips(tmp_path)


def test_linked_folders_of_clips_are_followed(tmp_path):
    touched(tmp_path, "elsewhere/000.mp4")
    (tmp_path / "data/original_sequences/youtube/c23").mkdir(parents=True)
    (tmp_path / "data/original_sequences/youtube/c23/videos").symlink_to(tmp_path / "elsewhere")
    clips = find_clips(tmp_path / "data")
    assert [c.name for c in clips] == ["000"]
    assert remarks(tmp_path / "data", clips) == []


def test_files_that_are_not_clips_are_reported_except_masks_and_lists(tmp_path):
    touched(tmp_path, f"{RAW}/000.mp4", f"{RAW}/._000.mp4", f"{RAW}/001.mp4.part", "README.md")
    touched(tmp_path, "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4", "splits/val.json")
    touched(tmp_path, "original_sequences/youtube/raw/002.mp4", "original_sequences/x.png")
    os.mkfifo(tmp_path / RAW / "003.mp4")  # a clip, which gets a ledger row
    assert remarks(tmp_path, find_clips(tmp_path)) == [
        "skipped 1 (videos outside the folders of FaceForensics++): "
        "original_sequences/youtube/raw/002.mp4",
        f"skipped 1 (hidden): {RAW}/._000.mp4",
        f"skipped 1 (neither image nor video): {RAW}/001.mp4.part",
    ]


def test_the_official_path_of_a_clip_is_the_one_in_a_download(ffpp):
    for clip in find_clips(ffpp):
        assert clip.path == ffpp / official_path(clip.category, clip.compression, clip.name)
