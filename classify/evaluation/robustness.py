"""Robustness of a detector to compression, resizing, blur and noise."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

import cv2
import numpy as np
import pandas as pd

from classify.data.pack import ProgressFactory
from classify.evaluation import metrics
from classify.evaluation.evaluate import auc_against_originals, with_originals
from classify.evaluation.metrics import Floats
from classify.evaluation.predict import predict_probabilities
from classify.evaluation.scores import CLIP_KEY, Scores, make_scores
from classify.evaluation.thresholds import OperatingPoint
from classify.training.runs import Run
from ffpp_tools.errors import CropError
from ffpp_tools.files import path_within
from ffpp_tools.loading.crop_files import scaled
from ffpp_tools.splits.manifest import MANIFEST_COLUMNS, Manifest
from ffpp_tools.video.encode import h264
from ffpp_tools.video.image import Image, read_image, through_jpeg

UNTOUCHED = "as it is"
NOISE_SEED = 0
BATCH = 256  # crops corrupted and evaluated at a time


@dataclass(frozen=True)
class Robustness:
    """Metrics on the same crops after each corruption.

    table: columns damage (the corruption), category, compression, auc (against originals),
        auc_loss, detected, detected_loss (shares, at the threshold for uncorrupted crops). A row
        per corruption and manipulation, and two more per corruption: category "all" for all
        manipulations (the mean of their AUCs) and "reals" for the share of reals classified as
        real.
    """

    table: pd.DataFrame

    @cached_property
    def losses(self) -> pd.DataFrame:
        """Loss of AUC, a row per corruption and a column per manipulation."""
        fakes = self.table[self.table["category"] != "reals"]
        name = (fakes["category"] + " " + fakes["compression"]).str.strip()
        wide = fakes.assign(name=name).pivot_table("auc_loss", "damage", "name", dropna=False)
        order = [d for d in fakes["damage"].unique() if d != UNTOUCHED]
        return wide.loc[order, list(dict.fromkeys(name))]


def h264_compressed(image: Image, crf: int) -> Image:
    """Compress with H.264 at a constant rate factor, as a frame of a slow pan."""
    height, width = image.shape[:2]
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return h264(np.asarray(even, np.uint8), crf)[:height, :width]


def downscaled(image: Image, factor: int) -> Image:
    """Downscale both sides by a factor, then upscale to the original size."""
    height, width = image.shape[:2]
    size = (max(width // factor, 1), max(height // factor, 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def blurred(image: Image, sigma: float) -> Image:
    """Blur with a Gaussian; `sigma` in pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def noisy(image: Image, sigma: float) -> Image:
    """Add Gaussian noise, the same for crops of the same size; `sigma` in grey levels."""
    grain = np.random.default_rng(NOISE_SEED).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)


DAMAGES: dict[str, Callable[[Image], Image]] = {
    **{f"JPEG {q}": partial(through_jpeg, quality=q) for q in (90, 70, 50, 30)},
    **{f"H.264 CRF {crf}": partial(h264_compressed, crf=crf) for crf in (23, 32, 40)},
    **{f"downscaled {f}×": partial(downscaled, factor=f) for f in (2, 4)},
    **{f"blur, sigma {sigma} px": partial(blurred, sigma=sigma) for sigma in (1, 2)},
    **{f"noise, sigma {sigma}": partial(noisy, sigma=sigma) for sigma in (5, 10)},
}


def evaluate_robustness(
    run: Run,
    scores: Scores,
    manifest: Manifest,
    operating_point: OperatingPoint,
    progress: ProgressFactory | None = None,
) -> Robustness:
    """Evaluate a run's network on corrupted copies of crops.

    The crops are corrupted at their size on disk, before they are scaled for the network. The
    threshold is that for uncorrupted crops.

    Args:
        run: the run.
        scores: scores of the uncorrupted crops.
        manifest: the manifest of the crops.
        operating_point: the run's threshold, temperature and test-time augmentation.
        progress: progress bar factory; see `pack.ProgressFactory`.

    Raises:
        CropError: a crop is missing or unreadable.
    """
    samples = scores.table[list(MANIFEST_COLUMNS)]
    before = _metrics(scores, operating_point.frame_threshold)
    tables = [before.assign(damage=UNTOUCHED)]
    paths = samples["path"].to_list()
    for name, probabilities in _corrupted(
        run, manifest, paths, operating_point.tta, progress
    ).items():
        after = make_scores(samples, probabilities, scores.classes)
        tables.append(_metrics(after, operating_point.frame_threshold).assign(damage=name))
    table = pd.concat(tables, ignore_index=True)
    for column in ("auc", "detected"):
        uncorrupted = np.tile(before[column].to_numpy(), len(tables))
        table[f"{column}_loss"] = uncorrupted - table[column].to_numpy()
    columns = ["auc", "auc_loss", "detected", "detected_loss"]
    return Robustness(table[["damage", "category", "compression", *columns]])


def _corrupted(
    run: Run, manifest: Manifest, paths: list[str], tta: str, progress: ProgressFactory | None
) -> dict[str, Floats]:
    """Compute the probabilities, (n, classes), after each corruption, `BATCH` crops at a time."""
    model = run.best_model()
    side = model.input_shape[1]

    def read(path: str) -> Image:
        face = read_image(path_within(manifest.root, path))
        if face is None:
            raise CropError(f"{manifest.root / path}: not a readable image; extract it again")
        return face

    batches: dict[str, list[Floats]] = {name: [] for name in DAMAGES}
    starts = range(0, len(paths), BATCH)
    with_progress = progress(f"corrupting {len(paths)} crops") if progress else None
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in with_progress(starts, len(starts)) if with_progress else starts:
            faces = list(threads.map(read, paths[start : start + BATCH]))
            for name, corrupt in DAMAGES.items():
                images = threads.map(lambda face, f=corrupt: scaled(f(face), side), faces)
                predicted = predict_probabilities(model, np.stack(list(images)), tta=tta)
                batches[name].append(predicted)
    return {name: np.concatenate(parts) for name, parts in batches.items()}


def _metrics(scores: Scores, threshold: float) -> pd.DataFrame:
    """Compute AUC against originals and share detected of each manipulation and of all."""
    classified_fake = scores.p_fake > threshold
    aucs = {
        key: metrics.auc(metrics.threshold_curve(scores.is_fake[rows], scores.p_fake[rows]))[0]
        for key, rows in with_originals(scores)
    }
    rows = [
        (*key, aucs.get(key, np.nan), classified_fake[indices].mean())
        for key, indices in scores.table.groupby(CLIP_KEY[:2]).indices.items()
        if scores.is_fake[indices[0]]
    ]
    fakes = classified_fake[scores.is_fake].mean() if scores.is_fake.any() else np.nan
    reals = 1 - classified_fake[~scores.is_fake].mean() if not scores.is_fake.all() else np.nan
    mean_auc = auc_against_originals(scores, np.ones((1, len(scores))))[0]
    rows.append(("all", "", mean_auc, fakes))
    rows.append(("reals", "", np.nan, reals))
    return pd.DataFrame(rows, columns=["category", "compression", "auc", "detected"])
