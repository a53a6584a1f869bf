"""Images to probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.backend import jit_compile
from classify.errors import ModelError
from classify.pack import Progress, pack
from classify.runs import Run
from classify.scores import Scores, classes_of, scored
from ffpp_tools.files import sha256, write_atomically
from ffpp_tools.manifest import Manifest

if TYPE_CHECKING:
    import keras

Images = npt.NDArray[np.uint8]
Shown = Callable[[Iterable[int], int], Iterable[int]]


def score_split(
    run: Run, split: str, manifest: Manifest | None = None, progress: Progress | None = None
) -> Scores:
    """The best checkpoint's probabilities for every sample of a split.

    Of the run's own manifest they are written to `predictions-<split>.parquet` and read from there
    until best.keras changes.

    Args:
        run: whose network.
        split: "train", "val" or "test".
        manifest: another one than the run's own; its classes are found by name.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: the other manifest has classes that the network does not know.
        RunError: no epoch was finished, or the run's manifest changed since training.
        PackError: a crop is missing.
    """
    if manifest is not None:
        samples, classes = manifest.samples(split), run.classes
        classes_of(samples, classes)  # refuses what it does not know before the work
        return scored(samples, _probabilities(run, manifest, split, progress), classes)
    own = run.manifest
    path = run.folder / f"predictions-{split}.parquet"
    checkpoint = sha256(run.checkpoint)
    with suppress(OSError, ValueError):  # none yet, or damaged: judge (again)
        table = pd.read_parquet(path)
        if table.attrs.get("checkpoint") == checkpoint:
            return Scores(table, own.classes)
    found = _probabilities(run, own, split, progress)
    scores = scored(own.samples(split), found, own.classes)
    scores.table.attrs["checkpoint"] = checkpoint
    write_atomically(path, scores.table.to_parquet(index=False))
    return scores


def _probabilities(
    run: Run, manifest: Manifest, split: str, progress: Progress | None
) -> npt.NDArray[np.float32]:
    model = run.best_model()
    data = pack(manifest, split, model.input_shape[1], progress)
    shown = progress(f"judging {split}") if progress else None
    return predict(model, data.images, run.settings.batch_size, shown)


def predict(
    model: keras.Model, images: Images, batch_size: int = 64, shown: Shown | None = None
) -> npt.NDArray[np.float32]:
    """What a network makes of packed crops.

    Args:
        model: as `models.build` returns it.
        images: (n, size, size, 3) uint8 RGB.
        batch_size: how many at a time.
        shown: passes the batches through, and shows how far they are.

    Returns:
        (n, classes) probabilities; one sigmoid becomes two columns.

    Raises:
        ModelError: a probability is not a number.
    """
    if not model.compiled:
        model.compile(jit_compile=jit_compile())
    found = np.empty((len(images), *model.output_shape[1:]), np.float32)
    batch = np.zeros((batch_size, *images.shape[1:]), np.uint8)  # always as large: one trace
    starts = range(0, len(images), batch_size)
    for start in shown(starts, len(starts)) if shown else starts:
        count = min(batch_size, len(images) - start)
        batch[:count] = images[start : start + count]
        found[start : start + count] = np.asarray(model.predict_on_batch(batch))[:count]
    if not np.isfinite(found).all():
        first = int(np.argmin(np.isfinite(found).all(axis=1)))
        raise ModelError(
            f"{model.name} gives no number for image {first + 1} of {len(found)}: its weights, or "
            f"half precision, make it overflow; nothing it says can be relied on"
        )
    return np.hstack([found, 1 - found]) if found.shape[1] == 1 else found
