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
    data = pack(manifest, split, run.settings.size)
    probabilities = _predict(run.best_model(), data.images, run.settings.batch_size)
    columns = [f"{PREFIX}{name}" for name in manifest.classes]
    table = pd.concat([data.samples, pd.DataFrame(probabilities, columns=columns)], axis=1)
    table.attrs["checkpoint"] = checkpoint
    write_atomically(path, table.to_parquet(index=False))
    return table


def _predict(model: keras.Model, images: Images, batch_size: int) -> npt.NDArray[np.float32]:
    model.compile(jit_compile=jit_compile())
    batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    return np.concatenate([np.asarray(model.predict_on_batch(b)) for b in batches])
