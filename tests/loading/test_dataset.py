"""Map-style datasets of a manifest: items, pairs, errors, and use by PyTorch and TensorFlow."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ffpp_tools.errors import CropError, SettingsError, TableError
from ffpp_tools.loading.crop_files import scaled
from ffpp_tools.loading.dataset import CropDataset, PairDataset
from ffpp_tools.splits.manifest import MANIFEST_COLUMNS
from ffpp_tools.video.image import read_image


@pytest.fixture(scope="module")
def manifest(videos_manifest):
    return videos_manifest


@pytest.fixture
def movable(manifest, tmp_path):
    """The manifest with a copy of its dataset, which a test may damage."""
    shutil.copytree(manifest.root, tmp_path / "dataset")
    return replace(manifest, info={**manifest.info, "root": str(tmp_path / "dataset")})


def inverted(images):
    return 255 - images


def half(image):
    """As float16, channels first: a type and a shape that the crops do not have."""
    return np.moveaxis(image, -1, -3).astype(np.float16)


def paired(*rows):
    """The pairs of rows (pair, category); the category Youtube is real."""
    samples = pd.DataFrame(rows, columns=["pair", "category"], dtype="str")
    samples["label"] = np.where(samples["category"] == "Youtube", "real", "fake")
    hashes = pd.Series([f"hash {i}" for i in range(len(rows))])
    return PairDataset.of(CropDataset(Path(), samples, hashes, None, None))


def categories(pairs):
    """The categories of each pair's rows."""
    bounds = zip(pairs.starts[:-1], pairs.starts[1:], strict=True)
    return [pairs.samples["category"].iloc[a:b].to_list() for a, b in bounds]


def test_an_item_is_the_scaled_crop_its_class_and_its_row(manifest):
    samples = manifest.samples("val")
    dataset = manifest.dataset("val", size=48)
    assert len(dataset) == len(samples)
    for index in (0, len(samples) - 1):
        image, label, row = dataset[index]
        original = read_image(manifest.root / samples["path"][index])
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, scaled(original, 48))
        assert label == samples["class_index"][index]
        assert tuple(row) == MANIFEST_COLUMNS
        assert row == samples.iloc[index].to_dict()
        assert {type(value) for value in row.values()} == {str, int}


def test_without_a_size_crops_keep_their_own(manifest):
    image, _, row = manifest.dataset("val")[0]
    np.testing.assert_array_equal(image, read_image(manifest.root / row["path"]))


def test_the_transform_gets_the_scaled_image(manifest):
    plain, changed = (manifest.dataset("val", size=32, transform=t)[2][0] for t in (None, inverted))
    np.testing.assert_array_equal(changed, 255 - plain)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_loop_ends_after_the_last_item(manifest, pairs):
    dataset = manifest.dataset("val", size=8, pairs=pairs)
    assert sum(1 for _ in dataset) == len(dataset)
    for index in (-1, len(dataset)):
        with pytest.raises(IndexError, match=f"index {index} of a dataset of {len(dataset)} items"):
            dataset[index]


@pytest.mark.parametrize("pairs", [False, True])
def test_a_dataset_can_be_pickled(manifest, pairs):
    dataset = manifest.dataset("val", size=32, transform=inverted, pairs=pairs)
    loaded = pickle.loads(pickle.dumps(dataset))
    assert len(loaded) == len(dataset)
    np.testing.assert_array_equal(loaded[1][0], dataset[1][0])


def test_a_pair_is_an_original_with_the_fakes_of_its_frame(manifest):
    dataset = manifest.dataset("train", size=32, pairs=True)
    samples = manifest.samples("train").set_index("face_id")
    fakes = samples[samples["label"] == "fake"]
    originals = set(samples["pair"][samples["label"] == "real"])
    assert len(dataset.samples) - len(dataset) == fakes["pair"].isin(originals - {""}).sum() > 0
    for images, labels, rows in (dataset[0], dataset[len(dataset) - 1]):
        assert images.shape == (len(labels), 32, 32, 3)
        assert rows["label"] == ["real"] + ["fake"] * (len(labels) - 1)
        assert rows["category"][1:] == sorted(rows["category"][1:])
        assert len(set(rows["pair"])) == 1
        assert labels.dtype == rows["frame"].dtype == np.int64
        assert all(array.flags.writeable for array in (images, labels, rows["frame"]))
        for image, label, face in zip(images, labels, rows["face_id"], strict=True):
            original = read_image(manifest.root / samples["path"][face])
            np.testing.assert_array_equal(image, scaled(original, 32))
            assert label == samples["class_index"][face]


def test_the_crops_of_a_pair_have_one_size_and_are_transformed_together(manifest):
    shapes = []
    dataset = manifest.dataset("val", transform=lambda x: shapes.append(x.shape), pairs=True)
    images, labels, rows = dataset[0]
    assert images is None  # what the transform returned
    height, width, _ = read_image(manifest.root / rows["path"][0]).shape
    assert shapes == [(len(labels), height, width, 3)]


def test_pairs_keep_the_order_of_their_originals_and_incomplete_ones_are_left_out():
    pairs = paired(
        ("b", "FaceSwap"),
        ("b", "Deepfakes"),
        ("a", "FaceSwap"),
        ("no original", "FaceSwap"),
        ("", "FaceSwap"),
        ("a", "Youtube"),
        ("no fake", "Youtube"),
        ("", "Youtube"),
        ("b", "Youtube"),
    )
    assert categories(pairs) == [["Youtube", "FaceSwap"], ["Youtube", "Deepfakes", "FaceSwap"]]
    assert pairs.samples["pair"].to_list() == ["a", "a", "b", "b", "b"]
    assert pairs.hashes.to_list() == [f"hash {i}" for i in (5, 2, 8, 1, 0)]


def test_a_split_without_pairs_has_no_dataset_of_pairs(manifest, monkeypatch):
    samples = manifest.samples("val").assign(pair="")
    monkeypatch.setattr(type(manifest), "samples", lambda self, split: samples)
    with pytest.raises(TableError, match=r"val\.csv: no fake .*column pair.*ffpp-split"):
        manifest.dataset("val", pairs=True)


@pytest.mark.parametrize(
    ("split", "size", "message"),
    [
        ("dev", 32, r"split \('dev'\) must be one of train, val, test"),
        ("val", 0, r"size \(0\) must be at least 1 pixel"),
    ],
)
def test_bad_arguments_are_named(manifest, split, size, message):
    with pytest.raises(SettingsError, match=message):
        manifest.dataset(split, size=size)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_missing_or_changed_crop_is_named_when_its_item_is_read(movable, pairs):
    dataset = movable.dataset("val", size=32, pairs=pairs)
    path, other = (dataset.root / dataset.samples["path"][i] for i in (0, len(dataset.samples) - 1))
    shutil.copyfile(other, path)
    with pytest.raises(CropError, match=f"{path.name}: differs"):
        dataset[0]
    path.unlink()
    with pytest.raises(CropError, match=f"{path.name}: cannot be read"):
        dataset[0]
    dataset[1]


@pytest.mark.parametrize("transform", [None, half])
def test_tensorflow_gets_the_same_images_and_labels_in_order(manifest, transform):
    dataset = manifest.dataset("val", size=24, transform=transform)
    elements = dataset.tf_dataset()
    assert elements.cardinality() == len(dataset)
    assert elements.element_spec[0].shape == dataset[0][0].shape
    assert elements.element_spec[1].shape == ()
    for (image, label), expected in zip(elements, dataset, strict=True):
        assert image.dtype == expected[0].dtype
        np.testing.assert_array_equal(image, expected[0])
        assert label == expected[1]


def test_tensorflow_shuffles_all_items_again_in_each_epoch(manifest):
    dataset = manifest.dataset("val", size=8)
    elements = dataset.tf_dataset(shuffle=True, seed=1)
    first, second = ([int(label) for _, label in elements] for _ in range(2))
    assert sorted(first) == sorted(second) == dataset.samples["class_index"].to_list()
    assert first != second != sorted(second)


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({}, ((None, None, 3), ())),
        ({"transform": half}, ((None, None, None), ())),
        ({"pairs": True, "size": 24}, ((None, 24, 24, 3), (None,))),
        ({"pairs": True, "size": 24, "transform": half}, ((None, 3, 24, 24), (None,))),
        ({"pairs": True}, ((None, None, None, 3), (None,))),
    ],
)
def test_tensorflow_knows_the_shapes_that_all_items_share(manifest, options, shapes):
    dataset = manifest.dataset("val", **options)
    elements = dataset.tf_dataset()
    assert tuple(tuple(spec.shape) for spec in elements.element_spec) == shapes
    image, label = next(iter(elements))
    np.testing.assert_array_equal(image, dataset[0][0])
    np.testing.assert_array_equal(label, dataset[0][1])


def test_tensorflow_reports_a_crop_that_is_missing(movable):
    import tensorflow as tf

    dataset = movable.dataset("val", size=8)
    path = dataset.root / dataset.samples["path"][1]
    path.unlink()
    elements = iter(dataset.tf_dataset())
    next(elements)
    with pytest.raises(tf.errors.OpError, match=f"CropError.*{path.name}: cannot be read"):
        next(elements)


@pytest.mark.parametrize("workers", [0, 2])
def test_pytorch_collates_images_labels_and_rows(manifest, workers):
    data = pytest.importorskip("torch.utils.data")
    dataset = manifest.dataset("val", size=24)
    images, labels, rows = next(iter(data.DataLoader(dataset, batch_size=3, num_workers=workers)))
    items = [dataset[i] for i in range(3)]
    np.testing.assert_array_equal(images, np.stack([image for image, _, _ in items]))
    assert labels.tolist() == [label for _, label, _ in items]
    assert rows["frame"].tolist() == [row["frame"] for _, _, row in items]
    assert rows["face_id"] == [row["face_id"] for _, _, row in items]


def test_pytorch_collates_pairs_of_the_same_categories(manifest):
    data = pytest.importorskip("torch.utils.data")
    dataset = manifest.dataset("train", size=24, pairs=True)
    sizes = np.diff(dataset.starts)
    chosen = np.flatnonzero(sizes == sizes.max())[:2].tolist()
    images, labels, rows = next(iter(data.DataLoader(data.Subset(dataset, chosen), batch_size=2)))
    first, second = (dataset[i] for i in chosen)
    assert images.shape == (2, sizes.max(), 24, 24, 3)
    np.testing.assert_array_equal(labels, np.stack([first[1], second[1]]))
    assert [list(ids) for ids in zip(*rows["face_id"], strict=True)] == [
        item[2]["face_id"] for item in (first, second)
    ]
    np.testing.assert_array_equal(rows["frame"], np.stack([first[2]["frame"], second[2]["frame"]]))
