"""Overhead of the input pipeline and of training compared with plain Keras, and memory use.

    python benchmarks/train.py data_manifests/videos --arch efficientnetb0

Training with real, augmented input is compared with training on one constant batch, the fastest
that a plain `fit` of the same network can be; `predict_probabilities` is compared with Keras's
`predict`. The two alternate, so that noise of the machine affects both. Then the peak memory of a
training process is compared with that on ten times as many crops, without pages of mapped files.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from training_batches import training_batches

from classify.backend import jit_compile, warps_on_device
from classify.data.batches import Batches
from classify.data.pack import Packed, pack
from classify.evaluation.predict import predict_probabilities
from classify.models import build
from classify.training.callbacks import FiniteLossGuard
from ffpp_tools.splits.manifest import Manifest, write_manifest

STEPS = 12  # minimum number of steps of a measurement; more than are prefetched
MEMORY = """
import sys, threading, time
from pathlib import Path
from classify.training.settings import TrainSettings
from classify.training.train import train
peak, done = 0, threading.Event()
def watch():
    global peak
    while not done.wait(0.02):
        status = Path("/proc/self/status").read_text()
        peak = max(peak, int(status.split("RssAnon:")[1].split()[0]))
thread = threading.Thread(target=watch, daemon=True); thread.start()
train(Path(sys.argv[1]), Path(sys.argv[2]), TrainSettings(arch="sepconv", size=64, epochs=1))
done.set(); thread.join()
print(peak / 1000)
"""


class Constant(keras.utils.PyDataset):
    """A dataset that repeats a single batch."""

    def __init__(self, batch: tuple[np.ndarray, ...], count: int) -> None:
        super().__init__()
        self._batch = batch
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return self._batch


def main() -> None:
    """Measure speed and memory, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--arch", default="efficientnetb0")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64])
    parser.add_argument("--mixed-precision", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--sampling", default="all")
    parser.add_argument("--blend", type=float, default=0.0)
    parser.add_argument(
        "--memory", type=int, help="crops of the smaller training run", default=4000
    )
    options = parser.parse_args()
    manifest = Manifest.read(options.manifest)
    data = pack(manifest, "train", options.size)
    if options.mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    print(f"{options.arch} at {options.size} pixels, {keras.backend.backend()}")
    for batch_size in options.batch_sizes:
        training(manifest, data, batch_size, options)
    if options.memory and Path("/proc/self/status").exists():
        memory(manifest, options.memory)


class Advance(keras.callbacks.Callback):
    """Starts a new epoch of the batches, as a training run does."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Advance the batches to the next epoch."""
        self._batches.epoch += 1


def training(
    manifest: Manifest, data: Packed, batch_size: int, options: argparse.Namespace
) -> None:
    """Print images/s of training and inference, ours and plain Keras's, and their ratios."""
    count = max(len(data.labels) // batch_size, 1) * batch_size  # a smaller last batch is slower
    if options.sampling == "all" and not options.blend:
        data = Packed(data.images[:count], data.labels[:count], data.samples.head(count))
    on_device = warps_on_device()
    real = training_batches(
        manifest, data, batch_size, options.sampling, options.blend, on_device=on_device
    )
    constant = Constant(real[0], len(real))
    epochs = -(-STEPS // len(real))
    model = build(options.arch, len(manifest.classes), options.size)
    loss = "categorical_crossentropy"
    model.compile("adam", loss, weighted_metrics=["accuracy"], jit_compile=jit_compile())
    callbacks = [Advance(real), FiniteLossGuard(real, options.manifest)]
    ours, plain = alternately(
        lambda: model.fit(real, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks),
        lambda: model.fit(constant, epochs=epochs, verbose=0, shuffle=False),
        options.repeat,
    )
    sizes = (real.crops_per_epoch * epochs, len(real[0][0]) * len(real) * epochs)
    print_pair(f"training, batch {batch_size}", "a constant batch", ours, plain, sizes)
    images = np.array(data.images[: 4 * batch_size])
    ours, plain = alternately(
        lambda: predict_probabilities(model, images, batch_size),
        lambda: model.predict(images, batch_size=batch_size, verbose=0),
        options.repeat,
    )
    print_pair(f"inference, batch {batch_size}", "Keras's predict", ours, plain, (len(images),) * 2)


def alternately(
    one: Callable[[], object], other: Callable[[], object], repeat: int
) -> tuple[list[float], list[float]]:
    """Time two functions in turns, after one untimed call of each; return their seconds."""
    seconds: tuple[list[float], list[float]] = ([], [])
    one()
    other()
    for number in range(2 * repeat):
        which = number % 2 if number % 4 < 2 else 1 - number % 2  # one, other, other, one
        start = time.perf_counter()
        (one, other)[which]()
        seconds[which].append(time.perf_counter() - start)
    return seconds


def print_pair(
    what: str, baseline: str, ours: list[float], plain: list[float], images: tuple[int, int]
) -> None:
    """Print images/s of both, and their ratio; the fastest turn counts, as noise only adds time."""
    one, other = (n / min(s) for n, s in zip(images, (ours, plain), strict=True))
    print(
        f"{what:24} {one:8.1f} images/s, {baseline} {other:8.1f}: ratio {one / other:.3f}",
        flush=True,
    )


def memory(manifest: Manifest, count: int) -> None:
    """Print the peak anonymous memory of a training run, and with ten times as many crops."""
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        for crops in (count, 10 * count):
            folder = Path(name) / str(crops)
            rows = manifest.samples("train")
            hashes = manifest.crop_hashes("train", rows)
            rows = rows.iloc[np.resize(np.arange(len(rows)), crops)].reset_index(drop=True)
            rows["sha256"] = rows["path"].map(hashes)
            info = {**manifest.info, "root": os.path.relpath(manifest.root, folder.resolve())}
            few = rows.head(crops // 10)
            write_manifest(folder, {"train": rows, "val": few, "test": few}.items(), info)
            command = [sys.executable, "-c", MEMORY, str(folder), str(folder / "run")]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            peaks.append(float(output.splitlines()[-1]))
    small, large = peaks
    print(
        f"peak memory of a training run: {small:.0f} MB on {count} crops, {large:.0f} MB on "
        f"{10 * count}: {100 * (large / small - 1):+.1f} %"
    )


if __name__ == "__main__":
    main()
