"""Read external predictions: a CSV file with a row per face or per clip, of any detector."""

from __future__ import annotations

import codecs
import csv
import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classify.errors import ClassifyError
from classify.evaluation.metrics import Floats
from classify.evaluation.scores import (
    BINARY,
    CLIP_KEY,
    PREFIX,
    Scores,
    label_of,
    make_scores,
    p_fake,
)
from ffpp_tools.files import regular_file
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import STILL

ROUNDED = 0.01  # tolerance for the sum of a row's probabilities, and for p_fake against its sum
OUTSIDE = 0.001  # tolerance below 0 and above 1, for half precision; such values are clipped
SEPARATORS = ",;\t"
TEXTS = ("face_id", "path", *CLIP_KEY)
ALSO_CALLED = {"video": "clip"}
FILE_SUFFIXES = (".png", ".jpg", ".jpeg", ".mp4", ".avi", ".mov", ".mkv", ".webm")


def read_predictions(path: Path, manifest: Manifest, split: str) -> tuple[Scores, Scores | None]:
    """Read the scores of a split, and of val if the file covers it, to fit a threshold on.

    The file has one of: `face_id` as in the manifest; `path` as in the manifest; `category`,
    `compression` and `clip` with `frame`; or these three columns with one score per clip. It also
    has `p_fake`, or a column `p_<class>` for every class. Other columns and rows are ignored.

    Args:
        path: the CSV file.
        manifest: the manifest that the faces or clips belong to.
        split: "test", "val" or "train".

    Returns:
        The scores of the split, and those of val; None for val if the file does not cover all of
        it, or if it is the split itself.

    Raises:
        ClassifyError: the file cannot be read; a column, or a face or clip of the split, is
            missing; one appears twice; a value is not a probability; or `p_fake` contradicts the
            classes.
    """
    samples = {name: manifest.samples(name) for name in dict.fromkeys((split, "val"))}
    table = _read(path, manifest, pd.concat(samples.values()))
    rows = _match_rows(table, samples, manifest, path)
    repeated = rows.name_of[rows.name_of.duplicated()]
    if len(repeated):
        raise ClassifyError(
            f"{path}: {repeated.iloc[0]} appears more than once (and {len(repeated) - 1} further "
            f"rows repeat a {rows.unit}): give each {rows.unit} one row"
        )
    expected = pd.concat(samples.values())
    label_by_class = {
        **dict(zip(expected["category"], expected["label"], strict=True)),
        **manifest.classes,
    }
    table = table.loc[rows.name_of.index]
    classes = _classes(table, manifest, label_by_class, path)
    values = _probabilities(table, classes, path).set_axis(rows.name_of)
    scores = rows.scores(values, split, classes)
    missing = np.isnan(scores.probabilities).any(axis=1)
    if missing.any():
        names = rows.names(scores.table[missing])
        kind = "faces" if rows.unit == "face" else "clips"
        raise ClassifyError(
            f"{path}: no probability for {len(names)} of the {len(scores)} {kind} of "
            f"{manifest.folder}/{split}.csv, such as {', '.join(names[:3])}. Add them: "
            f"dropping hard samples would overestimate performance."
        )
    if split == "val":
        return scores, None
    validation = rows.scores(values, "val", classes)
    complete = len(validation) > 0 and not np.isnan(validation.probabilities).any()
    return scores, validation if complete else None


@dataclass(frozen=True)
class _MatchedRows:
    """The rows of a file, matched to the samples of a manifest.

    name_of: face id or clip name by row of the file; without the rows that match no sample.
    samples: samples by split.
    """

    name_of: pd.Series
    unit: str  # "face" or "clip"
    samples: Mapping[str, pd.DataFrame]

    def names(self, samples: pd.DataFrame) -> list[str]:
        """Return the names of samples, as in `name_of`."""
        return list(samples["face_id"] if self.unit == "face" else _clip_names(samples))

    def scores(self, values: pd.DataFrame, split: str, classes: dict[str, str]) -> Scores:
        """Return a split with the probabilities of the file; nan for samples not in the file."""
        samples = self.samples[split]
        probabilities = values.reindex(self.names(samples)).to_numpy(float)
        unit = "frame" if self.unit == "face" else "clip"
        return make_scores(samples, probabilities, classes, unit)


def _clip_names(samples: pd.DataFrame) -> pd.Series:
    """Return the clip name of every sample, such as "Deepfakes/c23/000_003"."""
    return samples["category"] + "/" + samples["compression"] + "/" + samples["clip"]


def _read(path: Path, manifest: Manifest, expected: pd.DataFrame) -> pd.DataFrame:
    """Read a table with any separator and normalise the column names to those of the manifest."""
    try:
        with regular_file(path).open("rb") as file:
            is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding = "utf-16" if is_utf16 else "utf-8-sig"
        with path.open(encoding=encoding, newline="") as text:
            header, first = text.readline(), text.readline()
        separator = max(SEPARATORS, key=header.count)
        fields, values = (next(csv.reader([x], delimiter=separator), []) for x in (header, first))
        if any(values[len(fields) :]):
            raise ClassifyError(
                f"{path}, line 2 has {len(values)} fields, but the header has "
                f"{len(fields)}. If it has decimal commas, use points, or separate columns by ;"
            )
        names = _column_names([*fields, *values[len(fields) :]], manifest, expected)
        if repeated := sorted({name for name in names if name and names.count(name) > 1}):
            raise ClassifyError(f"{path}: more than one column {repeated[0]}; remove all but one")
        return pd.read_csv(
            path,
            sep=separator,
            encoding=encoding,
            header=0,
            names=[name or f"unnamed {i}" for i, name in enumerate(names)] or None,
            dtype=dict.fromkeys(TEXTS, "str"),
            skipinitialspace=True,
        )
    except OSError as error:
        raise ClassifyError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, UnicodeError, csv.Error) as error:
        raise ClassifyError(f"{path}: not a readable CSV file ({error})") from error


def _column_names(header: Iterable[str], manifest: Manifest, expected: pd.DataFrame) -> list[str]:
    """Strip column names; known names get their usual spelling, whatever their case."""
    classes = (*manifest.classes, *expected["category"].unique(), *BINARY)
    usual = {name.lower(): name for name in (*TEXTS, "frame", *(f"{PREFIX}{c}" for c in classes))}
    usual |= ALSO_CALLED
    names = [name.strip() for name in header]
    return [usual.get(name.lower(), name) for name in names]


def _match_rows(
    table: pd.DataFrame, samples: Mapping[str, pd.DataFrame], manifest: Manifest, path: Path
) -> _MatchedRows:
    """Match the rows of a file to the faces or clips of a manifest."""
    expected = pd.concat(samples.values())
    keys = [key for key in ("face_id", "path") if key in table]
    for key in keys:
        face_ids = _match_faces(table[key], expected, key, manifest, path)
        if len(face_ids):
            return _MatchedRows(face_ids, "face", samples)
    if keys and "clip" not in table:
        given = f", such as {str(table[keys[0]].iloc[0])!r:.100}," if len(table) else ""
        wanted = f", such as {expected[keys[0]].iloc[0]!r}" if len(expected) else ""
        raise ClassifyError(
            f"{path}: no {keys[0]}{given} is in {manifest.folder}; write each {keys[0]} as in the "
            f"manifest{wanted}"
        )
    if "clip" not in table:
        raise ClassifyError(
            f"{path}: needs a column face_id or path, as in {manifest.folder}, or the columns "
            f"category, compression and clip"
        )
    clips = {
        name: rows[rows["compression"] != STILL].drop_duplicates(CLIP_KEY)
        for name, rows in samples.items()
    }
    if "frame" in table:
        return _MatchedRows(_match_frames(table, expected, path), "face", samples)
    split = next(iter(clips))
    if not len(clips[split]):
        raise ClassifyError(
            f"{path} has one score per clip, but {manifest.folder}/{split}.csv has no clips"
        )
    return _MatchedRows(_match_clips(table, pd.concat(clips.values()), path), "clip", clips)


def _match_faces(
    given: pd.Series, expected: pd.DataFrame, key: str, manifest: Manifest, path: Path
) -> pd.Series:
    """Return the face id of every row that names a crop by `key`, however its path is written.

    Raises:
        ClassifyError: paths that may belong to other crops.
    """
    face_of = dict(zip(expected[key], expected["face_id"], strict=True))
    is_exact = given.isin(list(face_of))
    exact = given[is_exact].map(face_of)
    depths = sorted({name.count("/") + 1 for name in face_of}, reverse=True)
    example_below: dict[str, str] = {}  # folder before a crop's path → path of one such crop
    by_tail: dict[int, str] = {}
    inexact = given[~is_exact].dropna()
    for row, value in zip(inexact.index.to_list(), inexact, strict=True):
        name = _normalised(value)
        parts = (_without_suffix(name) if key == "face_id" else name).split("/")
        for depth in depths:
            tail = "/".join(parts[-depth:])
            if tail in face_of:
                by_tail[row] = face_of[tail]
                example_below.setdefault("/".join(parts[:-depth]), tail)
                break
    _check_root(example_below, manifest, path)
    return pd.concat([exact, pd.Series(by_tail, dtype="str")]).sort_index() if by_tail else exact


def _check_root(example_below: Mapping[str, str], manifest: Manifest, path: Path) -> None:
    """Reject paths into another dataset; accept a single folder that is not on this machine."""
    root = manifest.root.resolve()
    own = {os.path.realpath(folder) for folder in (root, root / "faces")}
    others = [f for f in example_below if f and os.path.realpath(f) not in own]
    in_folder = {f: os.path.join(f, example_below[f]) for f in others}  # noqa: PTH118
    existing = [f for f, crop in in_folder.items() if os.path.lexists(crop)]
    if existing or len(others) > 1:
        folders = " and ".join((existing or others)[:2])
        raise ClassifyError(
            f"{path}: paths under {folders} may belong to other crops than those in {root}. Give "
            f"paths under that folder, or the face_id of the manifest."
        )


def _normalised(value: str) -> str:
    """Return a path with forward slashes and without "." and ".."."""
    return posixpath.normpath(value.strip().replace("\\", "/"))


def _without_suffix(name: str) -> str:
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in FILE_SUFFIXES else name


def _clip_columns(table: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """Return category, compression and clip of rows, as far as columns and paths give them."""
    category = {name.lower(): name for name in expected["category"].unique()}
    compressions, clips = set(expected["compression"]), set(expected["clip"])
    columns = pd.DataFrame(index=table.index)
    paths = table["clip"].fillna("").map(_normalised).map(_without_suffix)
    columns["clip"] = [name if name in clips else name.split("/")[-1] for name in paths]
    folders = [name.split("/")[:-1] for name in paths]
    if "category" in table:
        given = table["category"].fillna("").str.strip()
        columns["category"] = given.map(lambda name: category.get(name.lower(), name))
    elif any(folders):
        columns["category"] = [
            next((category[f.lower()] for f in parents if f.lower() in category), "")
            for parents in folders
        ]
    if "compression" in table:
        columns["compression"] = table["compression"].fillna("").str.strip()
    elif any(folders):
        columns["compression"] = [
            next((f for f in parents if f in compressions), "") for parents in folders
        ]
    return columns[[name for name in CLIP_KEY if name in columns]]


def _match_clips(table: pd.DataFrame, expected: pd.DataFrame, path: Path) -> pd.Series:
    """Return the clip of every row, as "category/compression/clip"."""
    given = _clip_columns(table, expected)
    clips = expected.drop_duplicates(CLIP_KEY)
    return _look_up(given, clips[list(given)], _clip_names(clips), path)


def _match_frames(table: pd.DataFrame, expected: pd.DataFrame, path: Path) -> pd.Series:
    """Return the face id of every row that names a clip and a frame."""
    given = _clip_columns(table, expected).assign(frame=pd.to_numeric(table["frame"], "coerce"))
    known = expected[list(given)].astype({"frame": float})
    return _look_up(given, known, expected["face_id"], path)


def _look_up(given: pd.DataFrame, known: pd.DataFrame, names: pd.Series, path: Path) -> pd.Series:
    """Return the name of each row of `given`, found among `known`; unknown rows are dropped.

    Raises:
        ClassifyError: a row matches several names.
    """
    columns = list(given)
    table = known.assign(name=names)
    matches = given.reset_index().merge(table, on=columns)
    several = matches[matches["index"].duplicated(keep=False)]
    if len(several):
        line = int(several["index"].iloc[0])
        candidates = several["name"][several["index"] == line].unique()
        if len(candidates) > 1:
            absent = [name for name in CLIP_KEY if name not in columns]
            remedy = f"add {' and '.join(absent)}" if absent else "name faces by their face_id"
            raise ClassifyError(
                f"{path}, line {line + 2}: {'/'.join(map(str, given.loc[line]))} is ambiguous, "
                f"{' or '.join(candidates[:3])}: {remedy}"
            )
    return matches.drop_duplicates("index").set_index("index")["name"].sort_index()


def _classes(
    table: pd.DataFrame, manifest: Manifest, label_by_class: dict[str, str], path: Path
) -> dict[str, str]:
    """Return the classes of the probability columns; fake and real for p_fake or p_real alone."""
    names = sorted(str(c).removeprefix(PREFIX) for c in table if str(c).startswith(PREFIX))
    if set(BINARY) & set(names) and not set(manifest.classes) <= set(names):
        return BINARY
    names = [name for name in names if name not in BINARY or name in manifest.classes]
    if not names:
        wanted = ", ".join(f"{PREFIX}{name}" for name in manifest.classes)
        raise ClassifyError(
            f"{path}: needs a column p_fake, or one for each class: {wanted}; it has "
            f"{', '.join(map(str, table.columns))}. Rename the column: a name such as score does "
            f"not say whether it is the probability of fake or of real."
        )
    label_by_name = {name: label_by_class.get(name) or label_of(name) for name in names}
    if unknown := [name for name, label in label_by_name.items() if label is None]:
        raise ClassifyError(
            f"{path}: {PREFIX}{unknown[0]} has no known class, so P(fake) cannot be computed; "
            f"the classes of {manifest.folder} are {', '.join(manifest.classes)}"
        )
    return {name: str(label) for name, label in label_by_name.items()}


def _probabilities(table: pd.DataFrame, classes: dict[str, str], path: Path) -> pd.DataFrame:
    """Return the columns of the classes, checked and clipped to 0 to 1."""
    columns = [f"{PREFIX}{name}" for name in classes]
    if classes == BINARY:
        for column, complement in (columns, columns[::-1]):
            if column not in table:
                table = table.assign(**{column: 1 - _numbers(table[complement])})
    values = pd.DataFrame({name: _checked(table[name], path) for name in columns})
    sums = values.sum(axis=1)
    wrong = (sums - 1).abs() > ROUNDED
    if wrong.any():
        line, total = values.index[wrong][0], sums[wrong].iloc[0]
        raise ClassifyError(
            f"{path}, line {line + 2}: the probabilities of {', '.join(classes)} sum to "
            f"{total:.3f}, not 1"
        )
    if f"{PREFIX}fake" in table and "fake" not in classes:
        _check_p_fake(_numbers(table[f"{PREFIX}fake"]), p_fake(values.to_numpy(), classes), path)
    return values


def _check_p_fake(given: pd.Series, total: Floats, path: Path) -> None:
    """Reject a P(fake) that differs from the sum over the fake classes."""
    wrong = (given - total).abs() > ROUNDED
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ClassifyError(
            f"{path}, line {given.index[row] + 2}: p_fake is {given.iloc[row]:.3g}, but the fake "
            f"classes sum to {total[row]:.3g} ({wrong.sum()} rows differ): remove the wrong columns"
        )


def _numbers(column: pd.Series) -> pd.Series:
    """Convert a column to numbers; decimal commas are read if all values have them; else nan."""
    if not pd.api.types.is_numeric_dtype(column):
        text = column.astype("str").str.strip()
        if text.str.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?|[-+]?\d+").all():
            text = text.str.replace(",", ".")
        column = pd.to_numeric(text, errors="coerce")
    return column.astype(float)


def _checked(column: pd.Series, path: Path) -> pd.Series:
    """Return a column of probabilities, clipped to 0 to 1; reject other values."""
    values = _numbers(column)
    wrong = ~values.between(-OUTSIDE, 1 + OUTSIDE)  # also where it is nan
    if wrong.any():
        line, value = values.index[wrong][0], column[wrong].iloc[0]
        raise ClassifyError(
            f"{path}, line {line + 2}: {column.name} is {value}, not a probability{_remedy(column)}"
        )
    return values.clip(0, 1)


def _remedy(column: pd.Series) -> str:
    """Suggest how to convert values outside 0 to 1."""
    values = _numbers(column)
    if column.astype("str").str.contains("%").any() or (values.between(0, 100).all()):
        return ". If it is in per cent, divide by 100"
    if np.isfinite(values).all():
        return ". If it is a logit, give 1 / (1 + exp(-x)), or the softmax over all classes"
    return ""
