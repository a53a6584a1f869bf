"""The Python interface: the main commands as functions. Use it as `import ffpp_tools`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ffpp_tools.errors import SettingsError
from ffpp_tools.exchange.export import Exported, export_manifest
from ffpp_tools.extraction.pipeline import (
    Summary,
    copy_identities,
    extract_boxes,
    extract_clips,
    extract_ready_crops,
    extract_still_dataset,
)
from ffpp_tools.extraction.progress import tally_progress
from ffpp_tools.extraction.recorded_boxes import read_recorded_boxes
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.extraction.workers import Workers
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.dedupe import find_duplicates
from ffpp_tools.grouping.identity import MAX_DISTANCE, Identities
from ffpp_tools.grouping.identity import identify as match_identities
from ffpp_tools.sources.deepfakebench import is_crop_set, read_crop_set
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.sources.stills import survey
from ffpp_tools.splits.audit import Audit, audited
from ffpp_tools.splits.build import SplitSettings, make_manifest, make_manifests
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.recipes import Ratios
from ffpp_tools.store.locks import folder_lock
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.video.sampling import FramePlan

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["multiclass", "videos", "binary"]
ExportFormat = Literal["imagefolder", "webdataset", "croissant"]


def extract(
    data: str | Path,
    out: str | Path = "dataset",
    *,
    every: int | None = None,
    frames_per_clip: int | None = None,
    categories: Sequence[str] = (),
    compressions: Sequence[str] = (),
    limit: int | None = None,
    settings: ClipSettings | None = None,
    boxes: str | Path | None = None,
    workers: int | Workers = 1,
    retry: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Summary:
    """Crop the faces of FaceForensics++, Celeb-DF or DFDC videos (`ffpp-extract`).

    A second call with the same arguments resumes where the first one stopped.

    Args:
        data: the folder of the dataset as it was downloaded.
        out: the dataset folder to write: crops, `frames.parquet` and `faces.parquet`.
        every: take every Nth frame, from frame 0; 25 by default.
        frames_per_clip: take N frames per clip, evenly spaced, instead.
        categories: only these, such as "Deepfakes"; all by default.
        compressions: only these of "raw", "c23" and "c40"; all by default.
        limit: only the first N clips of each category and compression.
        settings: how faces are found and cropped; `every` and `frames_per_clip` replace its plan.
        boxes: a table of boxes (`ffpp-export --format boxes`): make the crops that it describes,
            with its settings, instead of detecting faces.
        workers: the number of processes, or `Workers` with a Dask scheduler and decoder limits.
        retry: extract clips that have unreadable frames again.
        overwrite: delete the crops of clips first.
        progress: show a progress line.

    Returns:
        The folder and its two tables; with `boxes`, also the `comparison` of the crops with those
        of the table, which names the clips that are missing or are other videos.

    Raises:
        SettingsError: the folder was made with other settings, or settings are given with `boxes`.
        FfppError: no clips in `data`, or `out` cannot be written.

    Examples:
        >>> import ffpp_tools
        >>> made = ffpp_tools.extract("data/FaceForensics++", "dataset", every=10, workers=2)
        >>> bool((made.frames["status"] == "ok").any())
        True
    """
    if boxes is not None:
        if settings or every is not None or frames_per_clip is not None:
            raise SettingsError("with `boxes`, the settings are those of the table: omit others")
        found = read_recorded_boxes(Path(boxes), Path(data), categories, compressions, limit)
        shown = tally_progress("clips", len(found.clips)) if progress else None
        team = _workers(workers)
        return extract_boxes(Path(data), found, Path(out), team, retry, overwrite, shown)
    settings = settings or ClipSettings()
    if every is not None or frames_per_clip is not None:
        settings = replace(settings, plan=FramePlan(every, frames_per_clip))
    root = Path(data)
    clips = find_clips(root, categories, compressions, limit)
    return extract_clips(
        root,
        clips,
        Path(out),
        settings,
        _workers(workers),
        retry,
        overwrite,
        tally_progress("clips", len(clips)) if progress else None,
    )


def extract_stills(
    data: str | Path,
    out: str | Path = "dataset",
    *,
    category: str | None = None,
    label: Literal["real", "fake"] | None = None,
    root: str | Path | None = None,
    mappings: Sequence[str] = (),
    limit: int | None = None,
    settings: StillSettings | None = None,
    workers: int | Workers = 1,
    retry: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Summary:
    """Crop the faces of CelebA, CelebA-HQ, the 140k set or a folder of images (`ffpp-stills`).

    If `data` is a JSON file in DeepfakeBench's format, the crops that it lists are taken unchanged,
    as clips; `category`, `label` and `settings` must be omitted.

    Args:
        data: the folder of images, or the JSON file.
        out: the dataset folder, with or without clips in it.
        category: the category to record, such as "CelebA"; the 140k set has its own.
        label: required for a category that the project does not know.
        root: for a JSON file, the folder that contains `datasets/rgb`; found near it by default.
        mappings: for a JSON file, further labels, such as "UADFV_Fake=UADFV-fake:fake".
        limit: only the first N images; of a JSON file, clips of each category and compression.
        settings: how faces are found and cropped.
        workers: the number of processes, or `Workers`.
        retry: retry images that could not be read.
        overwrite: delete the crops of this category first.
        progress: show a progress line.

    Returns:
        The folder and its two tables.

    Raises:
        SettingsError: the folder was made with other settings.
        FfppError: no images in `data`, or `out` cannot be written.

    Examples:
        >>> import ffpp_tools
        >>> made = ffpp_tools.extract_stills("data/CelebA", "dataset", category="CelebA")
        >>> made.frames["category"].eq("CelebA").any()
        np.True_
    """
    folder = Path(out)
    if is_crop_set(Path(data)):
        if category or label or settings:
            raise SettingsError(f"{data}: omit category, label and settings for a JSON file")
        crops = read_crop_set(Path(data), Path(root) if root else None, mappings, limit)
        return extract_ready_crops(
            crops.clips,
            folder,
            workers=_workers(workers),
            retry=retry,
            overwrite=overwrite,
            progress=tally_progress("clips", len(crops.clips)) if progress else None,
        )
    if root or mappings:
        raise SettingsError(f"{data} is a folder; root and mappings are for a JSON file")
    surveyed = survey(Path(data), category, label, limit)
    copy_identities(surveyed, folder)
    return extract_still_dataset(
        surveyed.stills,
        folder,
        settings or StillSettings(),
        _workers(workers),
        retry,
        overwrite,
        tally_progress("stills", len(surveyed.stills)) if progress else None,
    )


def clean(dataset: str | Path = "dataset", *, workers: int = 1) -> pd.DataFrame:
    """Find unreadable, identical and near-identical stills and clips (`ffpp-clean`).

    Nothing is deleted: manifests that are made afterwards take the result into account.

    Args:
        dataset: the dataset folder; `duplicates.parquet` is written to it.
        workers: the number of processes.

    Returns:
        One row per finding; columns item, partner, kind, distance.

    Raises:
        TableError: no dataset in the folder.

    Examples:
        >>> import ffpp_tools
        >>> found = ffpp_tools.clean("dataset")
        >>> {"item", "partner", "kind"} <= set(found.columns)
        True
    """
    folder = Path(dataset)
    with _locked(folder, "ffpp-clean"):
        return find_duplicates(folder, workers)


def identify(
    dataset: str | Path = "dataset", *, distance: float = MAX_DISTANCE, workers: int = 1
) -> Identities:
    """Match people across clips and stills by face embedding (`ffpp-identify`).

    Manifests that are made afterwards keep matched people in one split.

    Args:
        dataset: the dataset folder; `identities.parquet` is written to it.
        distance: the maximum embedding distance of a same-person match.
        workers: the number of processes.

    Returns:
        The table of matches, and the error rates of matching on people with known identity.

    Raises:
        TableError: no dataset in the folder.

    Examples:
        >>> import ffpp_tools
        >>> found = ffpp_tools.identify("dataset", distance=0.05)
        >>> {"item", "partner", "distance"} <= set(found.table.columns)
        True
    """
    folder = Path(dataset)
    with _locked(folder, "ffpp-identify"):
        return match_identities(folder, workers, distance)


def split(
    dataset: str | Path,
    out: str | Path,
    *,
    mode: Mode | None = None,
    recipe: str | Path = "grouped",
    ratios: Ratios | None = None,
    per_class: int | None = None,
    include: Sequence[str] = (),
    compressions: Sequence[str] = (),
    leave_out: str | None = None,
    shrink: bool = False,
    seed: int = 0,
) -> Manifest:
    """Write a balanced train/val/test manifest of a dataset (`ffpp-split`).

    Args:
        dataset: the dataset folder.
        out: the manifest folder to write.
        mode: the label space: "multiclass" (7 classes, the default), "videos" (5) or "binary".
        recipe: the rule of selection: "grouped", "holdout", "videos-binary", "paper",
            "official", "official-clean", "140k", "dcgan", or the path of a TOML file.
        ratios: train, val and test, such as (80, 5, 15).
        per_class: the number of samples of each class over all splits.
        include: further categories, such as "FaceShifter".
        compressions: only clips of these; by default those that every class has.
        leave_out: train on the other methods and test on this one.
        shrink: scale all classes down if the dataset cannot fill them.
        seed: random seed for the assignment of identity groups to splits.

    Returns:
        The manifest; its `samples("train")` is a DataFrame.

    Raises:
        SettingsError: contradictory settings, or an unknown mode or recipe.
        SplitError: a class would be empty or short in a split.
        TableError: `dataset` has no tables, or `out` holds other files.

    Examples:
        >>> import ffpp_tools
        >>> manifest = ffpp_tools.split(
        ...     "dataset", "data_manifests/videos", mode="videos", ratios=(60, 20, 20)
        ... )
        >>> list(manifest.classes)
        ['Deepfakes', 'Face2Face', 'FaceSwap', 'NeuralTextures', 'Youtube']
    """
    settings = SplitSettings(
        mode,
        str(recipe),
        ratios,
        per_class,
        tuple(include),
        leave_out,
        shrink=shrink,
        seed=seed,
        compression=tuple(compressions),
    )
    return make_manifest(Path(dataset), Path(out), settings)


def split_folds(
    dataset: str | Path,
    out: str | Path,
    *,
    folds: int = 5,
    mode: Mode | None = None,
    compressions: Sequence[str] = (),
    shrink: bool = False,
    seed: int = 0,
) -> list[Manifest]:
    """Write one manifest for each fold of a cross-validation over identity groups.

    Each identity group is in the test split of one fold, and in the validation split of the next.

    Args:
        dataset: the dataset folder.
        out: the folder to write `fold-1`, `fold-2`, … to.
        folds: the number of folds, at least 3.
        mode: the label space, as for `split`.
        compressions: only clips of these; by default those that every class has.
        shrink: scale all classes down if the dataset cannot fill them.
        seed: random seed for the assignment of identity groups to folds.

    Returns:
        The manifests, in order.

    Raises:
        SettingsError: contradictory settings.
        SplitError: a class would be empty or short in a split.
        TableError: `dataset` has no tables, or `out` holds other files.

    Examples:
        >>> import ffpp_tools
        >>> manifests = ffpp_tools.split_folds(
        ...     "dataset", "data_manifests/cv", folds=3, mode="videos"
        ... )
        >>> len(manifests)
        3
    """
    settings = SplitSettings(
        mode, folds=folds, shrink=shrink, seed=seed, compression=tuple(compressions)
    )
    return make_manifests(Path(dataset), Path(out), settings)


def audit(manifest: str | Path | Manifest) -> Audit:
    """Look for identity groups in several splits, by the current dataset (`ffpp-audit`).

    Args:
        manifest: a manifest, or its folder.

    Returns:
        The audit; its `leaks` is True if an identity group is in several splits.

    Raises:
        TableError: no manifest there, or its dataset is missing.

    Examples:
        >>> import ffpp_tools
        >>> ffpp_tools.audit("data_manifests/videos").leaks
        False
    """
    import pandas as pd

    found = manifest if isinstance(manifest, Manifest) else Manifest.read(manifest)
    samples = pd.concat([found.samples(name).assign(split=name) for name in SPLITS])
    return audited(samples, Dataset.read(found.root))


def export(
    manifest: str | Path | Manifest,
    out: str | Path,
    *,
    format: ExportFormat,
    copy: bool | None = None,
    shard_size: int | None = None,
    seed: int | None = None,
    creator: str | None = None,
) -> Exported:
    """Write a manifest's crops and labels, or its description, for other tools (`ffpp-export`).

    Every crop is compared with its recorded hash. The images keep the terms of their datasets.

    Args:
        manifest: a manifest, or its folder.
        out: the folder to write to, new or empty; for "croissant" also the manifest's folder.
        format: "imagefolder" (a folder of images per class), "webdataset" (tar files) or
            "croissant" (Croissant metadata and a dataset card, without images).
        copy: of "imagefolder": copy the crops instead of creating hard links.
        shard_size: of "webdataset": the number of samples per tar file; 1000 by default.
        seed: of "webdataset": the random seed of the order of the samples; 0 by default.
        creator: of "croissant": the person or organisation that made the manifest.

    Returns:
        The folder, the number of samples per split, and the number of hard links.

    Raises:
        SettingsError: an unknown format, or an option of another format.
        TableError, CropError: the manifest or its dataset has changed, or a crop is missing.
        FfppError: `out` is not empty, or cannot be written.

    Examples:
        >>> import ffpp_tools
        >>> made = ffpp_tools.export("data_manifests/videos", "exported", format="imagefolder")
        >>> list(made.samples)
        ['train', 'val', 'test']
    """
    options = {"copy": copy, "shard_size": shard_size, "seed": seed, "creator": creator}
    found = manifest if isinstance(manifest, Manifest) else Manifest.read(manifest)
    return export_manifest(found, format, Path(out), options)


def _workers(workers: int | Workers) -> Workers:
    return Workers(workers) if isinstance(workers, int) else workers


def _locked(folder: Path, command: str) -> AbstractContextManager[object]:
    """The lock of a dataset folder; none if there is no folder, which the command then reports."""
    return folder_lock(folder, command) if folder.is_dir() else nullcontext()
