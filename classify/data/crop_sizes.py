"""Sizes of a manifest's crops, compared with a network's input."""

from __future__ import annotations

import numpy as np

from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.faces.crop import ALIGNED_SIDE, CropSettings
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.tables import read_faces


def enlarged_share(manifest: Manifest, split: str, size: int) -> float:
    """Return the share of a split's crops that a network's input enlarges, from 0 to 1.

    The sizes are those in the dataset's tables; no crop is opened. A crop that extraction resized
    counts by the smaller of its size in the frame and its size on disk, a crop that is not square
    by its longer side.

    Args:
        manifest: the manifest that lists the crops.
        split: "train", "val" or "test".
        size: side of the input, in pixels.

    Raises:
        TableError: the dataset or the manifest is missing or damaged.
    """
    paths = manifest.samples(split, ["path"])["path"]
    faces = read_faces(manifest.root).set_index("path").reindex(paths)
    sides = faces["crop_size"]
    crop = CropSettings(**recorded_settings(manifest.root).get("crop", {}))
    if crop.size:
        sides = sides.clip(upper=max(map(int, crop.size.split("x"))))
    elif crop.align:
        whole = faces["box_from"] == "whole"
        sides = sides.where(whole, sides.clip(upper=ALIGNED_SIDE))
    return float(np.mean(sides.to_numpy() < size))
