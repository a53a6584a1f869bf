"""Images to probabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.backend import jit_compile
from classify.data.pack import ProgressFactory, pack
from classify.errors import ChangedError, ClassifyError, ModelError
from classify.evaluation.scores import PREFIX, Scores, classes_of, make_scores
from classify.training.runs import Run
from ffpp_tools.console import print_line
from ffpp_tools.errors import FfppError
from ffpp_tools.files import regular_file, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import format_versions

if TYPE_CHECKING:
    import keras

Images = npt.NDArray[np.uint8]
ProgressWrapper = Callable[[Iterable[int], int], Iterable[int]]


def score_split(
    run: Run, split: str, manifest: Manifest | None = None, progress: ProgressFactory | None = None
) -> Scores:
    """The best checkpoint's probabilities for every sample of a split.

    Of the run's own manifest they are written to `predictions-<split>.parquet` and read from there
    until best.keras changes. Only the probabilities are taken from that file, and only where its
    rows are those of the manifest and its digest is that of what was written.

    Args:
        run: whose network.
        split: "train", "val" or "test".
        manifest: another one than the run's own; its classes are found by name.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: the other manifest has classes that the network does not know.
        ChangedError: the written predictions were changed, and cannot be made anew.
        RunError: no epoch was finished, or the run's manifest changed since training.
        PackError: a crop is missing.
    """
    if manifest is not None:
        samples, classes = manifest.samples(split), run.classes
        classes_of(samples, classes)  # refuses what it does not know before the work
        return make_scores(samples, _probabilities(run, manifest, split, progress), classes)
    own = run.manifest
    path = run.folder / f"predictions-{split}.parquet"
    of = {"checkpoint": run.checkpoint_sha256, "manifest": run.manifest_sha256, "split": split}
    written = _written(path, own, of)
    if written.scores and not written.wrong:
        return written.scores
    try:
        found = _probabilities(run, own, split, progress)
    except (ClassifyError, FfppError) as error:
        if written.scores:  # of an older version, whose rows are the manifest's
            print_line(f"{path} is taken as it is: {written.wrong}, and {error}", style="yellow")
            return written.scores
        if not written.wrong:
            raise
        raise ChangedError(
            f"{path} is not what this run gave: {written.wrong}. It cannot be made anew ({error}): "
            f"put the dataset back where {own.folder} expects it, or restore the file"
        ) from error
    if written.wrong:
        print_line(f"{path} was made anew: {written.wrong}", style="yellow")
    scores = make_scores(own.samples(split), found, own.classes)
    digest = {"digest": _digest(scores, of)}
    scores.table.attrs = format_versions.with_format(format_versions.PREDICTIONS, of | digest)
    write_atomically(path, scores.table.to_parquet(index=False))
    return scores


@dataclass(frozen=True)
class _Written:
    """What is in a file of predictions."""

    scores: Scores | None = None  # the manifest's samples with its probabilities
    wrong: str = ""  # why they are not to be relied on


def _written(path: Path, manifest: Manifest, of: dict[str, str]) -> _Written:
    """Read a file of predictions and check it against its manifest and its digest."""
    samples, classes = manifest.samples(of["split"]), manifest.classes
    if not path.exists():
        return _Written()
    try:
        table = pd.read_parquet(regular_file(path))
        format_versions.checked_format(format_versions.PREDICTIONS, path, table.attrs)
        probabilities = table[[f"{PREFIX}{name}" for name in classes]].to_numpy(np.float32)
    except (OSError, ValueError, KeyError) as error:
        return _Written(wrong=f"it is damaged ({error})")
    attributes = {k: v for k, v in table.attrs.items() if k != format_versions.KEY}
    if attributes.get("checkpoint") != of["checkpoint"]:
        return _Written()  # best.keras is of a later epoch
    if len(table) != len(samples):
        return _Written(wrong=f"it has {len(table)} rows for {len(samples)} of the manifest")
    if differing := [
        name for name in samples if name not in table or list(table[name]) != list(samples[name])
    ]:
        return _Written(wrong=f"its column {differing[0]} is not the manifest's")
    scores = make_scores(samples, probabilities, classes)
    if "digest" not in attributes:
        return _Written(scores, "an older version wrote it, without a digest")
    if attributes != of | {"digest": _digest(scores, of)}:
        return _Written(wrong="its probabilities were changed after they were written")
    return _Written(scores)


def _digest(scores: Scores, of: dict[str, str]) -> str:
    """One hash of the probabilities, the faces they are of, and what they come from."""
    digest = hashlib.sha256("\n".join([*of.values(), *scores.classes]).encode())
    digest.update("\n".join(scores.table["face_id"]).encode())
    digest.update(np.ascontiguousarray(scores.probabilities, "<f4").tobytes())
    return digest.hexdigest()


def _probabilities(
    run: Run, manifest: Manifest, split: str, progress: ProgressFactory | None
) -> npt.NDArray[np.float32]:
    model = run.best_model()
    data = pack(manifest, split, model.input_shape[1], progress)
    shown = progress(f"judging {split}") if progress else None
    return predict_probabilities(model, data.images, run.settings.batch_size, shown)


def predict_probabilities(
    model: keras.Model, images: Images, batch_size: int = 64, shown: ProgressWrapper | None = None
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
