"""What is left of a detector when crops come the way pictures travel."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

import cv2
import numpy as np
import pandas as pd

from classify.data.pack import ProgressFactory, scaled
from classify.errors import PackError
from classify.evaluation import metrics
from classify.evaluation.evaluate import auc_against_originals, with_originals
from classify.evaluation.metrics import Floats
from classify.evaluation.predict import predict_probabilities
from classify.evaluation.scores import CLIP_KEY, Scores, make_scores
from classify.evaluation.thresholds import OperatingPoint
from classify.training.runs import Run
from ffpp_tools.files import path_within
from ffpp_tools.splits.manifest import MANIFEST_COLUMNS, Manifest
from ffpp_tools.video.encode import h264
from ffpp_tools.video.image import Image, read_image, through_jpeg

UNTOUCHED = "as it is"
NOISE_SEED = 0
BATCH = 256  # crops that are damaged, then judged, at a time


@dataclass(frozen=True)
class Robustness:
    """How well the same crops are told apart after each kind of damage.

    table: columns damage, category, compression, auc (against originals), auc_loss, detected,
        detected_loss (shares, at the threshold for undamaged crops); a row per damage and
        manipulation, and of category "all" for all manipulations (the mean of their AUCs) and
        "reals" for the share of reals called real.
    """

    table: pd.DataFrame

    @cached_property
    def losses(self) -> pd.DataFrame:
        """The loss of AUC, a row per damage and a column per manipulation."""
        fakes = self.table[self.table["category"] != "reals"]
        name = (fakes["category"] + " " + fakes["compression"]).str.strip()
        wide = fakes.assign(name=name).pivot_table("auc_loss", "damage", "name", dropna=False)
        order = [d for d in fakes["damage"].unique() if d != UNTOUCHED]
        return wide.loc[order, list(dict.fromkeys(name))]


def h264_compressed(image: Image, crf: int) -> Image:
    """After H.264 at a constant rate factor, as a frame of a slow pan."""
    height, width = image.shape[:2]
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return h264(np.asarray(even, np.uint8), crf)[:height, :width]


def downscaled(image: Image, factor: int) -> Image:
    """A side of 1 / factor, and back."""
    height, width = image.shape[:2]
    size = (max(width // factor, 1), max(height // factor, 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def blurred(image: Image, sigma: float) -> Image:
    """After a Gaussian blur with a standard deviation of so many pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def noisy(image: Image, sigma: float) -> Image:
    """With Gaussian noise of so many grey levels, the same for crops of the same size."""
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
    operating: OperatingPoint,
    progress: ProgressFactory | None = None,
) -> Robustness:
    """Judge a run's network on damaged copies of crops.

    The damage is done to the crops as they lie on disk, before they are scaled for the network;
    the threshold stays.

    Args:
        run: whose network.
        scores: of the undamaged crops.
        manifest: where they lie.
        operating: the run's threshold and temperature.
        progress: as `pack.pack` takes it.

    Raises:
        PackError: a crop is gone or unreadable.
    """
    samples = scores.table[list(MANIFEST_COLUMNS)]
    before = _measured(scores, operating.frame_threshold)
    tables = [before.assign(damage=UNTOUCHED)]
    paths = samples["path"].to_list()
    for name, probabilities in _damaged(run, manifest, paths, progress).items():
        after = make_scores(samples, probabilities, scores.classes)
        tables.append(_measured(after, operating.frame_threshold).assign(damage=name))
    table = pd.concat(tables, ignore_index=True)
    for column in ("auc", "detected"):
        was = np.tile(before[column].to_numpy(), len(tables))
        table[f"{column}_loss"] = was - table[column].to_numpy()
    columns = ["auc", "auc_loss", "detected", "detected_loss"]
    return Robustness(table[["damage", "category", "compression", *columns]])


def _damaged(
    run: Run, manifest: Manifest, paths: list[str], progress: ProgressFactory | None
) -> dict[str, Floats]:
    """Each damage and the probabilities after it, (n, classes); few crops in memory at a time."""
    model = run.best_model()
    side = model.input_shape[1]

    def read(path: str) -> Image:
        face = read_image(path_within(manifest.root, path))
        if face is None:
            raise PackError(f"{manifest.root / path}: not a readable image; extract it again")
        return face

    found: dict[str, list[Floats]] = {name: [] for name in DAMAGES}
    starts = range(0, len(paths), BATCH)
    shown = progress(f"damaging {len(paths)} crops") if progress else None
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in shown(starts, len(starts)) if shown else starts:
            faces = list(threads.map(read, paths[start : start + BATCH]))
            for name, damage in DAMAGES.items():
                images = threads.map(lambda face, do=damage: scaled(do(face), side), faces)
                found[name].append(predict_probabilities(model, np.stack(list(images))))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _measured(scores: Scores, threshold: float) -> pd.DataFrame:
    """AUC against originals and share called fake of each manipulation, and of all."""
    called = scores.p_fake > threshold
    aucs = {
        key: metrics.auc(metrics.threshold_curve(scores.is_fake[rows], scores.p_fake[rows]))[0]
        for key, rows in with_originals(scores)
    }
    rows = [
        (*key, aucs.get(key, np.nan), called[at].mean())
        for key, at in scores.table.groupby(CLIP_KEY[:2]).indices.items()
        if scores.is_fake[at[0]]
    ]
    fakes = called[scores.is_fake].mean() if scores.is_fake.any() else np.nan
    reals = 1 - called[~scores.is_fake].mean() if not scores.is_fake.all() else np.nan
    everything = auc_against_originals(scores, np.ones((1, len(scores))))[0]
    rows.append(("all", "", everything, fakes))
    rows.append(("reals", "", np.nan, reals))
    return pd.DataFrame(rows, columns=["category", "compression", "auc", "detected"])
