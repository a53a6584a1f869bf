"""Stills made like the clips: faces as large, compressed as hard.

A photograph's face is sharper than a video's and has never seen H.264; a classifier that is to
tell CelebA from Youtube would learn that. So a still is scaled until its face is as large as one
of the clips', and passed through the encoder at the clips' own quality.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ffpp_tools.errors import SettingsError
from ffpp_tools.faces.detect import Box
from ffpp_tools.store.schema import STILL
from ffpp_tools.video.encode import h264
from ffpp_tools.video.image import Image

QUANTILES = 101  # how many of the clips' faces stand for all of them
CRF = {"c23": 23, "c40": 40}  # FF++'s compressions are named after x264's constant rate factor
REACH = 3  # a crop of any margin fits in


@dataclass(frozen=True)
class ReferenceFaces:
    """What stills are to be made like: one of the clips' faces for each, by its name."""

    faces: tuple[tuple[str, int], ...]  # (compression, side of the face's box in pixels), sorted

    def face(self, category: str, name: str) -> tuple[str, int]:
        """The face that a still is made like: the same one whatever else is extracted."""
        return self.faces[zlib.crc32(f"{category}/{name}".encode()) % len(self.faces)]


def reference_faces(dataset: Path, recorded: dict[str, Any]) -> ReferenceFaces:
    """What the dataset's real clips are like.

    Args:
        dataset: the folder that holds them.
        recorded: the settings it was made with. Stills that were harmonised before are gone on
            with alike, whatever clips have come since.

    Raises:
        SettingsError: there are none yet.
    """
    from ffpp_tools.store.tables import read_faces, read_frames

    if before := (recorded.get("stills") or {}).get("harmonise"):
        return ReferenceFaces(tuple((compression, side) for compression, side in before["faces"]))
    if not (dataset / "frames.parquet").exists():
        raise SettingsError(
            f"{dataset} holds no clips that stills could be made like; run ffpp-extract first"
        )
    frames = read_frames(dataset)
    clips = frames[(frames["compression"] != STILL) & (frames["label"] == "real")]
    faces = read_faces(dataset).merge(clips[["frame_id", "compression"]], on="frame_id")
    if faces.empty:
        raise SettingsError(
            f"{dataset} holds no faces of real clips that stills could be made like; extract "
            f"Youtube first"
        )
    sides = faces[["box_w", "box_h"]].max(axis=1)
    every = sorted(zip(faces["compression"], (int(side) for side in sides), strict=True))
    at = np.linspace(0, len(every) - 1, QUANTILES).round().astype(int)
    return ReferenceFaces(tuple(every[i] for i in at))


def other_stills(dataset: Path, categories: Collection[str]) -> bool:
    """Whether the dataset holds stills of other categories, which may have been harmonised."""
    return any(folder.parent.name not in categories for folder in dataset.glob(f"parts/*/{STILL}"))


def harmonised(image: Image, face: Box, wanted_side: int, compression: str) -> Image:
    """What is round a face, scaled so that the face has `wanted_side` pixels, and compressed.

    Args:
        image: (H, W, 3) uint8 RGB.
        face: the one found in it; what is further from it than `REACH` of its sides is left out.
        wanted_side: of a clip's face.
        compression: of that clip; "raw" and "native" are scaled only.

    Returns:
        (h, w, 3) uint8 RGB with even sides.
    """
    (x, y), reach = face.centre, REACH * face.side
    image = image[max(int(y - reach), 0) : int(y + reach), max(int(x - reach), 0) : int(x + reach)]
    scale = wanted_side / face.side
    # The encoder wants even sides.
    width, height = (max(round(n * scale / 2) * 2, 2) for n in (image.shape[1], image.shape[0]))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)
    return h264(scaled, CRF[compression]) if compression in CRF else scaled
