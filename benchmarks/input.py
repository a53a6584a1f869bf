"""Throughput of the input pipeline, compared with the paper's ImageDataGenerator.

    python benchmarks/input.py data_manifests/videos

Both feed `fit` of the same minimal network, with the paper's zoom, shear and flip on the CPU. Then
the cost of our pipeline on the host alone: packed crops without augmentation, augmented on the
CPU, and with the warp left to the accelerator. With --blend, the augmented batches also contain
blended faces, and the cost of a blend alone is measured at several sizes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import keras
import numpy as np
from tensorflow.keras.preprocessing.image import ImageDataGenerator
from training_batches import PAPER, training_batches

from classify.data.augment import Augmentation, warp_on_device
from classify.data.batches import Batches
from classify.data.blend import blend
from classify.data.landmarks import landmarks
from classify.data.pack import Packed, pack
from ffpp_tools.splits.manifest import Manifest

BLENDS = 200  # crops that are blended to measure a blend


def main() -> None:
    """Measure all variants and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--sampling", default="all")
    parser.add_argument("--blend", type=float, default=0.0)
    options = parser.parse_args()
    manifest = Manifest.read(options.manifest)
    data = pack(manifest, "train", options.size)
    classes, batch_size = len(manifest.classes), options.batch_size

    def batches(augment: Augmentation | None = PAPER) -> Batches:
        return training_batches(manifest, data, batch_size, augment=augment)

    mixed = training_batches(manifest, data, batch_size, options.sampling, options.blend)
    with tempfile.TemporaryDirectory() as folder:
        flow = generator(manifest, data, Path(folder), options)
        variants = {
            "fit on ImageDataGenerator": fitted(flow, classes, options.size),
            "fit on our batches": fitted(batches(), classes, options.size),
            "host: packed crops, no augmentation": lambda: consume(batches(None)),
            "host: augmented on the CPU": lambda: consume(batches()),
            f"host: {options.sampling}, blend {options.blend:g}, CPU": lambda: consume(mixed),
            "host: matrices only, warp on device": lambda: prepare(data, batch_size),
            "device: warp of a batch": lambda: warp(data, batch_size),
        }
        rates: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(options.repeat):
            for name, variant in variants.items():
                start = time.perf_counter()
                images = variant()
                rates[name].append(images / (time.perf_counter() - start))
    if options.blend:
        blends(manifest)
    print(f"{len(data.labels)} crops at {options.size} pixels, batches of {batch_size}")
    print(f"{'':36} {'images/s':>9} {'ratio':>7}")
    first = rates["fit on ImageDataGenerator"]
    for name, measured in rates.items():
        ratio = statistics.median(a / b for a, b in zip(measured, first, strict=True))
        print(f"{name:36} {statistics.median(measured):9.0f} {ratio:7.1f}")


def generator(
    manifest: Manifest, data: Packed, folder: Path, options: argparse.Namespace
) -> keras.utils.PyDataset:
    """Return the paper's pipeline on the same crops, linked into a folder per class."""
    for row in data.samples.rename(columns={"class": "class_name"}).itertuples():
        path = folder / row.class_name / row.face_id.replace("/", "-")
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".png").symlink_to(manifest.root / row.path)
    augmented = ImageDataGenerator(
        rescale=1 / 255, zoom_range=0.2, shear_range=0.2, horizontal_flip=True
    )
    size = (options.size, options.size)
    return augmented.flow_from_directory(
        str(folder), target_size=size, batch_size=options.batch_size, class_mode="categorical"
    )


def fitted(dataset: keras.utils.PyDataset, classes: int, size: int) -> Callable[[], int]:
    """Return a function that trains a compiled model for an epoch and returns its image count."""
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(classes, "softmax")]
    model = keras.Sequential([keras.Input((size, size, 3)), *layers])
    model.compile("adam", "categorical_crossentropy", jit_compile=False)
    model.fit(dataset, steps_per_epoch=2, verbose=0)
    images = sum(len(dataset[i][1]) for i in range(len(dataset)))

    def epoch() -> int:
        if isinstance(dataset, Batches):
            dataset.epoch += 1
        model.fit(dataset, verbose=0, shuffle=False)
        return images

    return epoch


def blends(manifest: Manifest) -> None:
    """Print how long a blend takes in one thread, at several sizes."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    points = landmarks(manifest, "train")
    rows = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))[:BLENDS]
    for size in (128, 224, 380):
        images = pack(manifest, "train", size).images[rows]
        start, cpu = time.perf_counter(), time.process_time()
        for number, (image, row) in enumerate(zip(images, rows, strict=True)):
            blend(image, points[row] * size - 0.5, np.random.default_rng(number))
        wall, cpu = (
            end - begin for end, begin in ((time.perf_counter(), start), (time.process_time(), cpu))
        )
        print(
            f"a blend at {size} pixels: {1000 * wall / len(rows):.2f} ms, "
            f"{1000 * cpu / len(rows):.2f} ms of CPU time ({len(rows) / cpu:.0f} crops/s)"
        )
    cv2.setNumThreads(threads)


def consume(batches: Batches) -> int:
    """Read the batches of an epoch, and return the number of images."""
    return sum(len(batches[i][0]) for i in range(len(batches)))


def prepare(data: Packed, batch_size: int) -> int:
    """Do the host's part if the accelerator warps: select crops and draw matrices."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.images))
    for start in range(0, len(order), batch_size):
        images = data.images[order[start : start + batch_size]]
        PAPER.warp.matrices(rng, len(images), images.shape[1])
    return len(order)


def warp(data: Packed, batch_size: int) -> int:
    """Warp batches on the device, one backend operation per batch."""
    rng = np.random.default_rng(0)
    images = np.array(data.images[:batch_size])
    for _ in range(5):
        matrices = PAPER.warp.matrices(rng, len(images), images.shape[1])
        keras.ops.convert_to_numpy(warp_on_device(images, matrices))
    return 5 * len(images)


if __name__ == "__main__":
    main()
