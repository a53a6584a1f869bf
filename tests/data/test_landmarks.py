import cv2
import numpy as np
import pytest

from classify.data import landmarks as module
from classify.data.landmarks import face_boxes, landmarks, landmarks_in, usable
from classify.data.pack import Share, pack
from ffpp_tools.demo.face import EYE_Y, MOUTH_Y, ORIGIN, UNIT, Expression, Person, Portrait
from ffpp_tools.errors import CropError, TableError
from ffpp_tools.extraction.pipeline import extract_still_dataset
from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.extraction.workers import Workers
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.tables import read_faces
from tests.helpers.faces import landmarks_of


@pytest.fixture
def manifest(dataset, tmp_path):
    return make_manifest(dataset, tmp_path / "m", SplitSettings(mode="multiclass"))


def arrays(manifest):
    return sorted((manifest.folder / "packed").glob("landmarks-*.npy"))


@pytest.mark.parametrize("seed", range(3))
def test_landmarks_are_where_the_features_are_drawn(seed):
    points = landmarks_of(Portrait(Person.drawn(seed), 320).render(Expression()))
    assert usable(points[None]).all()
    eyes, mouth = points[module.EYES].mean(axis=0), points[module.MOUTH].mean(axis=0)
    np.testing.assert_allclose(eyes, (ORIGIN[0], ORIGIN[1] + EYE_Y * UNIT), atol=0.03)
    np.testing.assert_allclose(mouth, (ORIGIN[0], ORIGIN[1] + MOUTH_Y * UNIT), atol=0.05)


def test_without_a_box_the_face_is_searched():
    image = Portrait(Person.drawn(1), 320).render(Expression())
    np.testing.assert_allclose(landmarks_in(image, None), landmarks_of(image), atol=0.02)
    grey = np.full((90, 60, 3), 128, np.uint8)
    assert np.isnan(landmarks_in(grey, None)).all()


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


def test_boxes_in_a_dataset_without_settings_are_refused_with_a_remedy(manifest, tmp_path):
    with pytest.raises(TableError, match=r"settings\.json is missing; extract the dataset again"):
        face_boxes(tmp_path, manifest.samples("val"))


@pytest.mark.parametrize(
    "settings",
    [
        StillSettings(),
        StillSettings(CropSettings(size="90x90")),
        StillSettings(CropSettings(margin=1.1, shape="box")),
        StillSettings(CropSettings(align=True)),
        StillSettings(whole=True),
    ],
    ids=["square", "resized", "box", "aligned", "whole"],
)
def test_boxes_are_placed_in_crops_of_every_kind(world, tmp_path, settings):
    stills = find_stills(world / "CelebA", "CelebA", limit=4)
    extract_still_dataset(stills, tmp_path, settings, workers=Workers(1))
    faces = read_faces(tmp_path)
    boxes = face_boxes(tmp_path, faces)
    assert len(boxes) == len(faces) > 1
    known = not (settings.crop.align or settings.whole)
    for path, box in zip(faces["path"], boxes, strict=True):
        assert known == (box is not None)
        image = cv2.imread(str(tmp_path / path))[..., ::-1]
        points = landmarks_in(image, box)
        assert usable(points[None]).all()
        if box is not None:  # the searched face, within a tenth of the crop
            searched = landmarks_in(image, None)
            assert np.abs(points - searched).mean() < 0.1


def test_implausible_landmarks_are_not_usable():
    good = landmarks_of(Portrait(Person.drawn(2), 320).render(Expression()))
    upside_down, outside, tiny, missing = (good.copy() for _ in range(4))
    upside_down[:, 1] = 1 - upside_down[:, 1]
    outside += 0.6
    tiny = 0.5 + 0.2 * (tiny - 0.5)
    missing[3] = np.nan
    stacked = np.stack([good, upside_down, outside, tiny, missing])
    assert usable(stacked).tolist() == [True, False, False, False, False]
