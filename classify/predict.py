"""Images to probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd

from classify.backend import jit_compile
from classify.pack import pack
from classify.runs import Run
from ffpp_tools.tables import write_atomically

PREFIX = "p_"  # of the probability columns: p_Deepfakes, p_Face2Face, …


def predict_split(run: Run, split: str) -> pd.DataFrame:
    """The best checkpoint's probabilities for every sample of a split.

    Written once to `predictions-<split>.parquet` and read from there afterwards.

    Returns:
        The manifest's columns and one `p_<class>` column per class, float32, rows summing to 1.

    Raises:
        RunError: the run is unfinished, or its manifest changed since training.
        PackError: a crop is missing.
    """
    manifest = run.manifest
    path = run.folder / f"predictions-{split}.parquet"
    if path.exists():
        return pd.read_parquet(path)
    data = pack(manifest, split, run.settings.size)
    probabilities = _predict(run, data.images)
    columns = [f"{PREFIX}{name}" for name in manifest.classes]
    table = pd.concat([data.samples, pd.DataFrame(probabilities, columns=columns)], axis=1)
    write_atomically(path, table.to_parquet(index=False))
    return table


def _predict(run: Run, images: np.ndarray) -> np.ndarray:
    model = run.best_model()
    model.jit_compile = jit_compile()
    batch = run.settings.batch_size
    batches = (images[i : i + batch] for i in range(0, len(images), batch))
    return np.concatenate([np.asarray(model.predict_on_batch(b)) for b in batches])
