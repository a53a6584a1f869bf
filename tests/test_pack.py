import shutil

import cv2
import numpy as np
import pytest

from classify.errors import PackError
from classify.pack import pack, read_image
from ffpp_tools.crop import CropSettings
from ffpp_tools.layout import families, find_clips
from ffpp_tools.plan import FramePlan
from ffpp_tools.run import Workers, extract_dataset
from ffpp_tools.settings import ClipSettings
from ffpp_tools.split import SplitSettings, make_manifest
from ffpp_tools.tables import Manifest


@pytest.fixture
def manifest(dataset, tmp_path):
    """A manifest and dataset of this test's own, to be damaged at will."""
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    return make_manifest(copy, tmp_path / "m", SplitSettings(mode="videos"))


def test_the_array_holds_the_crops_in_the_order_of_the_manifest(manifest):
    packed = pack(manifest, "test", 64)
    samples = manifest.samples("test")
    assert packed.images.shape == (len(samples), 64, 64, 3)
    assert packed.images.dtype == np.uint8
    np.testing.assert_array_equal(packed.labels, samples["class_index"])
    for position in (0, len(samples) // 2, len(samples) - 1):
        image = cv2.imread(str(manifest.root / samples["path"][position]))[..., ::-1]
        expected = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(packed.images[position], expected)


def test_the_second_call_maps_what_the_first_one_built(manifest):
    first = pack(manifest, "val", 32)
    (path,) = (manifest.folder / "packed").iterdir()
    built = path.stat().st_mtime_ns
    second = pack(manifest, "val", 32)
    assert path.stat().st_mtime_ns == built
    assert isinstance(second.images, np.memmap)
    np.testing.assert_array_equal(first.images, second.images)


def test_another_manifest_in_the_same_folder_never_meets_the_old_array(manifest):
    before = pack(manifest, "test", 32)
    dataset = manifest.root
    make_manifest(dataset, manifest.folder, SplitSettings(mode="videos", seed=2))
    after = pack(Manifest.read(manifest.folder), "test", 32)
    assert list(after.samples["path"]) != list(before.samples["path"])
    image = cv2.imread(str(dataset / after.samples["path"][0]))[..., ::-1]
    expected = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(after.images[0], expected)


def test_crops_made_anew_under_the_same_names_never_meet_the_old_array(ffpp, tmp_path):
    made = []
    for margin in (1.3, 2.0):
        shutil.rmtree(tmp_path / "dataset", ignore_errors=True)
        settings = ClipSettings(FramePlan(every=20), CropSettings(margin=margin))
        found = families(ffpp, find_clips(ffpp))
        extract_dataset(found, tmp_path / "dataset", settings, Workers(2))
        split = SplitSettings(mode="videos")
        made.append(pack(make_manifest(tmp_path / "dataset", tmp_path / "m", split), "test", 32))
    assert list(made[0].samples["path"]) == list(made[1].samples["path"])
    assert not np.array_equal(made[0].images, made[1].images)


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_a_bad_crop_is_named_and_no_array_is_left(manifest, damage):
    path = manifest.root / manifest.samples("test")["path"][3]
    if damage == "missing":
        path.unlink()
    else:
        path.write_text("not a png")
    with pytest.raises(PackError, match=path.name):
        pack(manifest, "test", 32)
    assert list((manifest.folder / "packed").iterdir()) == []


def test_bare_boxes_are_stretched_to_squares(tmp_path):
    image = np.zeros((100, 50, 3), np.uint8)
    image[:50, :, 2] = 200  # red above
    cv2.imwrite(str(tmp_path / "a.png"), image)
    small = read_image(tmp_path / "a.png", 40)
    assert small.shape == (40, 40, 3)
    assert small[10, 20].tolist() == [200, 0, 0]
    assert small[30, 20].tolist() == [0, 0, 0]
