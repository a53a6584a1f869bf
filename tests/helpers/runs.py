"""Short training runs, small packed arrays and synthetic logs."""

import dataclasses

import numpy as np
import pandas as pd

from classify.data.batches import Batches
from classify.data.pack import Packed
from classify.data.sampling import sampler
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


def targets(data):
    return np.eye(data.labels.max() + 1, dtype=np.float32)[data.labels]


def make_batches(data, size, seed=0, augment=None, sampling="all", devices=1, **options):
    """Batches of packed crops by one of the samplings; `options`: of `Batches`."""
    chosen = sampler(sampling, data.samples, size, devices)
    return Batches(data, targets(data), chosen, seed, augment, **options)


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
