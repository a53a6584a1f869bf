"""What gives the answer away without looking at the face: a shortcut probe.

A logistic regression on cheap properties of the crops alone, trained and tested on different
groups of people. Where it tells two sources apart, a network can too, and a network's figure says
little about manipulation until it is well above the probe's.
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
MAX_SAMPLES = 4000  # of each category; more would not change the answers
SIDE = 128  # what networks are fed with: sharpness and noise are measured at this size too

PROPERTIES = (
    "log_size",  # of the crop's longer side, in pixels
    "aspect",  # of the crop
    "face_share",  # of the box's longer side in the crop's
    "face_aspect",
    "face_x",  # centre of the box in the crop, as shares
    "face_y",
    "blockiness_8",  # steps at multiples of 8 pixels of the frame, against those elsewhere
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
# What is left of them when every crop is scaled to one size, as networks are fed.
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
    """How well cheap properties alone tell two sources apart."""

    question: str  # "CelebA against Youtube"
    kind: str  # "real against real", "fake against real" or "method against its originals"
    auc: float  # area under the ROC curve, mean over folds of groups; nan where they are too few
    auc_scaled: float  # the same by what is left when all crops are scaled to 128 pixels
    groups: int  # the fewer of the two sides
    samples: int
    telling: str  # the property that weighs most


def measure_shortcuts(
    dataset: Path, faces: pd.DataFrame, samples: pd.DataFrame, workers: int
) -> list[ProbeResult]:
    """Ask whatever can be asked of a manifest's samples.

    Args:
        dataset: the folder of the crops.
        faces: columns as in `FaceRow`.
        samples: columns of `ManifestRow`, of all splits.
        workers: how many processes measure.

    Raises:
        TableError: the manifest was made from crops that are no longer there.
    """
    shuffled = samples["category"].reset_index(drop=True).sample(frac=1, random_state=0)
    drawn = shuffled.groupby(shuffled).head(MAX_SAMPLES).index
    samples = samples.iloc[drawn].reset_index(drop=True)
    at = positions(faces["face_id"], samples["face_id"])
    if (at < 0).any():
        raise TableError(
            f"{dataset}: {(at < 0).sum()} crops of the manifest are no longer in "
            f"faces.parquet; make the manifest again with `ffpp-split`"
        )
    own = faces.drop(columns=["path", "face_id"]).iloc[at].reset_index(drop=True)
    rows = pd.concat([samples, own], axis=1)
    values = cached_features(dataset, rows, "properties", properties, len(PROPERTIES), workers)
    readable = ~np.isnan(values).any(axis=1)
    rows, values = rows[readable].reset_index(drop=True), values[readable]
    return [
        _answer(question, kind, rows, values, one, other)
        for question, kind, one, other in _questions(rows)
    ]


def write(manifest: Manifest, answers: Sequence[ProbeResult]) -> None:
    """Keep the answers beside the manifest, in probe.json, for reports to show.

    Raises:
        FfppError: the file cannot be written, and not because the folder may only be read.
    """
    rows = [{k: None if v != v else v for k, v in asdict(a).items()} for a in answers]
    values = {"files": manifest.info["files"], "answers": rows}
    values = with_digest(format_versions.with_format(format_versions.PROBE, values))
    text = json.dumps(values, indent=2) + "\n"
    with unless_read_only():
        write_atomically(manifest.folder / "probe.json", text.encode())


def read(manifest: Manifest) -> list[ProbeResult]:
    """The answers that `ffpp-audit` left beside a manifest; none where it did not, or of another.

    Raises:
        TableError: probe.json is damaged, or was changed after it was written.
    """
    path = manifest.folder / "probe.json"
    if not path.exists():
        return []
    try:
        found = dict(read_json(path))
        format_versions.checked_format(format_versions.PROBE, path, found)
        if found["files"] != manifest.info["files"]:
            return []
        if is_intact(found) is False:
            raise TableError(f"{path} was changed after it was written; run `ffpp-audit` again")
        rows: list[dict[str, Any]] = found["answers"]
        nan = float("nan")
        aucs = [{k: nan for k in ("auc", "auc_scaled") if row[k] is None} for row in rows]
        return [ProbeResult(**{**row, **missing}) for row, missing in zip(rows, aucs, strict=True)]
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(f"{path}: damaged ({error!r}); run `ffpp-audit` again") from error


def properties(image: Image, row: pd.Series) -> npt.NDArray[np.float32]:
    """What is cheaply seen of a crop: the numbers named in `PROPERTIES`."""
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
    """The mean step between pixels at the edges of blocks over that elsewhere, as a logarithm."""
    levels = grey.astype(np.float32)
    ratios = []
    for axis, first in ((1, left), (0, top)):
        step = np.abs(np.diff(levels, axis=axis)).mean(axis=1 - axis)
        edge = (np.arange(len(step)) + 1 + first) % block == 0
        if edge.any() and not edge.all():
            ratios.append(np.log((step[edge].mean() + 0.1) / (step[~edge].mean() + 0.1)))
    return float(np.mean(ratios)) if ratios else 0.0


def _sharpness(grey: Image) -> float:
    return float(np.log(cv2.Laplacian(grey, cv2.CV_32F).var() + 1))


def _noise(grey: Image) -> float:
    rest = grey.astype(np.float32) - cv2.medianBlur(grey, 3)
    return float(np.log(np.abs(rest).mean() + 0.1))


def _questions(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series, pd.Series]]:
    """(question, kind, which rows are one side, which are the other)."""
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


def _answer(
    question: str,
    kind: str,
    rows: pd.DataFrame,
    values: npt.NDArray[np.float32],
    one: pd.Series,
    other: pd.Series,
) -> ProbeResult:
    at = np.flatnonzero((one | other).to_numpy())
    is_one, group = one.to_numpy()[at], rows["group"].to_numpy()[at]
    few = min(len(set(group[is_one])), len(set(group[~is_one])))
    left = [name not in SCALE_DEPENDENT for name in PROPERTIES]
    auc, weights = _tried(values[at], is_one, group, min(FOLDS, few))
    auc_scaled, _ = _tried(values[at][:, left], is_one, group, min(FOLDS, few))
    telling = PROPERTIES[int(np.abs(weights).argmax())]
    return ProbeResult(question, kind, auc, auc_scaled, few, len(at), telling)


def _tried(
    values: npt.NDArray[np.float32],
    is_one: npt.NDArray[np.bool_],
    group: npt.NDArray[np.object_],
    folds: int,
) -> tuple[float, npt.NDArray[np.float64]]:
    """The AUC over folds of groups, and the weights of a model of everything."""
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
