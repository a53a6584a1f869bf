"""Compute class probabilities of images and splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.backend import jit_compile
from classify.data.pack import ProgressFactory, pack
from classify.errors import ChangedError, ClassifyError, ModelError
from classify.evaluation.metrics import log_loss
from classify.evaluation.scores import PREFIX, Scores, classes_of, make_scores
from classify.training.runs import Run, trained_classes
from ffpp_tools.console import print_line
from ffpp_tools.errors import FfppError, FormatError
from ffpp_tools.files import read_json, regular_file, write_atomically
from ffpp_tools.splits.manifest import Manifest, ManifestRow
from ffpp_tools.store import format_versions
from ffpp_tools.store.checksum import is_intact
from ffpp_tools.store.schema import later_columns

if TYPE_CHECKING:
    import keras

OPERATING = "operating.json"  # written by `thresholds.operating_point`
UNDECIDED = "none, because --tta auto had no validation split to decide on"
Images = npt.NDArray[np.uint8]
ProgressWrapper = Callable[[Iterable[int], int], Iterable[int]]


def score_split(
    run: Run, split: str, manifest: Manifest | None = None, progress: ProgressFactory | None = None
) -> Scores:
    """Compute the best checkpoint's probabilities for every sample of a split.

    For the run's own manifest they are saved as `predictions-<split>.parquet` and read from there
    until best.keras changes. Only the probabilities are read, and only if the rows of the file
    match the manifest and its digest is intact.

    Args:
        run: the run.
        split: "train", "val" or "test".
        manifest: another manifest than the run's own; its classes are matched by name.
        progress: progress bar factory; see `pack.ProgressFactory`.

    Raises:
        ClassifyError: the other manifest has classes that the network was not trained on.
        ChangedError: the saved predictions were changed and cannot be computed again.
        RunError: no epoch was finished, or the run's manifest changed since training.
        CropError: a crop is missing or was changed.
    """
    if manifest is not None:
        samples, classes = manifest.samples(split), run.classes
        classes_of(samples, classes)  # rejects unknown classes before the expensive part
        tta = chosen_tta_or_none(run, progress)
        return make_scores(samples, _probabilities(run, manifest, split, tta, progress), classes)
    manifest, tta = run.manifest, chosen_tta(run, progress)
    classes = trained_classes(manifest, run.settings)
    path, source = _predictions_file(run, split), _source(run, split, tta)
    saved = _read_saved(path, manifest, classes, source)
    if saved.scores and not saved.problem:
        return saved.scores
    try:
        probabilities = _probabilities(run, manifest, split, tta, progress)
    except (ClassifyError, FfppError) as error:
        if saved.scores:  # from an older version; its rows match the manifest
            print_line(f"{path} is used unchecked: {saved.problem}, and {error}", style="yellow")
            return saved.scores
        if not saved.problem:
            raise
        raise ChangedError(
            f"{path} does not match this run: {saved.problem}. It cannot be computed again "
            f"({error}): put the dataset back where {manifest.folder} expects it, or restore the "
            f"file"
        ) from error
    if saved.problem:
        print_line(f"{path} was computed again: {saved.problem}", style="yellow")
    scores = make_scores(manifest.samples(split), probabilities, classes)
    _save(path, scores, source)
    return scores


def chosen_tta(run: Run, progress: ProgressFactory | None = None) -> str:
    """Return the run's test-time augmentation, "none" or "flip".

    With the setting "auto", it is the one with the lower log loss on the validation split, "none"
    if they are equal or there is no validation split. It is chosen once for a checkpoint:
    operating.json and the predictions of the validation split record it.

    Raises:
        ClassifyError, FfppError: the choice is not recorded, and the validation split cannot be
            evaluated.
    """
    if run.settings.tta != "auto":
        return run.settings.tta
    if run.settings.refit:
        return "none"
    if recorded := _recorded_tta(run):
        return recorded
    manifest, path = run.manifest, _predictions_file(run, "val")
    classes = trained_classes(manifest, run.settings)
    for tta in ("none", "flip"):
        saved = _read_saved(path, manifest, classes, _source(run, "val", tta))
        if saved.scores and not saved.problem:
            return tta
    model = run.best_model()
    images = pack(manifest, "val", model.input_shape[1], progress).images
    with_progress = progress("evaluating val") if progress else None
    probabilities = _predicted(model, images, run.settings.batch_size, with_progress)
    candidates = {
        tta: make_scores(manifest.samples("val"), values, classes)
        for tta, values in probabilities.items()
    }
    best = min(candidates, key=lambda tta: _log_loss(candidates[tta]))  # the first of equal ones
    _save(path, candidates[best], _source(run, "val", best))
    return best


def chosen_tta_or_none(run: Run, progress: ProgressFactory | None = None) -> str:
    """Return `chosen_tta`, or "none" if it cannot be chosen because the data are elsewhere."""
    return _known_tta(run, progress) or "none"


def tta_remark(run: Run) -> str:
    """Return a sentence if "auto" has no validation split to decide on; otherwise ""."""
    return "" if _known_tta(run) else f"Test-time augmentation is {UNDECIDED}."


def _known_tta(run: Run, progress: ProgressFactory | None = None) -> str | None:
    """Return `chosen_tta`; None if "auto" cannot decide: for a refit, or without the data."""
    if run.settings.tta == "auto" and run.settings.refit:
        return None
    try:
        return chosen_tta(run, progress)
    except FormatError:
        raise
    except (ClassifyError, FfppError):
        return None


def _recorded_tta(run: Run) -> str:
    """Return the choice that operating.json records for this checkpoint, or ""."""
    path = run.folder / OPERATING
    try:
        saved = dict(read_json(path))
    except (OSError, ValueError, TypeError):
        return ""  # missing or damaged
    format_versions.checked_format(format_versions.OPERATING, path, saved)
    same = saved.get("checkpoint") == run.checkpoint_sha256
    same_manifest = saved.get("manifest") == run.manifest_sha256
    known = saved.get("tta") in ("none", "flip")
    return str(saved["tta"]) if is_intact(saved) and same and same_manifest and known else ""


def _predictions_file(run: Run, split: str) -> Path:
    return run.folder / f"predictions-{split}.parquet"


def _source(run: Run, split: str, tta: str) -> dict[str, str]:
    """Return what a predictions file was computed from; without `tta`, from crops as they are."""
    source = {"checkpoint": run.checkpoint_sha256, "manifest": run.manifest_sha256, "split": split}
    return source if tta == "none" else source | {"tta": tta}


def _save(path: Path, scores: Scores, source: dict[str, str]) -> None:
    digest = {"digest": _digest(scores, source)}
    scores.table.attrs = format_versions.with_format(format_versions.PREDICTIONS, source | digest)
    write_atomically(path, scores.table.to_parquet(index=False))


def _log_loss(scores: Scores) -> float:
    return float(log_loss(scores.actual, scores.probabilities, np.ones((1, len(scores))))[0])


@dataclass(frozen=True)
class _SavedPredictions:
    """The contents of a predictions file."""

    scores: Scores | None = None  # the manifest's samples with the file's probabilities
    problem: str = ""  # why they are unreliable; empty if nothing is wrong


def _read_saved(
    path: Path, manifest: Manifest, classes: dict[str, str], source: dict[str, str]
) -> _SavedPredictions:
    """Read a predictions file and check it against the manifest and its own digest."""
    samples = manifest.samples(source["split"])
    if not path.exists():
        return _SavedPredictions()
    try:
        table = pd.read_parquet(regular_file(path))
        format_versions.checked_format(format_versions.PREDICTIONS, path, table.attrs)
        probabilities = table[[f"{PREFIX}{name}" for name in classes]].to_numpy(np.float32)
    except (OSError, ValueError, KeyError) as error:
        return _SavedPredictions(problem=f"it is damaged ({error})")
    attributes = {k: v for k, v in table.attrs.items() if k != format_versions.KEY}
    for name, value in later_columns(ManifestRow).items():
        if name not in table:  # written by an earlier release
            table[name] = value
    if any(attributes.get(name) != source.get(name) for name in ("checkpoint", "tta")):
        return _SavedPredictions()  # best.keras is from a later epoch, or with or without flips
    if len(table) != len(samples):
        return _SavedPredictions(problem=f"it has {len(table)} rows, the manifest {len(samples)}")
    scores = make_scores(samples, probabilities, classes)
    expected = scores.table[list(samples)]  # with the network's class indices
    if differing := [
        name for name in expected if name not in table or list(table[name]) != list(expected[name])
    ]:
        return _SavedPredictions(problem=f"its column {differing[0]} differs from the manifest")
    if "digest" not in attributes:
        return _SavedPredictions(scores, "an older version wrote it, without a digest")
    if attributes != source | {"digest": _digest(scores, source)}:
        return _SavedPredictions(problem="its probabilities were changed after they were written")
    return _SavedPredictions(scores)


def _digest(scores: Scores, source: dict[str, str]) -> str:
    """Hash the probabilities, face ids and classes, and what they were computed from."""
    digest = hashlib.sha256("\n".join([*source.values(), *scores.classes]).encode())
    digest.update("\n".join(scores.table["face_id"]).encode())
    digest.update(np.ascontiguousarray(scores.probabilities, "<f4").tobytes())
    return digest.hexdigest()


def _probabilities(
    run: Run, manifest: Manifest, split: str, tta: str, progress: ProgressFactory | None
) -> npt.NDArray[np.float32]:
    model = run.best_model()
    data = pack(manifest, split, model.input_shape[1], progress)
    with_progress = progress(f"evaluating {split}") if progress else None
    return predict_probabilities(model, data.images, run.settings.batch_size, with_progress, tta)


def predict_probabilities(
    model: keras.Model,
    images: Images,
    batch_size: int = 64,
    with_progress: ProgressWrapper | None = None,
    tta: str = "none",
) -> npt.NDArray[np.float32]:
    """Compute a network's class probabilities for packed crops.

    Args:
        model: a network as `models.build` returns it.
        images: (n, size, size, 3) uint8 RGB.
        batch_size: images per batch.
        with_progress: wraps the iterable of batches to show progress.
        tta: "none", or "flip" for the mean of the probabilities of a crop and its mirror image.

    Returns:
        (n, classes) probabilities; a single sigmoid becomes two columns.

    Raises:
        ModelError: a probability is not finite.
    """
    return _predicted(model, images, batch_size, with_progress, (tta,))[tta]


def _predicted(
    model: keras.Model,
    images: Images,
    batch_size: int,
    with_progress: ProgressWrapper | None,
    ttas: Sequence[str] = ("none", "flip"),
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the result of `predict_probabilities` for each test-time augmentation, in one pass."""
    if not model.compiled:
        model.compile(jit_compile=jit_compile())
    outputs = {tta: np.empty((len(images), *model.output_shape[1:]), np.float32) for tta in ttas}
    batch = np.zeros((batch_size, *images.shape[1:]), np.uint8)  # one size, so one trace
    starts = range(0, len(images), batch_size)
    for start in with_progress(starts, len(starts)) if with_progress else starts:
        count = min(batch_size, len(images) - start)
        batch[:count] = images[start : start + count]
        predicted = {"none": np.asarray(model.predict_on_batch(batch))}
        if "flip" in ttas:
            mirrored = np.asarray(model.predict_on_batch(np.ascontiguousarray(batch[:, :, ::-1])))
            predicted["flip"] = (predicted["none"] + mirrored) / np.float32(2)
        for tta in ttas:
            outputs[tta][start : start + count] = predicted[tta][:count]
    return {tta: _checked(output, model.name) for tta, output in outputs.items()}


def _checked(outputs: npt.NDArray[np.float32], network: str) -> npt.NDArray[np.float32]:
    """Return a network's outputs as class probabilities, after a check that they are finite."""
    if not np.isfinite(outputs).all():
        first = int(np.argmin(np.isfinite(outputs).all(axis=1)))
        raise ModelError(
            f"{network}: the output for image {first + 1} of {len(outputs)} is not finite, so "
            f"its predictions are unreliable; the weights or half precision cause an overflow"
        )
    return np.hstack([outputs, 1 - outputs]) if outputs.shape[1] == 1 else outputs
