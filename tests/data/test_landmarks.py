"""Landmarks of a split: kept, measured, cached."""

import shutil

import numpy as np
import pytest

from classify.data import landmarks as module
from classify.data.landmarks import landmarks, usable
from classify.data.pack import Share, pack
from ffpp_tools.demo.face import Expression, Person, Portrait
from ffpp_tools.errors import CropError, TableError
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.landmarks import landmark_row
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store import tables
from ffpp_tools.store.schema import SPLITS, FaceRow, LandmarkRow
from ffpp_tools.store.tables import read_faces
from tests.helpers.faces import landmarks_of


@pytest.fixture
def manifest(dataset, tmp_path):
    return make_manifest(dataset, tmp_path / "m", SplitSettings(mode="multiclass"))


def arrays(manifest):
    return sorted((manifest.folder / "packed").glob("landmarks-*.npy"))


def test_real_crops_have_landmarks_and_fakes_have_none(manifest):
    samples = manifest.samples("train")
    points = landmarks(manifest, "train")
    assert points.shape == (len(samples), 68, 2)
    assert points.dtype == np.float32
    real = (samples["label"] == "real").to_numpy()
    assert np.isnan(points[~real]).all()
    found = usable(points)
    assert found[real].mean() > 0.8
    assert not found[~real].any()
    centres = points[found].mean(axis=1)
    np.testing.assert_allclose(centres.mean(axis=0), (0.5, 0.5), atol=0.1)


def test_the_array_is_measured_once(manifest, monkeypatch):
    shown = []

    def progress(text):
        shown.append(text)
        return lambda items, total: items

    first = landmarks(manifest, "val", progress)
    real = (manifest.samples("val")["label"] == "real").sum()
    assert shown == [f"finding landmarks in {real} real crops"]
    monkeypatch.setattr(module, "landmarks_in", None)
    np.testing.assert_array_equal(landmarks(manifest, "val", progress), first)
    assert len(shown) == 1


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY"])
def test_a_damaged_array_is_measured_again(manifest, damage):
    first = np.array(landmarks(manifest, "val"))
    (path,) = arrays(manifest)
    path.write_bytes(damage)
    np.testing.assert_array_equal(landmarks(manifest, "val"), first)


def test_landmarks_are_in_the_order_of_the_packed_crops(manifest):
    share = Share(0.5, seed=3)
    few = pack(manifest, "train", 32, share=share).samples["face_id"]
    whole = pack(manifest, "train", 32).samples["face_id"]
    rows = whole.reset_index().set_index("face_id")["index"].loc[few]
    expected = landmarks(manifest, "train")[rows]
    np.testing.assert_array_equal(landmarks(manifest, "train", share=share), expected)
    assert len(arrays(manifest)) == 2


def test_landmarks_of_an_earlier_manifest_are_deleted(manifest):
    landmarks(manifest, "test")
    (before,) = arrays(manifest)
    again = make_manifest(manifest.root, manifest.folder, SplitSettings(mode="multiclass", seed=2))
    landmarks(again, "test")
    (after,) = arrays(again)
    assert after != before


@pytest.mark.parametrize(("threshold", "value"), [("MAX_OUTSIDE", 0.0), ("MIN_SPAN", 0.95)])
def test_other_thresholds_measure_the_landmarks_again(manifest, monkeypatch, threshold, value):
    assert usable(landmarks(manifest, "val")).any()
    (before,) = arrays(manifest)
    monkeypatch.setattr(module, threshold, value)
    again = landmarks(manifest, "val")
    (after,) = arrays(manifest)
    assert after != before
    np.testing.assert_array_equal(np.isfinite(again).all(axis=(1, 2)), usable(again))


def test_nothing_is_written_into_a_read_only_manifest(manifest, monkeypatch):
    expected = landmarks(manifest, "val")
    arrays(manifest)[0].unlink()
    monkeypatch.setattr("classify.data.cached_arrays.os.access", lambda path, mode: False)
    np.testing.assert_array_equal(landmarks(manifest, "val"), expected)
    assert arrays(manifest) == []


def test_a_missing_crop_is_named(manifest, monkeypatch):
    monkeypatch.setattr(module, "path_within", lambda root, name: root / "absent" / name)
    with pytest.raises(CropError, match="cannot be read"):
        landmarks(manifest, "val")
    assert arrays(manifest) == []


def test_a_dataset_without_settings_is_refused_with_a_remedy(manifest, dataset, tmp_path):
    moved = shutil.copytree(dataset, tmp_path / "moved")
    found = make_manifest(moved, tmp_path / "n", SplitSettings(mode="multiclass"))
    (moved / "settings.json").unlink()
    with pytest.raises(TableError, match=r"settings\.json is missing; extract the dataset again"):
        landmarks(found, "val")


def test_landmarks_of_the_dataset_are_taken_and_are_those_that_would_be_measured(
    manifest, dataset, tmp_path, monkeypatch
):
    measured = {split: np.array(landmarks(manifest, split)) for split in SPLITS}
    kept = shutil.copytree(dataset, tmp_path / "kept")
    faces = [FaceRow(**row) for row in read_faces(kept).to_dict("records")]
    rows = [landmark_row(face, kept, CropSettings()) for face in faces]
    tables._write_landmarks(kept / "landmarks.parquet", tables.table_of(LandmarkRow, rows))
    again = make_manifest(kept, tmp_path / "n", SplitSettings(mode="multiclass"))
    monkeypatch.setattr(module, "read_crop", None)  # no crop is opened
    for split in SPLITS:
        np.testing.assert_array_equal(landmarks(again, split, progress=None), measured[split])


def test_landmarks_that_the_dataset_lacks_are_measured(manifest, dataset, tmp_path):
    kept = shutil.copytree(dataset, tmp_path / "kept")
    first = FaceRow(**read_faces(kept).iloc[0].to_dict())
    rows = [landmark_row(first, kept, CropSettings())]
    tables._write_landmarks(kept / "landmarks.parquet", tables.table_of(LandmarkRow, rows))
    again = make_manifest(kept, tmp_path / "n", SplitSettings(mode="multiclass"))
    np.testing.assert_array_equal(landmarks(again, "val"), landmarks(manifest, "val"))


def test_implausible_landmarks_are_not_usable():
    good = landmarks_of(Portrait(Person.drawn(2), 320).render(Expression()))
    upside_down, outside, tiny, missing = (good.copy() for _ in range(4))
    upside_down[:, 1] = 1 - upside_down[:, 1]
    outside += 0.6
    tiny = 0.5 + 0.2 * (tiny - 0.5)
    missing[3] = np.nan
    stacked = np.stack([good, upside_down, outside, tiny, missing])
    assert usable(stacked).tolist() == [True, False, False, False, False]
