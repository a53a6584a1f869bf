"""Match stills to clips in face size and compression.

Faces in photographs are sharper than in videos and show no H.264 artefacts. A classifier trained
on CelebA and Youtube would learn this difference. Therefore each still is scaled so that its face
has the size of a face in the clips, and is encoded with H.264 at the quality of the clips.
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

QUANTILES = 101  # number of quantiles that represent the distribution of the clips' faces
CRF = {"c23": 23, "c40": 40}  # FF++'s compressions are named after x264's constant rate factor
REACH = 3  # region around a face, in box sides; large enough for a crop of any margin


@dataclass(frozen=True)
class ReferenceFaces:
    """Faces of clips to which stills are matched, one for each still by its name."""

    faces: tuple[tuple[str, int], ...]  # (compression, box side in pixels), sorted

    def face(self, category: str, name: str) -> tuple[str, int]:
        """Return the reference face of a still. It depends on the still's name only."""
        return self.faces[zlib.crc32(f"{category}/{name}".encode()) % len(self.faces)]


def reference_faces(dataset: Path, recorded: dict[str, Any]) -> ReferenceFaces:
    """Return the reference faces of a dataset's real clips.

    Args:
        dataset: the dataset folder.
        recorded: its recorded settings. If they have reference faces, from stills that were
            harmonised before, these are used again even if clips have been added since.

    Raises:
        SettingsError: the dataset has no faces of real clips yet.
    """
    from ffpp_tools.store.tables import read_faces, read_frames

    if previous := (recorded.get("stills") or {}).get("harmonise"):
        return ReferenceFaces(tuple((compression, side) for compression, side in previous["faces"]))
    if not (dataset / "frames.parquet").exists():
        raise SettingsError(
            f"{dataset} contains no clips to match stills to; run ffpp-extract first"
        )
    frames = read_frames(dataset)
    clips = frames[(frames["compression"] != STILL) & (frames["label"] == "real")]
    faces = read_faces(dataset).merge(clips[["frame_id", "compression"]], on="frame_id")
    faces = faces[faces["box_from"] != "whole"]  # crops of others, whose faces have no known size
    if faces.empty:
        raise SettingsError(
            f"{dataset} contains no faces of real clips to match stills to; extract Youtube first"
        )
    sides = faces[["box_w", "box_h"]].max(axis=1)
    references = sorted(zip(faces["compression"], (int(side) for side in sides), strict=True))
    positions = np.linspace(0, len(references) - 1, QUANTILES).round().astype(int)
    return ReferenceFaces(tuple(references[i] for i in positions))


def other_stills(dataset: Path, categories: Collection[str]) -> bool:
    """Return whether the dataset has stills of other categories, which may be harmonised."""
    return any(folder.parent.name not in categories for folder in dataset.glob(f"parts/*/{STILL}"))


def harmonised(image: Image, face: Box, wanted_side: int, compression: str) -> Image:
    """Return the region around a face, scaled and compressed like a clip.

    Args:
        image: (H, W, 3) uint8 RGB.
        face: the face's box. The region extends `REACH` box sides from its centre.
        wanted_side: side of the face's box after scaling, in pixels.
        compression: compression of the clip; for "raw" and "native" the region is only scaled.

    Returns:
        (h, w, 3) uint8 RGB with even sides.
    """
    (x, y), reach = face.centre, REACH * face.side
    image = image[max(int(y - reach), 0) : int(y + reach), max(int(x - reach), 0) : int(x + reach)]
    scale = wanted_side / face.side
    # The encoder requires even sides.
    width, height = (max(round(n * scale / 2) * 2, 2) for n in (image.shape[1], image.shape[0]))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)
    return h264(scaled, CRF[compression]) if compression in CRF else scaled
