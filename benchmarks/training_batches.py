"""The training batches that `input.py` and `train.py` measure."""

from __future__ import annotations

import numpy as np

from classify.data.augment import PRESETS, Augmentation
from classify.data.batches import Batches
from classify.data.blend_units import Blending, training_sampler
from classify.data.landmarks import landmarks
from classify.data.pack import Packed
from ffpp_tools.splits.manifest import Manifest

PAPER = PRESETS["paper"]


def training_batches(
    manifest: Manifest,
    data: Packed,
    batch_size: int,
    sampling: str = "all",
    blend: float = 0.0,
    augment: Augmentation | None = PAPER,
    on_device: bool = False,
) -> Batches:
    """Return batches of the training split; blended faces are of the first class."""
    one_hot, blending = np.eye(len(manifest.classes), dtype=np.float32), None
    if blend:
        blending = Blending(blend, landmarks(manifest, "train"), one_hot[0], 0)
    sampler = training_sampler(sampling, data.samples, batch_size, blending=blending)
    return Batches(
        data, one_hot[data.labels], sampler, 0, augment, blending=blending, on_device=on_device
    )
