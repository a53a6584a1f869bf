"""Predictions of anybody's detector: a CSV file with a row for every face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from classify.errors import ClassifyError
from classify.scores import BINARY, PREFIX, Scores, label_of, scored
from ffpp_tools.files import regular
from ffpp_tools.manifest import Manifest

ROUNDED = 0.01  # how far from 1 the probabilities of a row may sum up to


def read_predictions(path: Path, manifest: Manifest, split: str) -> tuple[Scores, Scores | None]:
    """The scores of a split, and of val if the file holds all of it, to choose a threshold by.

    The file has `face_id` or `path` as in the manifest, and either `p_fake` or a column
    `p_<class>` for every class; other columns and faces are left alone.

    Raises:
        ClassifyError: no such file, a column or a face of the split is missing, a face stands
            there twice, or something is no probability.
    """
    table = _read(path)
    samples = {name: manifest.samples(name) for name in dict.fromkeys((split, "val"))}
    key = next((k for k in ("face_id", "path") if k in table), None)
    if key is None:
        raise ClassifyError(f"{path}: a column face_id or path is needed, as in {manifest.folder}")
    asked = pd.concat(samples.values())
    table = table[table[key].isin(asked[key])]
    twice = table[key][table[key].duplicated()]
    if len(twice):
        raise ClassifyError(
            f"{path}: {twice.iloc[0]} is there more than once (and {len(twice) - 1} further rows "
            f"repeat a face): give each face one row"
        )
    known = {**dict(zip(asked["category"], asked["label"], strict=True)), **manifest.classes}
    classes = _classes(table, manifest, known, path)
    values = _probabilities(table, classes, path).set_axis(table[key])
    judged = _joined(values, samples[split], key, classes)
    missing = np.isnan(judged.probabilities).any(axis=1)
    if missing.any():
        first = judged.table[key][missing].iloc[0]
        raise ClassifyError(
            f"{path}: {missing.sum()} of {len(judged)} faces of {manifest.folder}/{split}.csv are "
            f"missing, such as {first}. Give every one a probability: to leave out the hard ones "
            f"would flatter."
        )
    if split == "val":
        return judged, None
    validation = _joined(values, samples["val"], key, classes)
    whole = len(validation) > 0 and not np.isnan(validation.probabilities).any()
    return judged, validation if whole else None


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(regular(path), dtype={"face_id": "str", "path": "str"})
    except OSError as error:
        raise ClassifyError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise ClassifyError(f"{path}: not a readable CSV file ({error})") from error


def _classes(
    table: pd.DataFrame, manifest: Manifest, known: dict[str, str], path: Path
) -> dict[str, str]:
    """The classes that the columns are of; of each column p_fake alone, fake and real."""
    names = sorted(str(c).removeprefix(PREFIX) for c in table if str(c).startswith(PREFIX))
    if "fake" in names and not set(manifest.classes) <= set(names):
        return BINARY
    names = [name for name in names if name not in BINARY or name in manifest.classes]
    if not names:
        wanted = ", ".join(f"{PREFIX}{name}" for name in manifest.classes)
        raise ClassifyError(f"{path}: a column p_fake is needed, or one for each class: {wanted}")
    found = {name: known.get(name) or label_of(name) for name in names}
    if unknown := [name for name, label in found.items() if label is None]:
        raise ClassifyError(
            f"{path}: {PREFIX}{unknown[0]} is of no known class, so that P(fake) is not known; "
            f"{manifest.folder} has {', '.join(manifest.classes)}"
        )
    return {name: str(label) for name, label in found.items()}


def _probabilities(table: pd.DataFrame, classes: dict[str, str], path: Path) -> pd.DataFrame:
    if classes == BINARY and f"{PREFIX}real" not in table:
        table = table.assign(p_real=1 - pd.to_numeric(table[f"{PREFIX}fake"], errors="coerce"))
    values = table[[f"{PREFIX}{name}" for name in classes]].apply(pd.to_numeric, errors="coerce")
    for name, column in values.items():
        wrong = ~column.between(0, 1)  # also where it is nan
        if wrong.any():
            line, found = values.index[wrong][0], table[name][wrong].iloc[0]
            raise ClassifyError(f"{path}, line {line + 2}: {name} is {found}, no probability")
    sums = values.sum(axis=1)
    wrong = (sums - 1).abs() > ROUNDED
    if wrong.any():
        line, total = values.index[wrong][0], sums[wrong].iloc[0]
        raise ClassifyError(
            f"{path}, line {line + 2}: the probabilities of {', '.join(classes)} sum up to "
            f"{total:.3f}, not 1"
        )
    return values


def _joined(
    values: pd.DataFrame, samples: pd.DataFrame, key: str, classes: dict[str, str]
) -> Scores:
    return scored(samples, values.reindex(samples[key]).to_numpy(float), classes)
