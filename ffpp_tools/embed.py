"""A face's embedding: 128 numbers by dlib's network, near each other for one person.

The same network as `face_recognition.face_encodings`, at 75 ms CPU a face; the landmarks that it
turns the face by are looked for in the box that the crop was cut round.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.detect import landmarks, model_path
from ffpp_tools.kept import face_in
from ffpp_tools.picture import Image

WIDTH = 128


def embedding(image: Image, row: pd.Series) -> npt.NDArray[np.float32]:
    """The embedding of the face in a crop, (128,) float32.

    Args:
        image: the crop, (H, W, 3) uint8 RGB.
        row: its columns of `FaceRow`.
    """
    import dlib

    x, y, width, height = face_in(image, row)
    box = dlib.rectangle(int(x), int(y), int(x + width), int(y + height))
    return np.array(_network().compute_face_descriptor(image, landmarks()(image, box)), np.float32)


@cache
def _network() -> Any:
    import dlib

    return dlib.face_recognition_model_v1(str(model_path("dlib_face_recognition_resnet_model_v1")))
