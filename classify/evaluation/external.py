"""Predictions of anybody's detector: a CSV file with a row for every face, or for every clip."""

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

ROUNDED = 0.01  # how far from 1 the probabilities of a row may sum up to, and p_fake from its sum
OUTSIDE = 0.001  # how far below 0 or above 1 half precision may bring a probability; it is clipped
SEPARATORS = ",;\t"
TEXTS = ("face_id", "path", *CLIP_KEY)
ALSO_CALLED = {"video": "clip"}
FILE_SUFFIXES = (".png", ".jpg", ".jpeg", ".mp4", ".avi", ".mov", ".mkv", ".webm")


def read_predictions(path: Path, manifest: Manifest, split: str) -> tuple[Scores, Scores | None]:
    """The scores of a split, and of val if the file holds all of it, to choose a threshold by.

    The file has `face_id` or `path` as in the manifest, or `category`, `compression` and `clip`,
    with `frame` or as one score for each whole clip; and either `p_fake` or a column `p_<class>`
    for every class. Other columns and rows are left alone.

    Raises:
        ClassifyError: no such file, a column, a face or a clip of the split is missing, one stands
            there twice, something is no probability, or `p_fake` contradicts the classes.
    """
    samples = {name: manifest.samples(name) for name in dict.fromkeys((split, "val"))}
    table = _read(path, manifest, pd.concat(samples.values()))
    rows = _rows(table, samples, manifest, path)
    twice = rows.of[rows.of.duplicated()]
    if len(twice):
        raise ClassifyError(
            f"{path}: {twice.iloc[0]} is there more than once (and {len(twice) - 1} further rows "
            f"repeat a {rows.unit}): give each {rows.unit} one row"
        )
    asked = pd.concat(samples.values())
    known = {**dict(zip(asked["category"], asked["label"], strict=True)), **manifest.classes}
    table = table.loc[rows.of.index]
    classes = _classes(table, manifest, known, path)
    values = _probabilities(table, classes, path).set_axis(rows.of)
    judged = rows.scored(values, split, classes)
    missing = np.isnan(judged.probabilities).any(axis=1)
    if missing.any():
        names = rows.names(judged.table[missing])
        kind = "faces" if rows.unit == "face" else "clips"
        raise ClassifyError(
            f"{path}: without {len(names)} of the {len(judged)} {kind} of "
            f"{manifest.folder}/{split}.csv, such as {', '.join(names[:3])}. Give every one a "
            f"probability: to leave out the hard ones would flatter."
        )
    if split == "val":
        return judged, None
    validation = rows.scored(values, "val", classes)
    whole = len(validation) > 0 and not np.isnan(validation.probabilities).any()
    return judged, validation if whole else None


@dataclass(frozen=True)
class _Rows:
    """What the rows of a file are of.

    of: the face's id, or the clip's name, by the row of the file; rows of something else are not
        in it.
    samples: of every split that was asked for.
    """

    of: pd.Series
    unit: str  # "face" or "clip"
    samples: Mapping[str, pd.DataFrame]

    def names(self, samples: pd.DataFrame) -> list[str]:
        """What samples are called in `of`."""
        return list(samples["face_id"] if self.unit == "face" else _clip_names(samples))

    def scored(self, values: pd.DataFrame, split: str, classes: dict[str, str]) -> Scores:
        """A split with the probabilities of the file; nan where it has none."""
        samples = self.samples[split]
        found = values.reindex(self.names(samples)).to_numpy(float)
        return make_scores(samples, found, classes, "frame" if self.unit == "face" else "clip")


def _clip_names(samples: pd.DataFrame) -> pd.Series:
    """Of the clip of every sample: "Deepfakes/c23/000_003"."""
    return samples["category"] + "/" + samples["compression"] + "/" + samples["clip"]


def _read(path: Path, manifest: Manifest, asked: pd.DataFrame) -> pd.DataFrame:
    """The table in a file, whatever separates its columns, with names as the manifest has them."""
    try:
        with regular_file(path).open("rb") as file:
            wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding = "utf-16" if wide else "utf-8-sig"
        with path.open(encoding=encoding, newline="") as text:
            header, first = text.readline(), text.readline()
        separator = max(SEPARATORS, key=header.count)
        fields, values = (next(csv.reader([x], delimiter=separator), []) for x in (header, first))
        if any(values[len(fields) :]):
            raise ClassifyError(
                f"{path}, line 2 has {len(values)} fields, and the headline {len(fields)} (decimal "
                f"commas? Write points, or separate columns by ;)"
            )
        names = _named([*fields, *values[len(fields) :]], manifest, asked)
        if twice := sorted({name for name in names if name and names.count(name) > 1}):
            raise ClassifyError(f"{path}: there are two columns {twice[0]}; leave one out")
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


def _named(header: Iterable[str], manifest: Manifest, asked: pd.DataFrame) -> list[str]:
    """Names of columns without spaces round them; those that are known in the usual letters."""
    classes = (*manifest.classes, *asked["category"].unique(), *BINARY)
    usual = {name.lower(): name for name in (*TEXTS, "frame", *(f"{PREFIX}{c}" for c in classes))}
    usual |= ALSO_CALLED
    names = [name.strip() for name in header]
    return [usual.get(name.lower(), name) for name in names]


def _rows(
    table: pd.DataFrame, samples: Mapping[str, pd.DataFrame], manifest: Manifest, path: Path
) -> _Rows:
    """Find out what the rows are of."""
    asked = pd.concat(samples.values())
    keys = [key for key in ("face_id", "path") if key in table]
    for key in keys:
        of = _faces(table[key], asked, key, manifest, path)
        if len(of):
            return _Rows(of, "face", samples)
    if keys and "clip" not in table:
        here = f", such as {str(table[keys[0]].iloc[0])!r:.100}," if len(table) else ""
        there = f", such as {asked[keys[0]].iloc[0]!r}" if len(asked) else ""
        raise ClassifyError(
            f"{path}: no row has a {keys[0]}{here} of {manifest.folder}{there}; write them as there"
        )
    if "clip" not in table:
        raise ClassifyError(
            f"{path}: a column face_id or path is needed, as in {manifest.folder}, or columns "
            f"category, compression and clip"
        )
    moving = {
        name: rows[rows["compression"] != STILL].drop_duplicates(CLIP_KEY)
        for name, rows in samples.items()
    }
    if "frame" in table:
        return _Rows(_frames(table, asked, path), "face", samples)
    split = next(iter(moving))
    if not len(moving[split]):
        raise ClassifyError(
            f"{path} scores whole clips, and {manifest.folder}/{split}.csv has none"
        )
    return _Rows(_clips(table, pd.concat(moving.values()), path), "clip", moving)


def _faces(
    given: pd.Series, asked: pd.DataFrame, key: str, manifest: Manifest, path: Path
) -> pd.Series:
    """The face ids of rows that name a crop by `key`, in whatever way its path is written.

    Raises:
        ClassifyError: paths that may be of other crops.
    """
    face_of = dict(zip(asked[key], asked["face_id"], strict=True))
    as_it_is = given.isin(list(face_of))
    of = given[as_it_is].map(face_of)
    depths = sorted({name.count("/") + 1 for name in face_of}, reverse=True)
    before: dict[str, str] = {}  # what stands before the path of a crop → such a crop
    found: dict[int, str] = {}
    rest = given[~as_it_is].dropna()
    for row, value in zip(rest.index.to_list(), rest, strict=True):
        name = _plain(value)
        parts = (_without_suffix(name) if key == "face_id" else name).split("/")
        for depth in depths:
            tail = "/".join(parts[-depth:])
            if tail in face_of:
                found[row] = face_of[tail]
                before.setdefault("/".join(parts[:-depth]), tail)
                break
    _check_root(before, manifest, path)
    return pd.concat([of, pd.Series(found, dtype="str")]).sort_index() if found else of


def _check_root(before: Mapping[str, str], manifest: Manifest, path: Path) -> None:
    """Refuse paths that lead into another dataset; one that is not on this machine may be meant."""
    root = manifest.root.resolve()
    own = {os.path.realpath(place) for place in (root, root / "faces")}
    others = [place for place in before if place and os.path.realpath(place) not in own]
    wrong = [place for place in others if os.path.lexists(os.path.join(place, before[place]))]  # noqa: PTH118
    if wrong or len(others) > 1:
        named = " and ".join((wrong or others)[:2])
        raise ClassifyError(
            f"{path}: paths below {named} are not known to be of the crops in {root}. Give paths "
            f"below that folder, or the face_id of the manifest."
        )


def _plain(value: str) -> str:
    """A path with slashes and without detours."""
    return posixpath.normpath(value.strip().replace("\\", "/"))


def _without_suffix(name: str) -> str:
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in FILE_SUFFIXES else name


def _clip_columns(table: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Category, compression and clip of rows, as far as columns and paths tell them."""
    category = {name.lower(): name for name in asked["category"].unique()}
    compressions, clips = set(asked["compression"]), set(asked["clip"])
    columns = pd.DataFrame(index=table.index)
    paths = table["clip"].fillna("").map(_plain).map(_without_suffix)
    columns["clip"] = [name if name in clips else name.split("/")[-1] for name in paths]
    folders = [name.split("/")[:-1] for name in paths]
    if "category" in table:
        given = table["category"].fillna("").str.strip()
        columns["category"] = given.map(lambda name: category.get(name.lower(), name))
    elif any(folders):
        columns["category"] = [
            next((category[f.lower()] for f in of if f.lower() in category), "") for of in folders
        ]
    if "compression" in table:
        columns["compression"] = table["compression"].fillna("").str.strip()
    elif any(folders):
        columns["compression"] = [next((f for f in of if f in compressions), "") for of in folders]
    return columns[[name for name in CLIP_KEY if name in columns]]


def _clips(table: pd.DataFrame, asked: pd.DataFrame, path: Path) -> pd.Series:
    """The clips that rows are of, as "category/compression/clip"."""
    given = _clip_columns(table, asked)
    units = asked.drop_duplicates(CLIP_KEY)
    return _looked_up(given, units[list(given)], _clip_names(units), path)


def _frames(table: pd.DataFrame, asked: pd.DataFrame, path: Path) -> pd.Series:
    """The face ids of rows that name a clip and a frame."""
    given = _clip_columns(table, asked).assign(frame=pd.to_numeric(table["frame"], "coerce"))
    known = asked[list(given)].astype({"frame": float})
    return _looked_up(given, known, asked["face_id"], path)


def _looked_up(given: pd.DataFrame, known: pd.DataFrame, names: pd.Series, path: Path) -> pd.Series:
    """The name that belongs to each row; rows that are not known are left out.

    Raises:
        ClassifyError: what a row says fits several.
    """
    columns = list(given)
    table = known.assign(name=names)
    found = given.reset_index().merge(table, on=columns)
    several = found[found["index"].duplicated(keep=False)]
    if len(several):
        line = int(several["index"].iloc[0])
        fitting = several["name"][several["index"] == line].unique()
        if len(fitting) > 1:
            lacking = [name for name in CLIP_KEY if name not in columns]
            remedy = f"add {' and '.join(lacking)}" if lacking else "name faces by their face_id"
            raise ClassifyError(
                f"{path}, line {line + 2}: {'/'.join(map(str, given.loc[line]))} may be "
                f"{' or '.join(fitting[:3])}: {remedy}"
            )
    return found.drop_duplicates("index").set_index("index")["name"].sort_index()


def _classes(
    table: pd.DataFrame, manifest: Manifest, known: dict[str, str], path: Path
) -> dict[str, str]:
    """The classes that the columns are of; of p_fake or p_real alone, fake and real."""
    names = sorted(str(c).removeprefix(PREFIX) for c in table if str(c).startswith(PREFIX))
    if set(BINARY) & set(names) and not set(manifest.classes) <= set(names):
        return BINARY
    names = [name for name in names if name not in BINARY or name in manifest.classes]
    if not names:
        wanted = ", ".join(f"{PREFIX}{name}" for name in manifest.classes)
        raise ClassifyError(
            f"{path}: a column p_fake is needed, or one for each class: {wanted}; it has "
            f"{', '.join(map(str, table.columns))}. Rename the column: one of another name, "
            f"such as score, may be of fake or of real."
        )
    found = {name: known.get(name) or label_of(name) for name in names}
    if unknown := [name for name, label in found.items() if label is None]:
        raise ClassifyError(
            f"{path}: {PREFIX}{unknown[0]} is of no known class, so that P(fake) is not known; "
            f"{manifest.folder} has {', '.join(manifest.classes)}"
        )
    return {name: str(label) for name, label in found.items()}


def _probabilities(table: pd.DataFrame, classes: dict[str, str], path: Path) -> pd.DataFrame:
    """The columns of the classes, checked, from 0 to 1."""
    columns = [f"{PREFIX}{name}" for name in classes]
    if classes == BINARY:
        for own, other in (columns, columns[::-1]):
            if own not in table:
                table = table.assign(**{own: 1 - _numbers(table[other])})
    values = pd.DataFrame({name: _checked(table[name], path) for name in columns})
    sums = values.sum(axis=1)
    wrong = (sums - 1).abs() > ROUNDED
    if wrong.any():
        line, total = values.index[wrong][0], sums[wrong].iloc[0]
        raise ClassifyError(
            f"{path}, line {line + 2}: the probabilities of {', '.join(classes)} sum up to "
            f"{total:.3f}, not 1"
        )
    if f"{PREFIX}fake" in table and "fake" not in classes:
        _check_p_fake(_numbers(table[f"{PREFIX}fake"]), p_fake(values.to_numpy(), classes), path)
    return values


def _check_p_fake(given: pd.Series, total: Floats, path: Path) -> None:
    """Refuse a P(fake) that is not the sum over the fake classes beside it."""
    wrong = (given - total).abs() > ROUNDED
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ClassifyError(
            f"{path}, line {given.index[at] + 2}: p_fake is {given.iloc[at]:.3g}, and the fake "
            f"classes sum up to {total[at]:.3g} ({wrong.sum()} rows differ): leave out what is not "
            f"meant"
        )


def _numbers(column: pd.Series) -> pd.Series:
    """A column as numbers, with decimal commas where all have them; nan for what is none."""
    if not pd.api.types.is_numeric_dtype(column):
        text = column.astype("str").str.strip()
        if text.str.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?|[-+]?\d+").all():
            text = text.str.replace(",", ".")
        column = pd.to_numeric(text, errors="coerce")
    return column.astype(float)


def _checked(column: pd.Series, path: Path) -> pd.Series:
    """A column of probabilities, from 0 to 1."""
    values = _numbers(column)
    wrong = ~values.between(-OUTSIDE, 1 + OUTSIDE)  # also where it is nan
    if wrong.any():
        line, found = values.index[wrong][0], column[wrong].iloc[0]
        raise ClassifyError(
            f"{path}, line {line + 2}: {column.name} is {found}, no probability{_meant(column)}"
        )
    return values.clip(0, 1)


def _meant(column: pd.Series) -> str:
    """What to do about numbers that are not from 0 to 1."""
    values = _numbers(column)
    if column.astype("str").str.contains("%").any() or (values.between(0, 100).all()):
        return ". Per cent? Divide by 100"
    if np.isfinite(values).all():
        return ". A logit? Give 1 / (1 + exp(-x)), or the softmax over all classes"
    return ""
