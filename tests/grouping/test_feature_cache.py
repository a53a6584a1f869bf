"""Cached features of crops."""

import numpy as np
import pytest

from ffpp_tools.errors import FfppError
from ffpp_tools.grouping.feature_cache import cached_features, face_box_in_crop
from ffpp_tools.store.tables import read_faces
from ffpp_tools.video.image import read_image

ROW = {"box_x": 40, "box_y": 40, "box_w": 80, "box_h": 80, "crop_x": 8, "crop_y": 16}


def brightness(image, row):
    return [image.mean(), row["box_w"]]


def test_features_are_cached_and_recomputed_if_the_crop_changes(dataset, tmp_path):
    faces = read_faces(dataset).head(30)
    folder = tmp_path / "copy"
    for path in faces["path"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes((dataset / path).read_bytes())
    first = cached_features(folder, faces, "brightness", brightness, 2, 2)
    expected = [read_image(folder / p).mean() for p in faces["path"]]
    assert first[:, 0] == pytest.approx(expected)
    (folder / faces["path"].iloc[3]).write_bytes((folder / faces["path"].iloc[4]).read_bytes())
    assert np.array_equal(cached_features(folder, faces, "brightness", brightness, 2, 1), first)
    changed = faces.assign(sha256=faces["sha256"].where(faces.index != faces.index[3], "new"))
    second = cached_features(folder, changed, "brightness", brightness, 2, 1)
    assert second[3, 0] == pytest.approx(expected[4])
    assert np.array_equal(np.delete(second, 3, 0), np.delete(first, 3, 0))


def test_a_damaged_shard_is_recomputed(dataset, tmp_path):
    faces = read_faces(dataset).head(5)
    for path in faces["path"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((dataset / path).read_bytes())
    first = cached_features(tmp_path, faces, "brightness", brightness, 2, 1)
    for path in (tmp_path / "measured/brightness").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    assert np.array_equal(cached_features(tmp_path, faces, "brightness", brightness, 2, 1), first)


def test_the_features_of_a_missing_crop_are_nan_until_it_exists(dataset, tmp_path):
    faces = read_faces(dataset).head(3)
    assert np.isnan(cached_features(tmp_path, faces, "brightness", brightness, 2, 1)).all()
    for path in faces["path"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((dataset / path).read_bytes())
    assert not np.isnan(cached_features(tmp_path, faces, "brightness", brightness, 2, 1)).any()


def test_a_path_outside_the_dataset_is_an_error(dataset, tmp_path):
    faces = read_faces(dataset).head(3).assign(path="../../secret.png")
    with pytest.raises(FfppError, match="points outside"):
        cached_features(tmp_path, faces, "brightness", brightness, 2, 1)


@pytest.mark.parametrize(
    ("settings", "shape", "expected"),
    [
        ({}, (160, 160), (32, 24, 80, 80)),
        ({"size": "80x40"}, (40, 80), (16, 6, 40, 20)),
        ({"align": True, "margin": 1.25}, (250, 250), (25, 25, 200, 200)),
        ({"detector": "none"}, (50, 90), (0, 0, 90, 50)),
        ({"shape": "box", "margin": 2.0, "size": "320x320"}, (320, 320), (64, 48, 160, 160)),
    ],
)
def test_the_face_box_follows_from_the_crop_settings(settings, shape, expected):
    row = {**ROW, "crop_size": 160, **settings}
    assert face_box_in_crop(np.zeros((*shape, 3), np.uint8), row) == pytest.approx(expected)
