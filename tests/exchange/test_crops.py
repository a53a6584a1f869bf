"""Names of exported crops, and the check of their bytes."""

import re
import shutil

import pandas as pd
import pytest

from ffpp_tools.errors import TableError
from ffpp_tools.exchange.crops import MAX_NAME, Crop, crop_tables, file_names
from ffpp_tools.files import sha256
from ffpp_tools.splits.build import SplitSettings, make_manifest


@pytest.fixture
def crop(tmp_path):
    path = tmp_path / "a.PNG"
    path.write_bytes(b"pixels")
    return Crop("a", path, sha256(path), {})


def test_a_name_is_the_face_id_without_slashes_and_dots():
    assert file_names(
        pd.Series(["Deepfakes/c40/585_599/000005", "CelebA/still/a.b/0"])
    ).tolist() == [
        "Deepfakes_c40_585_599_000005",
        "CelebA_still_a_b_0",
    ]


def test_names_are_unique_even_where_case_is_ignored():
    ids = ["A/still/x/y/0", "A/still/x_y/0", "A/still/X/y/0", "A/still/z/0"]
    names = file_names(pd.Series(ids)).tolist()
    assert len({name.lower() for name in names}) == 4
    assert names[3] == "A_still_z_0"
    assert all(re.fullmatch(r"A_still_[xX]_y_0-[0-9a-f]{12}", name) for name in names[:3])


def test_long_names_are_shortened_and_stay_unique():
    names = file_names(pd.Series(["A/still/" + "ä" * 200 + end for end in "ab"]))
    assert names.str.len().tolist() == [MAX_NAME, MAX_NAME]
    assert names.is_unique
    assert names.str.isascii().all()


def test_a_crop_is_read_if_it_has_its_recorded_hash(crop):
    assert crop.read() == b"pixels"
    assert crop.suffix == ".png"
    crop.path.write_bytes(b"others")
    with pytest.raises(TableError, match=r"a\.PNG: differs from the crop"):
        crop.read()
    crop.path.unlink()
    with pytest.raises(TableError, match=r"a\.PNG: cannot be read"):
        crop.read()


def test_rows_have_the_columns_of_the_manifest_in_the_requested_order(videos_manifest):
    train, *others = crop_tables(videos_manifest)
    samples = videos_manifest.samples("train")
    assert [table.split for table in others] == ["val", "test"]
    assert len(train) == len(samples)
    assert [c.row for c in train.crops()] == samples.drop(columns="path").to_dict("records")
    crops = list(train.crops([2, 0]))
    assert [c.row["face_id"] for c in crops] == samples["face_id"].iloc[[2, 0]].tolist()
    assert [c.path for c in crops] == [
        videos_manifest.root / samples["path"].iloc[i] for i in (2, 0)
    ]


def test_missing_crops_are_refused_before_anything_is_read(dataset, tmp_path):
    copy = shutil.copytree(dataset, tmp_path / "dataset")
    manifest = make_manifest(copy, tmp_path / "m", SplitSettings("videos", ratios=(50, 25, 25)))
    (copy / manifest.samples("val")["path"].iloc[0]).unlink()
    with pytest.raises(TableError, match=r"1 crop listed in faces\.parquet but missing"):
        crop_tables(manifest)
