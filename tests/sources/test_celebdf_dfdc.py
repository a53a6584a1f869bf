"""Clips of Celeb-DF and DFDC, and their label lists."""

import json

import pytest

from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.sources.faceforensics import families, find_clips, remarks
from tests.helpers.worlds import SETTINGS


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


def test_celeb_dfs_metadata_come_from_folders_names_and_its_list(celeb_df):
    found = {c.name: c for c in find_clips(celeb_df)}
    fake = found["id0_id1_0000"]
    assert (fake.category, fake.label, fake.compression) == ("Celeb-synthesis", "fake", "native")
    assert (fake.target_id, fake.source_id) == ("id0", "id1")
    assert fake.original_key == ("Celeb-real", "id0_0000")
    assert (found["id1_0001"].target_id, found["id1_0001"].source_id) == ("id1", "")
    assert {name: c.partition for name, c in found.items()} == {
        "id0_0000": "train",
        "id1_0001": "train",
        "id0_id1_0000": "train",
        "00170": "test",
    }


def test_a_family_includes_the_original_even_if_it_is_not_requested(celeb_df):
    (family,) = families(celeb_df, find_clips(celeb_df, ["Celeb-synthesis"]))
    assert [c.path.name for c in family.originals] == ["id0_0000.mp4"]


def test_categories_of_another_dataset_are_rejected(celeb_df):
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


def test_dfdcs_metadata_come_from_its_lists(tmp_path):
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
def test_a_file_name_in_dfdcs_list_cannot_point_outside_its_folder(tmp_path, name):
    dfdc(tmp_path / "part", {"a.mp4": {"label": "REAL"}}, ".")
    text = json.dumps({name: {"label": "REAL"}})
    (tmp_path / "part/metadata.json").write_text(text)
    with pytest.raises(DataNotFoundError, match=r"metadata\.json.*is not a file name"):
        find_clips(tmp_path / "part")


def test_celeb_df_is_extracted_like_ffpp(ffpp, tmp_path):
    """Synthetic clips under Celeb-DF's names."""
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


def test_suffixes_of_celeb_df_may_vary_and_other_files_are_reported(celeb_df):
    (celeb_df / "YouTube-real/00170.mp4").rename(celeb_df / "YouTube-real/00170.MP4")
    touched(celeb_df, "Celeb-real/id2_0000.avi", "more/id3_0000.mp4")
    touched(celeb_df, "Celeb-real/id2_0000.MOV", "Celeb-real/id4_0000.ts")
    (celeb_df / "Celeb-real/id5_0000.TS").write_bytes((b"G" + bytes(187)) * 4)
    text = "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id9_id1_0000.mp4\n"
    (celeb_df / "List_of_testing_videos.txt").write_text(text)
    clips = find_clips(celeb_df)
    assert {c.name: c.partition for c in clips if c.category == "YouTube-real"} == {"00170": "test"}
    assert {"id2_0000", "id5_0000"} <= {c.name for c in clips}
    missing, copies, outside, neither = remarks(celeb_df, clips)
    assert copies == "skipped 1 (duplicates of clips): Celeb-real/id2_0000.avi"
    assert neither == "skipped 1 (neither image nor video): Celeb-real/id4_0000.ts"
    assert missing.startswith("1 of 2 videos listed in ")
    assert missing.endswith("are missing, such as Celeb-synthesis/id9_id1_0000")
    assert outside.startswith(
        "skipped 1 (videos outside Celeb-real, Celeb-synthesis, YouTube-real): more/id3"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "metadata.json",
            '{"a.mp4": {"is_fake": 1, "augmentations": {}}, "b.mp4": {"is_fake": 0}}',
        ),
        ("metadata.json", '{"a.mp4": {"is_fake": true}, "b.mp4": {"is_fake": false}}'),
        ("metadata.json", '{"a.mp4": {"label": "fake"}, "b.mp4": {"label": "real"}}'),
        ("metadata.json", '{"a.mp4": "FAKE", "b.mp4": "REAL"}'),
        ("metadata.json", '{"a.mp4": {"label": 1}, "b.mp4": {"label": 0}}'),
        ("dataset.json", '{"a.mp4": {"label": "fake", "set": ""}, "b.mp4": {"label": "real"}}'),
        ("labels.csv", "filename,label\na.mp4,1\nb.mp4,0\n"),
    ],
)
def test_other_lists_of_dfdc_are_read(tmp_path, name, text):
    folder = tmp_path / "dfdc/test"
    touched(folder, "a.mp4", "b.mp4")
    (folder / name).write_text(text)
    for root in (folder, folder.parent):
        found = [(c.category, c.name, c.partition) for c in find_clips(root)]
        assert found == [("DFDC-fake", "a", ""), ("DFDC-real", "b", "")]


def test_a_video_of_dfdc_is_found_under_another_suffix(tmp_path):
    touched(tmp_path, "a.MP4")
    (tmp_path / "metadata.json").write_text('{"a.mp4": "FAKE", "b.mp4": "REAL"}')
    clips = find_clips(tmp_path)
    assert [c.path.name for c in clips] == ["a.MP4", "b.mp4"]
    assert remarks(tmp_path, clips)[0].startswith("1 of 2 videos listed in metadata.json are miss")


def test_the_list_of_dfdcs_preview_has_paths_and_splits(tmp_path):
    touched(tmp_path, "dfdc/method_A/1/a.mp4")
    row = {"label": "fake", "set": "test", "target_id": 1}
    (tmp_path / "dfdc/dataset.json").write_text(json.dumps({"method_A/1/a.mp4": row}))
    (clip,) = find_clips(tmp_path / "dfdc")
    assert (clip.name, clip.partition, clip.path.is_file()) == ("a", "test", True)


def test_videos_missing_or_not_listed_in_dfdc_are_reported(tmp_path):
    real = {"label": "REAL", "split": "train"}
    dfdc(tmp_path, {"a.mp4": real, "gone.mp4": real})
    touched(tmp_path, "dfdc_train_part_0/unlisted.mp4", "dfdc_train_part_1/b.mp4")
    elsewhere = tmp_path.with_name("elsewhere")  # one level deeper, through a link
    dfdc(elsewhere, {"c.mp4": real}, "dfdc_train_part_2")
    (tmp_path / "dfdc_train_part_02").symlink_to(elsewhere)
    clips = find_clips(tmp_path)
    assert [c.name for c in clips] == ["a", "c", "gone"]
    missing, unlisted, without = remarks(tmp_path, clips)
    assert missing.startswith("1 of 3 videos listed in metadata.json are missing, such as ")
    assert "dfdc_train_part_0/gone.mp4: each gets a ledger row with an error" in missing
    assert "label, not listed in metadata.json): dfdc_train_part_0/unlisted.mp4" in unlisted
    assert "label, in a part without metadata.json): dfdc_train_part_1/b.mp4" in without


def test_dfdc_without_any_list_is_an_error(tmp_path):
    touched(tmp_path, "dfdc_train_part_1/b.mp4")
    with pytest.raises(
        DataNotFoundError, match=r"b\.mp4 matches none of.*Each part of DFDC needs the metadata"
    ):
        find_clips(tmp_path)


def test_a_video_in_two_lists_of_dfdc_is_one_clip_unless_their_labels_differ(tmp_path):
    touched(tmp_path, "part_0/other.mp4", "part_1/gone.mp4")
    dfdc(tmp_path, {"gone.mp4": {"label": "REAL"}}, "part_0")
    dfdc(tmp_path, {"gone.mp4": {"label": "REAL"}}, "part_1")
    (clip,) = find_clips(tmp_path)
    assert clip.path.parent.name == "part_1"
    dfdc(tmp_path, {"gone.mp4": {"label": "FAKE"}}, "part_0")
    with pytest.raises(
        DataNotFoundError, match=r"gone is DFDC-fake in .*part_0.*delete the incorrect list"
    ):
        find_clips(tmp_path)
