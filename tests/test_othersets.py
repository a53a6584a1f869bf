import json

import pytest

from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.layout import families, find_clips
from ffpp_tools.run import extract_dataset
from tests.conftest import SETTINGS


def touched(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def celeb_df(tmp_path):
    touched(
        tmp_path,
        "Celeb-real/id0_0000.mp4",
        "Celeb-real/id1_0001.mp4",
        "Celeb-synthesis/id0_id1_0000.mp4",
        "YouTube-real/00170.mp4",
    )
    (tmp_path / "List_of_testing_videos.txt").write_text("1 YouTube-real/00170.mp4\n")
    return tmp_path


def test_celeb_df_is_known_by_its_folders_names_and_list(celeb_df):
    found = {c.name: c for c in find_clips(celeb_df)}
    fake = found["id0_id1_0000"]
    assert (fake.category, fake.label, fake.compression) == ("Celeb-synthesis", "fake", "native")
    assert (fake.target_id, fake.source_id) == ("id0", "id1")
    assert fake.original == ("Celeb-real", "id0_0000")
    assert (found["id1_0001"].target_id, found["id1_0001"].source_id) == ("id1", "")
    assert {name: c.partition for name, c in found.items()} == {
        "id0_0000": "train",
        "id1_0001": "train",
        "id0_id1_0000": "train",
        "00170": "test",
    }


def test_celeb_dfs_fakes_have_their_original_beside_them_asked_for_or_not(celeb_df):
    (family,) = families(celeb_df, find_clips(celeb_df, ["Celeb-synthesis"]))
    assert [c.path.name for c in family.originals] == ["id0_0000.mp4"]


def test_categories_of_another_set_are_refused(celeb_df):
    with pytest.raises(SettingsError, match=r"Youtube.*Celeb-real"):
        find_clips(celeb_df, ["Youtube"])
    with pytest.raises(SettingsError, match=r"c23.*native"):
        find_clips(celeb_df, compressions=["c23"])


def test_a_damaged_list_of_celeb_df_is_named(celeb_df):
    (celeb_df / "List_of_testing_videos.txt").write_text("1 YouTube-real/00170.mp4\nhello\n")
    with pytest.raises(DataNotFoundError, match=r"List_of_testing_videos\.txt.*'hello'"):
        find_clips(celeb_df)


def dfdc(root, rows, part="dfdc_train_part_0"):
    touched(root, *(f"{part}/{name}" for name in rows if name != "gone.mp4"))
    (root / part / "metadata.json").write_text(json.dumps(rows))


def test_dfdc_is_known_by_its_metadata(tmp_path):
    rows = {
        "real.mp4": {"label": "REAL", "split": "train"},
        "fake.mp4": {"label": "FAKE", "split": "train", "original": "real.mp4"},
        "gone.mp4": {"label": "FAKE", "split": "train", "original": "elsewhere.mp4"},
    }
    dfdc(tmp_path, rows)
    dfdc(tmp_path, {"b.mp4": {"label": "REAL", "split": "validation"}}, "dfdc_train_part_1")
    found = {c.name: c for c in find_clips(tmp_path)}
    assert {n: (c.category, c.target_id, c.partition) for n, c in found.items()} == {
        "fake": ("DFDC-fake", "real", "train"),
        "gone": ("DFDC-fake", "elsewhere", "train"),
        "real": ("DFDC-real", "real", "train"),
        "b": ("DFDC-real", "b", "val"),
    }
    assert find_clips(tmp_path / "dfdc_train_part_1")[0].name == "b"
    by_name = {f.clips[0].name: f for f in families(tmp_path, [found["fake"], found["gone"]])}
    assert [c.name for c in by_name["fake"].originals] == ["real"]
    assert by_name["gone"].originals == ()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a.mp4": {"label": "MAYBE"}}', '{"a.mp4": {}}', '{"a.mp4": 3}']
)
def test_a_damaged_list_of_dfdc_is_named(tmp_path, text):
    touched(tmp_path, "a.mp4")
    (tmp_path / "metadata.json").write_text(text)
    with pytest.raises(DataNotFoundError, match=r"metadata\.json"):
        find_clips(tmp_path)


@pytest.mark.parametrize("name", ["../../a.mp4", "..", "", "/etc/a.mp4"])
def test_a_file_name_in_dfdcs_list_cannot_leave_its_folder(tmp_path, name):
    dfdc(tmp_path / "part", {"a.mp4": {"label": "REAL"}}, ".")
    text = json.dumps({name: {"label": "REAL"}})
    (tmp_path / "part/metadata.json").write_text(text)
    with pytest.raises(DataNotFoundError, match=r"metadata\.json.*is no file's name"):
        find_clips(tmp_path / "part")


def test_celeb_df_goes_the_same_way_as_ffpp(ffpp, tmp_path):
    """Drawn clips under Celeb-DF's names."""
    root = tmp_path / "celeb"
    fake = sorted((ffpp / "manipulated_sequences/FaceSwap/c23/videos").glob("*.mp4"))[0]
    target = ffpp / "original_sequences/youtube/c23/videos" / f"{fake.stem.split('_')[0]}.mp4"
    for source, name in (
        (fake, "Celeb-synthesis/id3_id7_0000.mp4"),
        (target, "Celeb-real/id3_0000.mp4"),
    ):
        (root / name).parent.mkdir(parents=True)
        (root / name).symlink_to(source)
    clips = find_clips(root)
    summary = extract_dataset(families(root, clips), tmp_path / "dataset", SETTINGS)
    frames = summary.frames
    assert set(frames["compression"]) == {"native"}
    assert (frames["status"] == "ok").all()
    own = summary.faces["face_id"].str.startswith("Celeb-synthesis")
    assert set(summary.faces["box_from"][own]) == {"twin"}
