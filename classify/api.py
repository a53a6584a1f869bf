"""The Python interface: the main commands as functions. Use it as `import classify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from classify.backend import require_backend
from classify.evaluation.compare import Comparison
from classify.evaluation.compare import compare as compare_runs
from classify.inference.media import Verdict, classifier_of, classify_file, find_media
from classify.reporting.report import make_report, report_on_file
from classify.reporting.report_data import Report
from classify.training.loaded_run import LoadedRun
from classify.training.runs import Run
from classify.training.settings import TrainSettings
from ffpp_tools.splits.manifest import Manifest

Split = Literal["train", "val", "test"]


def train(
    manifest: str | Path | Manifest, out: str | Path, settings: TrainSettings | None = None
) -> Run:
    """Train a network on a manifest (`classify train`).

    Args:
        manifest: a manifest, or its folder.
        out: the run folder to write.
        settings: network, weights and hyperparameters; those of the paper by default.

    Returns:
        The run; its `log` is a DataFrame, its `best_model()` a Keras model.

    Raises:
        ClassifyError: the folder is in use, the weights do not fit, or the loss is not finite.
        TableError: no manifest there, or its dataset has changed.

    Examples:
        >>> import classify
        >>> settings = classify.TrainSettings(arch="sepconv", size=32, epochs=1)
        >>> run = classify.train("data_manifests/videos", "runs/sepconv", settings)
        >>> len(run.log)
        1
    """
    require_backend()
    from classify.training.train import train as train_run

    return train_run(_folder(manifest), Path(out), settings or TrainSettings())


def resume(run: str | Path | Run) -> Run:
    """Resume an interrupted training after its last finished epoch (`classify train --resume`).

    Args:
        run: a run, or its folder.

    Returns:
        The run.

    Raises:
        RunEndedError: the run has finished.
        ClassifyError: no run there, or a damaged checkpoint.
        TableError: its manifest is missing or has changed.

    Examples:
        >>> import classify
        >>> classify.resume("runs/sepconv")
        Traceback (most recent call last):
        ...
        classify.errors.RunEndedError: ...
    """
    require_backend()
    from classify.training.train import resume as resume_run

    return resume_run(run.folder if isinstance(run, Run) else Path(run))


def evaluate(
    run: str | Path | Run,
    *,
    split: Split = "test",
    manifest: str | Path | Manifest | None = None,
    robustness: bool = False,
    faces: bool = True,
) -> Report:
    """Evaluate a run on a split and write its report (`classify report`).

    Args:
        run: a run, or its folder.
        split: the split to evaluate on.
        manifest: evaluate on another manifest, at the run's own threshold.
        robustness: also evaluate on compressed, scaled, blurred and noisy crops.
        faces: show the most confident errors in `report.html`.

    Returns:
        The report; its `evaluations` are per frame and per clip.

    Raises:
        ClassifyError: an unknown split, or classes that the network was not trained on.
        RunError: no epoch was finished, or the manifest has changed since training.
        CropError: a crop is missing or was changed.

    Examples:
        >>> import classify
        >>> report = classify.evaluate("runs/sepconv")
        >>> [evaluation.unit for evaluation in report.evaluations]
        ['frame', 'clip']
    """
    require_backend()
    other = None if manifest is None else _read(manifest)
    return make_report(_loaded(run), split, other, robustness, faces=faces)


def evaluate_predictions(
    predictions: str | Path,
    manifest: str | Path | Manifest,
    *,
    split: Split = "test",
    out: str | Path | None = None,
    faces: bool = True,
) -> Report:
    """Evaluate the predictions of another detector (`classify report --predictions`).

    Args:
        predictions: a CSV file; docs/reports.md describes its columns.
        manifest: the manifest that its rows belong to.
        split: the split to evaluate on.
        out: the folder for the report; by default next to the file, and named after it.
        faces: show the most confident errors in `report.html`.

    Returns:
        The report.

    Raises:
        ClassifyError: the file does not fit the manifest.
        TableError: no manifest there.

    Examples:
        >>> import classify, ffpp_tools
        >>> manifest = ffpp_tools.Manifest.read("data_manifests/videos")
        >>> samples = manifest.samples("test")
        >>> scores = samples.assign(p_fake=(samples["label"] == "fake") * 0.8 + 0.1)
        >>> scores[["face_id", "p_fake"]].to_csv("theirs.csv", index=False)
        >>> report = classify.evaluate_predictions("theirs.csv", manifest)
        >>> report.evaluations[0].measures["auc"].value
        1.0
    """
    folder = None if out is None else Path(out)
    return report_on_file(Path(predictions), _read(manifest), split, folder, faces=faces)


def predict(
    run: str | Path | Run,
    paths: str | Path | Sequence[str | Path],
    *,
    every: int | None = None,
    detector_model: str | Path | None = None,
) -> list[Verdict]:
    """Classify every face in images and videos (`classify predict`).

    Args:
        run: a run, or its folder, which may have been moved away from its data.
        paths: images, videos, or folders of them.
        every: take every Nth frame of a video; by default as in the training data.
        detector_model: the model file of YuNet, if it found the faces of the training data.

    Returns:
        One verdict per file: its people, and a table with one row per face and frame.

    Raises:
        ClassifyError: no images or videos there.
        RunError: no epoch was finished.

    Examples:
        >>> import classify
        >>> (verdict,) = classify.predict("runs/sepconv", "video.mp4")
        >>> verdict.people[0].verdict in ("real", "fake")
        True
    """
    require_backend()
    each = [paths] if isinstance(paths, str | Path) else paths
    model_file = Path(detector_model) if detector_model else None
    classifier = classifier_of(_loaded(run), every, detector_model=model_file)
    return [classify_file(path, classifier) for path in find_media([Path(p) for p in each])]


def compare(runs: Sequence[str | Path | Run]) -> Comparison:
    """Compare runs that were evaluated on the same test split (`classify compare`).

    Args:
        runs: runs, or their folders.

    Returns:
        A table with one row per run, and the differences between the best two.

    Raises:
        ClassifyError: two runs have the same name, or different test splits.

    Examples:
        >>> import classify
        >>> settings = classify.TrainSettings(arch="sepconv", size=32, epochs=1, seed=1)
        >>> second = classify.train("data_manifests/videos", "runs/seed-1", settings)
        >>> sorted(classify.compare(["runs/sepconv", second]).table["run"])
        ['seed-1', 'sepconv']
    """
    require_backend()
    return compare_runs([r if isinstance(r, Run) else Run.read(r) for r in runs])


def _folder(manifest: str | Path | Manifest) -> Path:
    return manifest.folder if isinstance(manifest, Manifest) else Path(manifest)


def _read(manifest: str | Path | Manifest) -> Manifest:
    return manifest if isinstance(manifest, Manifest) else Manifest.read(manifest)


def _loaded(run: str | Path | Run) -> LoadedRun:
    return LoadedRun.read(run.folder if isinstance(run, Run) else run)
