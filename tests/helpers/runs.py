"""Short training runs, small packed arrays and synthetic logs."""

import dataclasses

import cv2
import numpy as np
import pandas as pd

from classify.data.pack import Packed
from classify.training.checkpoints import Epoch
from classify.training.settings import TrainSettings
from classify.training.train import train

TINY = TrainSettings(arch="sepconv", size=48, batch_size=16, epochs=3)


def train_tiny(manifest, folder, **changes):
    """Train the small network for a few epochs, with some settings changed."""
    return train(manifest, folder, dataclasses.replace(TINY, **changes))


def packed(clips):
    """Crops of 8 × 8 pixels with their index as value; `clips`: (class, clip, crops)."""
    rows = [
        {
            "face_id": f"{name}/c40/{clip}/{i:06}",
            "class": name,
            "category": name,
            "compression": "c40",
            "clip": clip,
            "label": "real",
            "target_id": clip,
            "pair": "",
        }
        for name, clip, crops in clips
        for i in range(crops)
    ]
    samples = pd.DataFrame(rows)
    names = sorted(set(samples["class"]))
    labels = samples["class"].map(names.index).to_numpy()
    images = np.broadcast_to(
        np.arange(len(rows), dtype=np.uint8)[:, None, None, None], (len(rows), 8, 8, 3)
    )
    return Packed(images, labels, samples)


DATA = packed([("A", "1", 2), ("A", "2", 20), ("B", "1", 5)])


CLIP = ("000", 10), ("001", 4), ("002", 4), ("003", 4)  # target, frames


def drawn_pairs(classes, clips=CLIP, stills=0, without=(), size=32):
    """Smooth drawn crops of originals and their fakes, and stills, with their manifest's rows.

    A fake is its original, brighter by the index of its method plus one, times ten.

    Args:
        classes: category → class; the category Youtube is real, and CelebA of stills.
        clips: (target, number of frames).
        stills: number of stills.
        without: (category, target, frame) of crops that do not exist.
        size: side in pixels.
    """
    rng = np.random.default_rng(0)
    rows, images = [], []
    methods = [category for category in classes if category not in ("Youtube", "CelebA")]
    for target, frames in clips:
        for frame in range(frames):
            coarse = rng.uniform(40, 160, (4, 4, 3)).astype(np.uint8)
            image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
            pair = f"{target}/{frame:06}/c40"
            for category in classes:
                if category == "CelebA" or (category, target, frame) in without:
                    continue
                fake = category in methods
                clip = f"{target}_999" if fake else target
                rows.append(
                    (category, "fake" if fake else "real", "c40", clip, target, frame, pair)
                )
                images.append(image + (10 * (methods.index(category) + 1) if fake else 0))
    for i in range(stills):
        rows.append(("CelebA", "real", "still", f"{i:06}", "", 0, ""))
        images.append(np.full((size, size, 3), 100))
    columns = ["category", "label", "compression", "clip", "target_id", "frame", "pair"]
    samples = pd.DataFrame(rows, columns=columns)
    samples["class"] = samples["category"].map(classes)
    paths = [samples[c].astype(str) for c in ("category", "compression", "clip", "frame")]
    samples["face_id"] = paths[0].str.cat(paths[1:], sep="/")
    names = sorted(set(samples["class"]))
    labels = samples["class"].map(names.index).to_numpy()
    return Packed(np.array(images, np.uint8), labels, samples)


def targets(data):
    return np.eye(data.labels.max() + 1, dtype=np.float32)[data.labels]


def logged(number, val_loss, val_log_loss=None):
    """A logged epoch with a validation loss; None without validation."""
    return Epoch(
        epoch=number,
        loss=1.0,
        accuracy=0.5,
        val_loss=val_loss,
        val_log_loss=val_loss if val_log_loss is None else val_log_loss,
        val_accuracy=None if val_loss is None else 0.5,
        learning_rate=0.001,
        images_per_second=20.0,
        seconds=3.0,
    )


def epochs(*losses):
    """Epochs with these validation losses; None without validation."""
    return [logged(i, loss) for i, loss in enumerate(losses)]
