"""Shortcut probe: AUC of low-level image features alone.

A logistic regression on low-level features of the crops, trained and tested on different identity
groups. If it separates two sources, so can a network, and a network's AUC is evidence of detected
manipulation only if it is well above the probe's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.errors import TableError
from ffpp_tools.files import read_json, unless_read_only, write_atomically
from ffpp_tools.grouping.feature_cache import cached_features, face_box_in_crop
from ffpp_tools.sources.clip import REAL_COUNTERPART
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import format_versions
from ffpp_tools.store.checksum import is_intact, with_digest
from ffpp_tools.store.tables import positions
from ffpp_tools.video.image import Image

FOLDS = 5
MAX_SAMPLES = 4000  # of each category; more would not change the results
SIDE = 128  # input size of networks; sharpness and noise are also measured at this size

PROPERTIES = (
    "log_size",  # log of the crop's longer side in pixels
    "aspect",  # width / height of the crop
    "face_share",  # longer side of the face box / longer side of the crop
    "face_aspect",
    "face_x",  # centre of the face box, as a fraction of the crop's width and height
    "face_y",
    "blockiness_8",  # log ratio of pixel differences at multiples of 8 frame pixels and elsewhere
    "blockiness_4",
    "sharpness",  # log of the variance of the Laplacian, at the crop's own size
    "sharpness_128",
    "noise",  # log of the mean absolute difference from the median of 3 × 3 pixels
    "noise_128",
    "red",
    "green",
    "blue",
    "contrast",
    "saturation",
)
# Features that are lost when all crops are scaled to one size, as for a network's input.
SCALE_DEPENDENT = (
    "log_size",
    "aspect",
    "blockiness_8",
    "blockiness_4",
    "sharpness",
    "noise",
)


@dataclass(frozen=True)
class ProbeResult:
    """How well low-level features alone separate two sources."""

    question: str  # the comparison, such as "CelebA against Youtube"
    kind: str  # "real against real", "fake against real" or "method against its originals"
    auc: float  # area under the ROC curve, mean over folds of groups; nan if too few groups
    auc_scaled: float  # the same without `SCALE_DEPENDENT` features
    groups: int  # number of identity groups of the source that has fewer
    samples: int
    telling: str  # the feature with the largest weight


def measure_shortcuts(
    dataset: Path, faces: pd.DataFrame, samples: pd.DataFrame, workers: int
) -> list[ProbeResult]:
    """Run the shortcut probe on every pair of sources in the manifest.

    Args:
        dataset: the folder of the crops.
        faces: columns as in `FaceRow`.
        samples: samples of all splits; columns of `ManifestRow`.
        workers: number of processes that measure the features.

    Raises:
        TableError: crops of the manifest are missing from `faces`.
    """
    shuffled = samples["category"].reset_index(drop=True).sample(frac=1, random_state=0)
    drawn = shuffled.groupby(shuffled).head(MAX_SAMPLES).index
    samples = samples.iloc[drawn].reset_index(drop=True)
    face_row = positions(faces["face_id"], samples["face_id"])
    if (face_row < 0).any():
        raise TableError(
            f"{dataset}: {(face_row < 0).sum()} crops of the manifest are no longer in "
            f"faces.parquet; create the manifest again with `ffpp-split`"
        )
    sample_faces = faces.drop(columns=["path", "face_id"]).iloc[face_row].reset_index(drop=True)
    rows = pd.concat([samples, sample_faces], axis=1)
    values = cached_features(dataset, rows, "properties", properties, len(PROPERTIES), workers)
    readable = ~np.isnan(values).any(axis=1)
    rows, values = rows[readable].reset_index(drop=True), values[readable]
    return [
        _probe(comparison, kind, rows, values, one, other)
        for comparison, kind, one, other in _comparisons(rows)
    ]


def write(manifest: Manifest, results: Sequence[ProbeResult]) -> None:
    """Write probe.json, which reports show, to the manifest's folder; skip a read-only folder.

    Raises:
        FfppError: the file cannot be written for another reason.
    """
    rows = [{k: None if v != v else v for k, v in asdict(r).items()} for r in results]
    values = {"files": manifest.info["files"], "answers": rows}
    values = with_digest(format_versions.with_format(format_versions.PROBE, values))
    text = json.dumps(values, indent=2) + "\n"
    with unless_read_only():
        write_atomically(manifest.folder / "probe.json", text.encode())


def read(manifest: Manifest) -> list[ProbeResult]:
    """Read the probe results that `ffpp-audit` wrote to a manifest's folder.

    Empty if there are none, or if they belong to an earlier manifest in the same folder.

    Raises:
        TableError: probe.json is damaged, or was changed after it was written.
    """
    path = manifest.folder / "probe.json"
    if not path.exists():
        return []
    try:
        content = dict(read_json(path))
        format_versions.checked_format(format_versions.PROBE, path, content)
        if content["files"] != manifest.info["files"]:
            return []
        if is_intact(content) is False:
            raise TableError(f"{path} was changed after it was written; run `ffpp-audit` again")
        rows: list[dict[str, Any]] = content["answers"]
        nan = float("nan")
        aucs = [{k: nan for k in ("auc", "auc_scaled") if row[k] is None} for row in rows]
        return [ProbeResult(**{**row, **missing}) for row, missing in zip(rows, aucs, strict=True)]
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(f"{path}: damaged ({error!r}); run `ffpp-audit` again") from error


def properties(image: Image, row: pd.Series) -> npt.NDArray[np.float32]:
    """Measure the features named in `PROPERTIES` on a crop."""
    height, width = image.shape[:2]
    x, y, face_w, face_h = face_box_in_crop(image, row)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    side = max(height, width)
    colours = image.reshape(-1, 3).mean(axis=0)
    return np.array(
        [
            np.log(side),
            width / height,
            max(face_w, face_h) / side,
            face_w / face_h,
            (x + face_w / 2) / width,
            (y + face_h / 2) / height,
            _blockiness(grey, 8, int(row["crop_x"]), int(row["crop_y"])),
            _blockiness(grey, 4, int(row["crop_x"]), int(row["crop_y"])),
            _sharpness(grey),
            _sharpness(small),
            _noise(grey),
            _noise(small),
            *colours,
            grey.std(),
            colours.max() - colours.min(),
        ],
        np.float32,
    )


def _blockiness(grey: Image, block: int, left: int, top: int) -> float:
    """Return the log ratio of mean pixel differences at block edges and elsewhere."""
    levels = grey.astype(np.float32)
    ratios = []
    for axis, first in ((1, left), (0, top)):
        difference = np.abs(np.diff(levels, axis=axis)).mean(axis=1 - axis)
        edge = (np.arange(len(difference)) + 1 + first) % block == 0
        if edge.any() and not edge.all():
            at_edges, elsewhere = difference[edge].mean(), difference[~edge].mean()
            ratios.append(np.log((at_edges + 0.1) / (elsewhere + 0.1)))
    return float(np.mean(ratios)) if ratios else 0.0


def _sharpness(grey: Image) -> float:
    return float(np.log(cv2.Laplacian(grey, cv2.CV_32F).var() + 1))


def _noise(grey: Image) -> float:
    residual = grey.astype(np.float32) - cv2.medianBlur(grey, 3)
    return float(np.log(np.abs(residual).mean() + 0.1))


def _comparisons(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series, pd.Series]]:
    """Yield (comparison, kind, whether a row is of the first source, whether of the second)."""
    category, fake = rows["category"], rows["label"] == "fake"
    reals = sorted(category[~fake].unique())
    for i, one in enumerate(reals):
        for other in reals[i + 1 :]:
            yield f"{one} against {other}", "real against real", category == one, category == other
    if fake.any() and reals:
        yield "fake against real", "fake against real", fake, ~fake
    for method in sorted(category[fake].unique()):
        originals = (category == REAL_COUNTERPART.get(method)) & ~fake
        if originals.any():
            against = f"{method} against its originals"
            yield against, "method against its originals", category == method, originals


def _probe(
    comparison: str,
    kind: str,
    rows: pd.DataFrame,
    values: npt.NDArray[np.float32],
    one: pd.Series,
    other: pd.Series,
) -> ProbeResult:
    """Run the probe on the rows of two sources."""
    selected = np.flatnonzero((one | other).to_numpy())
    is_one, group = one.to_numpy()[selected], rows["group"].to_numpy()[selected]
    groups = min(len(set(group[is_one])), len(set(group[~is_one])))
    folds = min(FOLDS, groups)
    scale_free = [name not in SCALE_DEPENDENT for name in PROPERTIES]
    auc, weights = _cross_validated(values[selected], is_one, group, folds)
    auc_scaled, _ = _cross_validated(values[selected][:, scale_free], is_one, group, folds)
    strongest = PROPERTIES[int(np.abs(weights).argmax())]
    return ProbeResult(comparison, kind, auc, auc_scaled, groups, len(selected), strongest)


def _cross_validated(
    values: npt.NDArray[np.float32],
    is_one: npt.NDArray[np.bool_],
    group: npt.NDArray[np.object_],
    folds: int,
) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the mean AUC over folds of groups, and the weights of a model fitted on all rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced")
    )
    scores = []
    if folds >= 2:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
        for train, test in splitter.split(values, is_one, group):
            if len(set(is_one[train])) == 2 and len(set(is_one[test])) == 2:
                model.fit(values[train], is_one[train])
                scores.append(roc_auc_score(is_one[test], model.decision_function(values[test])))
    model.fit(values, is_one)
    return (float(np.mean(scores)) if scores else float("nan")), model[-1].coef_[0]
