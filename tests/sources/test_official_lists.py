"""The official lists that are copied to a dataset folder."""

import json

import pytest

from ffpp_tools.errors import TableError
from ffpp_tools.sources import official_lists
from ffpp_tools.store.schema import SPLITS


def test_lists_are_copied_to_the_dataset_folder(tmp_path):
    for name, place in (("train.json", "splits"), (official_lists.CONVERSION, "dataset")):
        (tmp_path / "data" / place).mkdir(parents=True)
        text = '{"000": "a-b 0"}' if name == official_lists.CONVERSION else '[["000", "003"]]'
        (tmp_path / "data" / place / name).write_text(text)
    for _ in range(2):
        official_lists.copy_lists(tmp_path / "data", tmp_path / "dataset", official_lists.OF_FFPP)
    assert official_lists.youtube_videos(tmp_path / "dataset") == {"000": "a-b"}
    assert official_lists.official_splits(tmp_path / "dataset") is None  # val and test are missing
    assert set(official_lists.hashes(tmp_path / "dataset")) == {
        "lists/train.json",
        "lists/conversion_dict.json",
    }
    (tmp_path / "data/splits/train.json").write_text('[["001", "002"]]')
    with pytest.raises(TableError, match="differs from"):
        official_lists.copy_lists(tmp_path / "data", tmp_path / "dataset", official_lists.OF_FFPP)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.json", "{"),
        ("train.json", '[["000"]]'),
        ("train.json", "[[0, 1]]"),
        ("train.json", "3"),
        (official_lists.CONVERSION, "[]"),
        (official_lists.CONVERSION, '{"000": 3}'),
    ],
)
def test_damaged_lists_are_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(TableError, match=name):
        official_lists.copy_lists(tmp_path, tmp_path / "dataset", official_lists.OF_FFPP)
    assert not (tmp_path / "dataset").exists()


def test_a_clip_in_two_splits_is_an_error(tmp_path):
    (tmp_path / official_lists.FOLDER).mkdir()
    for split in SPLITS:
        (tmp_path / official_lists.FOLDER / f"{split}.json").write_text('[["000", "001"]]')
    with pytest.raises(TableError, match="000 is also in train"):
        official_lists.official_splits(tmp_path)


@pytest.mark.parametrize("name", ["000", "00", "0"])
def test_numbers_may_omit_leading_zeros(tmp_path, name):
    folder = tmp_path / official_lists.FOLDER
    folder.mkdir()
    (folder / official_lists.CONVERSION).write_text(
        json.dumps({name: "abc 0", "12": "abc 1", "7": " 0"})
    )
    assert official_lists.youtube_videos(tmp_path) == {"000": "abc", "012": "abc"}
    for split, pair in (("train", [name, "1"]), ("val", ["2", "3"]), ("test", ["4", "5"])):
        (folder / f"{split}.json").write_text(json.dumps([pair]))
    splits = official_lists.official_splits(tmp_path)
    assert splits is not None
    assert sorted(splits) == ["000", "001", "002", "003", "004", "005"]
    assert splits["000"] == "train"
    (folder / official_lists.IDENTITIES).write_text("1.jpg 7\n000002.jpg 8\n")
    assert official_lists.celeba_identities(tmp_path) == {"000001": "7", "000002": "8"}
