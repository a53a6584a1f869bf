"""JSON files in DeepfakeBench's format: clips, labels, splits, and what is refused."""

import pytest

from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.sources.deepfakebench import parse_label_map, read_crop_set
from tests.helpers.crop_sets import write_frames, write_json


def one_video(frames, name="000_003", label="FF-DF", split="train", compression="c23"):
    return {"FF": {label: {split: {compression: {name: {"label": label, "frames": frames}}}}}}


def by_split(label, **splits):
    """A set without compressions: split → names of its videos, each with one frame."""
    return {
        label: {
            split: {n: {"label": label, "frames": [f"./datasets/rgb/{n}/0.png"]} for n in names}
            for split, names in splits.items()
        }
    }


@pytest.fixture
def root(tmp_path):
    """A folder in which `datasets/rgb` has a frame, so that it is found."""
    write_frames(tmp_path, "a", [0, 5])
    (tmp_path / "datasets/rgb/a/0.png").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("label", "name", "expected"),
    [
        ("FF-real", "003", ("Youtube", "real", "003", "")),
        ("FF-DF", "000_003", ("Deepfakes", "fake", "000", "003")),
        ("FF-F2F", "000_003", ("Face2Face", "fake", "000", "003")),
        ("FF-FS", "000_003", ("FaceSwap", "fake", "000", "003")),
        ("FF-NT", "000_003", ("NeuralTextures", "fake", "000", "003")),
        ("FF-FH", "000_003", ("FaceShifter", "fake", "000", "003")),
        ("DFD_real", "01__exit", ("Actors", "real", "01", "")),
        ("DFD_fake", "01_02__exit__X", ("DeepFakeDetection", "fake", "01", "02")),
        ("CelebDFv2_real", "id0_0001", ("Celeb-real", "real", "id0", "")),
        ("CelebDFv2_real", "00170", ("YouTube-real", "real", "00170", "")),
        ("CelebDFv2_fake", "id0_id1_0001", ("Celeb-synthesis", "fake", "id0", "id1")),
        ("DFDC_Fake", "abc", ("DFDC-fake", "fake", "abc", "")),
        ("mine", "000_003", ("My-set", "fake", "000", "003")),
        ("mine", "clip_1", ("My-set", "fake", "", "")),
    ],
)
def test_labels_and_names_give_category_and_people(root, label, name, expected):
    path = write_json(root / "x.json", one_video(["./datasets/rgb/a/0.png"], name, label))
    (clip,) = read_crop_set(path, mappings=["mine=My-set:fake"]).clips
    assert (clip.category, clip.label, clip.target_id, clip.source_id) == expected
    assert (clip.name, clip.compression, clip.partition) == (name, "c23", "train")


@pytest.mark.parametrize(
    "frames",
    [
        ["./datasets/rgb/a/005.png", "./datasets/rgb/a/000.png"],
        [".\\datasets\\rgb\\a\\005.png", ".\\datasets\\rgb\\a\\000.png"],
        ["a\\005.png", "a/000.png"],
    ],
)
@pytest.mark.parametrize("given", ["", "datasets/rgb", None])
def test_frames_are_found_below_the_root_and_sorted_by_number(root, tmp_path, frames, given):
    path = write_json(tmp_path / "preprocessing/dataset_json/x.json", one_video(frames))
    (clip,) = read_crop_set(path, None if given is None else root / given).clips
    assert clip.frames == ((0, "a/000.png"), (5, "a/005.png"))
    assert clip.root == tmp_path / "datasets/rgb"


def test_absolute_paths_are_read_inside_the_root_only(root):
    path = write_json(root / "x.json", one_video([f"{root}/datasets/rgb/a/000.png"]))
    assert read_crop_set(path, root).clips[0].frames == ((0, "a/000.png"),)
    for given in (None, root / "datasets/rgb/a"):
        other = write_json(root / "y.json", one_video(["/elsewhere/0.png"]))
        with pytest.raises(DataNotFoundError, match=r"/elsewhere/0\.png' is an absolute path.*"):
            read_crop_set(other, given)


@pytest.mark.parametrize(
    ("splits", "expected", "remark"),
    [
        ({"train": "ab", "val": "c", "test": "d"}, "train train val test", ""),
        ({"train": "abcd", "val": "cd", "test": "cd"}, "train train test test", "2 clips in sev"),
        ({"train": "abc", "val": "abc", "test": "d"}, "train train train test", "3 clips in sev"),
        ({"train": "abcd", "val": "abcd", "test": "abcd"}, "- - - -", "no split is recorded"),
        ({"train": "", "val": "", "test": "abcd"}, "test test test test", ""),
    ],
)
def test_a_video_in_several_splits_is_recorded_in_one_or_none(root, splits, expected, remark):
    path = write_json(root / "x.json", {"U": by_split("U", **splits)})
    found = read_crop_set(path, mappings=["U=U-fake:fake"])
    assert [clip.partition or "-" for clip in found.clips] == expected.split()
    assert {clip.compression for clip in found.clips} == {"native"}
    assert remark in " ".join(found.remarks)
    assert "the people in 4 clips are unknown" in found.remarks[-1]


def test_a_split_that_is_a_single_nameless_video_is_skipped(root):
    content = {"DFDC": by_split("DFDC_Real", test="a")}
    content["DFDC"]["DFDC_Real"]["val"] = {"label": "DFDC_Real", "frames": []}
    found = read_crop_set(write_json(root / "x.json", content))
    assert [clip.name for clip in found.clips] == ["a"]
    assert "skipped DFDC/DFDC_Real/val" in found.remarks[0]


def test_unknown_labels_are_listed_with_the_remedy(root):
    content = {"X": by_split("FF-new", train="ab") | by_split("FF-newer", test="c")}
    path = write_json(root / "x.json", content)
    with pytest.raises(
        SettingsError, match=r"FF-new \(2 videos\), FF-newer \(1 video\).*--map FF-new=MYSET"
    ):
        read_crop_set(path)


A = "./datasets/rgb/a/0.png"
TWO = {"label": "FF-DF", "frames": [A]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected an object, got '[]'"),
        ({}, "lists no videos"),
        ({"FF": 3}, "FF: expected an object, got '3'"),
        ({"FF": {"FF-DF": {"valid": {}}}}, "FF/FF-DF/valid: the split must be train, val, test"),
        ({"FF": {"FF-DF": {"train": {"x": {}}}}}, "FF/FF-DF/train/x: expected a video"),
        ({"FF": {"FF-DF": {"train": {"c23": {"x": 1}}}}}, "train/c23/x: expected"),
        (one_video("0.png"), '"frames" must be a list of paths'),
        (one_video([3]), '"frames" must be a list of paths'),
        (one_video(["./a/x.png"]), "'./a/x.png': expected a frame's number"),
        (one_video(["./a/0.npy"]), "'./a/0.npy': expected a frame's number"),
        (one_video(["./a/0.png", "./b/00.png"]), "'./b/00.png': frame 0 is listed twice"),
        (one_video(["./../a/0.png"]), "contains '..'"),
        (one_video(["..\\a\\0.png"]), "contains '..'"),
        (one_video(["C:\\a\\0.png"]), "is an absolute path; pass --root"),
        (one_video([A], name=".."), "'..' cannot be the name of a clip"),
        (one_video(["./datasets/rgb/gone/0.png"]), "none of its frames exists, such as datasets"),
        (
            {"FF": {"FF-DF": {"train": {"c23": {"x": TWO, "y": TWO}}}}},
            "a/0.png is also a frame of Deepfakes/c23/x",
        ),
        (
            {
                "A": {"FF-DF": {"train": {"x": TWO}}},
                "B": {"FF-DF": {"test": {"x": {"frames": []}}}},
            },
            "Deepfakes/native/x is listed twice with different frames",
        ),
    ],
)
def test_damaged_files_are_errors_that_name_the_place(root, content, message):
    path = write_json(root / "x.json", content)
    with pytest.raises(DataNotFoundError) as refusal:
        read_crop_set(path)
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("text", ["{", "", '{"a": {}, "a": {}}', "[" * 100_000])
def test_a_file_that_is_no_json_or_repeats_a_key_is_an_error(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataNotFoundError, match=r"x\.json: not a readable JSON file"):
        read_crop_set(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["x"], "must be LABEL=CATEGORY:real"),
        (["x=y"], "must be LABEL=CATEGORY:real"),
        (["x=a/b:fake"], "must be LABEL=CATEGORY:real"),
        (["x=Deepfakes:real"], "Deepfakes is fake, not real"),
        (["x=A:fake", "x=B:fake"], "label x twice"),
        (["x=A:fake", "y=A:real"], "A both real and fake"),
    ],
)
def test_a_mapping_that_is_not_valid_is_an_error(texts, message):
    with pytest.raises(SettingsError, match=message):
        parse_label_map(texts)


def test_a_known_category_needs_no_label_in_a_mapping():
    assert parse_label_map(["x=Deepfakes", "y=Z:real"]) == {
        "x": ("Deepfakes", "fake"),
        "y": ("Z", "real"),
    }


def test_the_limit_applies_to_each_category_and_compression(root):
    path = write_json(root / "x.json", {"X": by_split("FF-DF", train="abc")})
    assert [clip.name for clip in read_crop_set(path, limit=2).clips] == ["a", "b"]
