"""Images to probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.backend import jit_compile
from classify.pack import pack
from classify.runs import Run
from ffpp_tools.files import sha256, write_atomically

if TYPE_CHECKING:
    import keras

Images = npt.NDArray[np.uint8]
PREFIX = "p_"  # of the probability columns: p_Deepfakes, p_Face2Face, …


def predict_split(run: Run, split: str) -> pd.DataFrame:
    """The best checkpoint's probabilities for every sample of a split.

    Written to `predictions-<split>.parquet` and read from there until best.keras changes.

    Returns:
        The manifest's columns and one `p_<class>` column per class, float32, rows summing to 1.

    Raises:
        RunError: no epoch was finished, or the manifest changed since training.
        PackError: a crop is missing.
    """
    manifest = run.manifest
    path = run.folder / f"predictions-{split}.parquet"
    checkpoint = sha256(run.checkpoint)
    if path.exists():
        table = pd.read_parquet(path)
        if table.attrs.get("checkpoint") == checkpoint:
            return table
    model = run.best_model()
    data = pack(manifest, split, model.input_shape[1])
    probabilities = predict(model, data.images, run.settings.batch_size)
    columns = [f"{PREFIX}{name}" for name in manifest.classes]
    table = pd.concat([data.samples, pd.DataFrame(probabilities, columns=columns)], axis=1)
    table.attrs["checkpoint"] = checkpoint
    write_atomically(path, table.to_parquet(index=False))
    return table


def predict(model: keras.Model, images: Images, batch_size: int = 64) -> npt.NDArray[np.float32]:
    """What a network makes of packed crops.

    Args:
        model: as `models.build` returns it.
        images: (n, size, size, 3) uint8 RGB.
        batch_size: how many at a time.

    Returns:
        (n, classes) probabilities; one sigmoid becomes two columns.
    """
    if not model.compiled:
        model.compile(jit_compile=jit_compile())
    batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    found = np.concatenate([np.asarray(model.predict_on_batch(batch)) for batch in batches])
    return np.hstack([found, 1 - found]) if found.shape[1] == 1 else found
