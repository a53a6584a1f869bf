"""dlib's landmarks in crops, and the table of them that extraction writes."""

from dataclasses import replace

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from classify.data.landmarks import EYES, MOUTH, usable
from ffpp_tools.demo.face import EYE_Y, MOUTH_Y, ORIGIN, UNIT, Expression, Person, Portrait
from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.extraction.workers import Workers
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.landmarks import as_fractions, corners_in_crop, landmarks_in
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.store.ledger import verify
from ffpp_tools.store.tables import read_faces, read_landmarks
from tests.helpers.faces import landmarks_of
from tests.helpers.files import hashes
from tests.helpers.worlds import SETTINGS


def drawn(seed):
    return Portrait(Person.drawn(seed), 320).render(Expression())


@pytest.mark.parametrize("seed", range(3))
def test_landmarks_are_where_the_features_are_drawn(seed):
    points = landmarks_of(drawn(seed))
    assert usable(points[None]).all()
    eyes, mouth = points[EYES].mean(axis=0), points[MOUTH].mean(axis=0)
    np.testing.assert_allclose(eyes, (ORIGIN[0], ORIGIN[1] + EYE_Y * UNIT), atol=0.03)
    np.testing.assert_allclose(mouth, (ORIGIN[0], ORIGIN[1] + MOUTH_Y * UNIT), atol=0.05)


def test_without_a_box_the_face_is_searched():
    image = drawn(1)
    found = as_fractions(landmarks_in(image, None), 320, 320)
    np.testing.assert_allclose(found, landmarks_of(image), atol=0.02)
    grey = np.full((90, 60, 3), 128, np.uint8)
    nowhere = landmarks_in(grey, None)
    assert (nowhere == -1).all()
    assert not usable(as_fractions(nowhere, 60, 90)[None]).any()


@pytest.mark.parametrize(
    "settings",
    [
        StillSettings(),
        StillSettings(CropSettings(size="90x80", format="jpg")),
        StillSettings(CropSettings(margin=1.1, shape="box")),
        StillSettings(CropSettings(align=True)),
        StillSettings(whole=True),
    ],
    ids=["square", "resized", "box", "aligned", "whole"],
)
def test_every_kind_of_crop_has_landmarks_in_its_own_pixels(world, tmp_path, settings):
    stills = find_stills(world / "CelebA", "CelebA", limit=4)
    settings = replace(settings, crop=replace(settings.crop, landmarks=True))
    extract_still_dataset(stills, tmp_path, settings, workers=Workers(1))
    faces, table = read_faces(tmp_path), read_landmarks(tmp_path)
    assert table["face_id"].tolist() == faces["face_id"].tolist() != []
    known = not (settings.crop.align or settings.whole)
    for face, row in zip(faces.itertuples(), table.itertuples(), strict=True):
        image = cv2.imread(str(tmp_path / face.path))[..., ::-1]
        assert (row.height, row.width) == image.shape[:2]
        corners = corners_in_crop(face, settings.crop)
        assert known == (corners is not None)
        np.testing.assert_array_equal(row.points, landmarks_in(image, corners).ravel())
        points = as_fractions(row.points, row.width, row.height)
        assert usable(points[None]).all()
        if known:  # the searched face, within a tenth of the crop
            searched = as_fractions(landmarks_in(image, None), row.width, row.height)
            assert np.abs(points - searched).mean() < 0.1


def test_the_box_in_a_crop_that_the_frame_cuts_off_is_unknown(dataset):
    face = next(read_faces(dataset).itertuples())
    box = CropSettings(shape="box")
    assert corners_in_crop(face._replace(clamped=True), box) is None
    left, top, right, bottom = corners_in_crop(face._replace(clamped=False), box)
    assert right - left == pytest.approx(1 / box.margin)
    assert bottom - top == pytest.approx(1 / box.margin)
    square = corners_in_crop(face, CropSettings())
    assert square[0] == (face.box_x - face.crop_x) / face.crop_size


def test_a_dataset_has_landmarks_of_every_crop_or_of_none(few, world, tmp_path):
    settings = replace(SETTINGS, crop=CropSettings(landmarks=True))
    stills = find_stills(world / "CelebA", "CelebA", limit=3)
    one, two, plain = (tmp_path / name for name in ("one", "two", "plain"))
    extract_dataset(few, one, settings, Workers(2))
    extract_still_dataset(stills, one, StillSettings(settings.crop))
    extract_still_dataset(stills[:1], two, StillSettings(settings.crop))  # in other steps
    extract_dataset(few[:1], two, settings)
    extract_dataset(few, two, settings)
    extract_still_dataset(stills, two, StillSettings(settings.crop))
    assert len(read_landmarks(one)) == len(read_faces(one))
    assert hashes(one) == hashes(two)
    assert list(verify(one)) == []
    schema = pq.read_schema(one / "landmarks.parquet")
    assert str(schema.field("points").type).startswith("fixed_size_list<")
    with pytest.raises(SettingsError, match="landmarks True; requested: landmarks False"):
        extract_dataset(few, one, SETTINGS)
    extract_dataset(few, plain, SETTINGS)
    extract_still_dataset(stills, plain)
    assert not (plain / "landmarks.parquet").exists()
    assert (plain / "faces.parquet").read_bytes() == (one / "faces.parquet").read_bytes()


def test_lost_and_changed_landmarks_are_noticed_and_rebuilt(few, tmp_path):
    settings = replace(SETTINGS, crop=CropSettings(landmarks=True))
    extract_dataset(few[:1], tmp_path, settings)
    path = tmp_path / "landmarks.parquet"
    before = path.read_bytes()
    path.unlink()
    (problem,) = verify(tmp_path)
    assert problem.startswith("landmarks.parquet does not match parts/")
    extract_dataset(few[:1], tmp_path, settings)
    assert path.read_bytes() == before
    extract_dataset(few[:1], tmp_path, SETTINGS, overwrite=True)
    assert not path.exists()
