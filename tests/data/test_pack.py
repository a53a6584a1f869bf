import shutil
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest

from classify.data.pack import Share, pack
from classify.data.sampling import IN_ORDER
from classify.errors import PackError
from ffpp_tools.errors import CropError, FfppError, TableError
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.extraction.workers import Workers
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.video.sampling import FramePlan
from tests.helpers.runs import make_batches


@pytest.fixture
def manifest(dataset, tmp_path):
    """A copy of a manifest and its dataset, which a test may damage."""
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


def test_the_images_are_those_of_the_map_style_dataset(manifest):
    dataset = manifest.dataset("val", size=64)
    packed = pack(manifest, "val", 64)
    np.testing.assert_array_equal(packed.images, np.stack([image for image, _, _ in dataset]))


def test_the_second_call_maps_what_the_first_one_built(manifest):
    first = pack(manifest, "val", 32)
    (path,) = arrays(manifest)
    built = path.stat().st_mtime_ns
    second = pack(manifest, "val", 32)
    assert path.stat().st_mtime_ns == built
    assert isinstance(second.images, np.memmap)
    np.testing.assert_array_equal(first.images, second.images)


def test_large_inputs_are_mapped_and_only_the_rows_of_a_batch_are_read(manifest):
    texts = []

    def progress(text):
        texts.append(text)
        return lambda values, total: values

    packed = pack(manifest, "val", 380, progress)
    assert isinstance(packed.images, np.memmap)
    needed = len(packed.samples) * 380 * 380 * 3
    assert texts == [
        f"packing {len(packed.samples)} images ({needed / 1e6:.0f} MB in {manifest.folder}/packed)"
    ]
    (path,) = arrays(manifest)
    assert needed < path.stat().st_size < needed + 1000
    images, _ = make_batches(packed, 2, sampling=IN_ORDER)[1]
    assert images.shape == (2, 380, 380, 3)
    np.testing.assert_array_equal(images, packed.images[2:4])


def test_nothing_is_written_into_a_read_only_manifest(manifest, monkeypatch):
    expected = pack(manifest, "val", 32)
    shutil.rmtree(manifest.folder / "packed")
    monkeypatch.setattr("classify.data.cached_arrays.os.access", lambda path, mode: False)
    packed = pack(manifest, "val", 32)
    assert not (manifest.folder / "packed").exists()
    np.testing.assert_array_equal(packed.images, expected.images)


def test_another_manifest_in_the_same_folder_does_not_reuse_the_old_array(manifest):
    before = pack(manifest, "test", 32)
    dataset = manifest.root
    make_manifest(dataset, manifest.folder, SplitSettings(mode="videos", seed=2))
    after = pack(Manifest.read(manifest.folder), "test", 32)
    assert list(after.samples["path"]) != list(before.samples["path"])
    image = cv2.imread(str(dataset / after.samples["path"][0]))[..., ::-1]
    expected = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(after.images[0], expected)


def test_new_crops_with_the_same_names_do_not_reuse_the_old_array(ffpp, tmp_path):
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


def arrays(manifest):
    """The files in the folder of arrays, without locks."""
    return [p for p in (manifest.folder / "packed").iterdir() if p.suffix != ".lock"]


@pytest.mark.parametrize("damage", ["missing", "garbage", "another"])
def test_a_bad_crop_is_named_and_no_array_is_left(manifest, damage):
    path, other = (manifest.root / manifest.samples("test")["path"][i] for i in (3, 4))
    if damage == "missing":
        path.unlink()
    elif damage == "garbage":
        path.write_text("not a png")
    else:
        shutil.copyfile(other, path)
    with pytest.raises(CropError, match=path.name):
        pack(manifest, "test", 32)
    assert arrays(manifest) == []


def test_a_damaged_array_is_rebuilt(manifest):
    kept = np.array(pack(manifest, "test", 32).images)
    (path,) = arrays(manifest)
    for damage in (b"", path.read_bytes()[:1000], np.zeros(5).tobytes()):
        path.write_bytes(damage)
        np.testing.assert_array_equal(pack(manifest, "test", 32).images, kept)
    images = np.load(path, mmap_mode="r+")
    images[0] = 7  # as after the loss of a disk block
    images.flush()
    np.testing.assert_array_equal(pack(manifest, "test", 32).images, kept)


def test_a_crop_that_changed_after_packing_is_named(manifest):
    pack(manifest, "test", 32)
    path, other = (manifest.root / manifest.samples("test")["path"][i] for i in (0, 1))
    shutil.copyfile(other, path)
    with pytest.raises(CropError, match=path.name):
        pack(manifest, "test", 32)


def test_a_dataset_that_grew_keeps_its_arrays(manifest):
    pack(manifest, "test", 32)
    (path,) = arrays(manifest)
    built = path.stat().st_mtime_ns
    faces = pd.read_parquet(manifest.root / "faces.parquet")
    more = faces.iloc[:1].assign(face_id="Zoo/still/1/000000", path="faces/zoo.png")
    pd.concat([faces, more]).to_parquet(manifest.root / "faces.parquet")
    pack(manifest, "test", 32)
    assert path.stat().st_mtime_ns == built


def test_a_dataset_whose_crops_have_changed_is_refused(manifest):
    faces = pd.read_parquet(manifest.root / "faces.parquet")
    faces.loc[faces["path"] == manifest.samples("test")["path"][0], "sha256"] = "0" * 64
    faces.to_parquet(manifest.root / "faces.parquet")
    with pytest.raises(TableError, match="crops have changed"):
        pack(manifest, "test", 32)


def test_two_splits_are_packed_into_one_array(manifest):
    both = pack(manifest, "train+val", 32)
    separate = [pack(manifest, split, 32) for split in ("train", "val")]
    np.testing.assert_array_equal(both.images, np.concatenate([p.images for p in separate]))
    np.testing.assert_array_equal(both.labels, np.concatenate([p.labels for p in separate]))
    assert list(both.samples["face_id"]) == [i for p in separate for i in p.samples["face_id"]]


def test_two_processes_at_once_build_one_array(manifest):
    code = (
        "import sys; from pathlib import Path; from classify.data.pack import pack;"
        "from ffpp_tools.splits.manifest import Manifest;"
        "print(pack(Manifest.read(Path(sys.argv[1])), 'train', 96).images.sum())"
    )
    command = [sys.executable, "-c", code, str(manifest.folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    sums = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sums == {f"{pack(manifest, 'train', 96).images.sum()}\n"}
    assert len(arrays(manifest)) == 1


def test_the_size_is_announced_before_anything_is_written(manifest):
    announced = []

    def progress(text):
        announced.append((text, arrays(manifest)))
        return lambda items, total: items

    count = len(manifest.samples("test"))
    pack(manifest, "test", 64, progress)
    ((text, present),) = announced
    assert text.startswith(f"packing {count} images ({count * 64 * 64 * 3 / 1e6:.0f} MB")
    assert [path.suffix for path in present] == [".tmp"]


def test_a_full_disk_is_reported_before_anything_is_written(manifest, monkeypatch):
    usage = shutil.disk_usage(manifest.folder)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(PackError, match=r"GB are needed for \d+ images at 64 pixels"):
        pack(manifest, "test", 64)
    assert arrays(manifest) == []


def test_an_existing_array_is_used_without_writing_anything(manifest, monkeypatch):
    kept = np.array(pack(manifest, "test", 32).images)
    (path,) = arrays(manifest)
    for lock in path.parent.glob("*.lock"):
        lock.unlink()
    before = sorted(p.name for p in path.parent.iterdir())
    np.testing.assert_array_equal(pack(manifest, "test", 32).images, kept)
    assert sorted(p.name for p in path.parent.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_named(manifest):
    (manifest.folder / "packed").write_text("a file in the way")
    with pytest.raises(FfppError, match=r"test-48-\w+\.lock: cannot be written"):
        pack(manifest, "test", 48)


def test_arrays_of_an_earlier_manifest_are_deleted(manifest):
    pack(manifest, "test", 32)
    pack(manifest, "test", 48)
    make_manifest(manifest.root, manifest.folder, SplitSettings(mode="videos", seed=2))
    pack(Manifest.read(manifest.folder), "test", 32)
    assert sorted(p.name.rsplit("-", 1)[0] for p in arrays(manifest)) == ["test-32", "test-48"]


def test_a_fraction_keeps_pairs_together():
    pairs = [f"000/{i:06}/c40" for i in range(40)]
    samples = pd.DataFrame({"class_index": [0] * 40 + [1] * 40, "pair": pairs * 2})
    rows = Share(0.25, 1).of(samples)
    chosen = samples.iloc[rows]
    assert list(rows) == sorted(rows)
    assert chosen.groupby("pair").size().tolist() == [2] * 10
    other = Share(0.25, 2).of(samples)
    assert set(rows) != set(other)
    alone = samples.assign(pair="")
    assert np.bincount(alone.iloc[Share(0.25, 1).of(alone)]["class_index"]).tolist() == [10, 10]
