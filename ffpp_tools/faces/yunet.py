"""YuNet, a small convolutional face detector that OpenCV runs, and the files of its model.

Wu, Peng and Yu: "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 20
(2023). The model is an ONNX file of OpenCV's model zoo, which this package does not contain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ffpp_tools.errors import SettingsError
from ffpp_tools.files import regular_file, sha256
from ffpp_tools.video.image import Image

SOURCE = "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet"
# SHA-256 → name of the files in the zoo. 2026may is 2023mar with an input of any size.
KNOWN = {
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4": "2023mar",
    "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0": "2026may",
}
UNKNOWN = "unknown"  # name of every other file
# At 0.7, YuNet finds all 113 faces of 115 c40 frames in which HOG finds a face. It finds more faces
# of bystanders than HOG, and no false one that is larger than the largest true face.
MIN_SCORE = 0.7
MAX_OVERLAP = 0.3  # IoU of two boxes above which the one with the lower score is dropped
MAX_CANDIDATES = 5000  # boxes before overlapping ones are dropped; the zoo's value, as the IoU


class YunetDetector:
    """YuNet: faster than HOG, and also finds turned faces."""

    name = "yunet"
    coarse_sides = (320, 640)
    near_side = 100

    def __init__(self, model_file: Path) -> None:
        """Load the model.

        Raises:
            SettingsError: the file is missing, or is no model of a YuNet detector.
        """
        path = str(regular_file(model_file))
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._model = cv2.FaceDetectorYN.create(
                path, "", (320, 320), MIN_SCORE, MAX_OVERLAP, MAX_CANDIDATES
            )
            self._detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise SettingsError(
                f"{model_file}: OpenCV {cv2.__version__} cannot run this file as YuNet "
                f"({' '.join(str(error.err or error).split())}). {how_to_get()}"
            ) from error
        finally:
            cv2.utils.logging.setLogLevel(level)

    def scan(self, image: Image, upsample: int) -> list[tuple[Any, float]]:
        """Return rectangles and scores of faces, as described in `detect.Detector`."""
        import dlib

        factor = 2**upsample
        if factor > 1:
            size = (image.shape[1] * factor, image.shape[0] * factor)
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return [
            (dlib.drectangle(x / factor, y / factor, (x + w) / factor, (y + h) / factor), score)
            for x, y, w, h, score in self._detect(image)
        ]

    def _detect(self, image: Image) -> list[tuple[float, ...]]:
        """Return x, y, width, height and score of each face, in pixels of the image."""
        self._model.setInputSize((image.shape[1], image.shape[0]))
        _, faces = self._model.detect(np.ascontiguousarray(image[..., ::-1]))
        if faces is None:
            return []
        rows = faces[np.isfinite(faces).all(axis=1)].astype(float)
        return [tuple(row) for row in rows[:, [0, 1, 2, 3, -1]].tolist()]


def identify(model_file: Path) -> tuple[str, str]:
    """Return the name of a model file, one of `KNOWN` or `UNKNOWN`, and its SHA-256.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        digest = sha256(regular_file(model_file))
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"{model_file}: cannot be read ({reason}). {how_to_get()}") from error
    return KNOWN.get(digest, UNKNOWN), digest


def how_to_get(name: str = "") -> str:
    """Return where to download a model file: the one with this name, or any."""
    names = [name] if name in KNOWN.values() else list(KNOWN.values())
    files = " or ".join(f"face_detection_yunet_{each}.onnx" for each in names)
    return f"Download {files} (MIT licence, 0.2 MB) from {SOURCE}"
