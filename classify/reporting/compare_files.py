"""Comparisons as CSV, JSON, a figure and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from classify.evaluation.compare import Comparison, CrossManifestMatrix
from classify.evaluation.confidence_intervals import FEW_GROUPS, LEVEL
from classify.reporting import figures, formatting
from classify.training import curves
from ffpp_tools.console import jsonable
from ffpp_tools.files import write_atomically
from ffpp_tools.store import format_versions
from ffpp_tools.store.incomplete import writing_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMMAND = "classify compare"
# Beside a figure, whether its run has seen people of the test split.
MARKS = {"yes": "†", "unknown": "‡", "no": ""}


def write_comparison(folder: Path, found: Comparison) -> None:
    """Write comparison.csv, .json and .html, splits.csv, accuracy-recall.csv and cost.png, .svg."""
    drawn = _drawn("cost", figures.cost(found.table))
    values = {
        "unit": found.unit,
        "ordered_by": found.ordered_by,
        "notes": found.notes,
        "runs": found.table.to_dict("records"),
        "splits": found.splits.to_dict("records"),
        "best_less_second": {name: asdict(e) for name, e in found.differences.items()},
    }
    values = format_versions.with_format(format_versions.REPORT, jsonable(values))
    cost = drawn["cost.svg"]
    html = formatting.rendered(
        "comparison.html", found=found, level=LEVEL, few=FEW_GROUPS, cost=cost
    )
    files = {
        "comparison.csv": found.table.to_csv(index=False).encode(),
        "splits.csv": found.splits.to_csv(index=False).encode(),
        "accuracy-recall.csv": accuracy_and_recall(found.table).to_csv().encode(),
        **drawn,
        "comparison.html": html.encode(),
        "comparison.json": (json.dumps(values, indent=2, allow_nan=False) + "\n").encode(),
    }
    _write(folder, files)


def accuracy_and_recall(table: pd.DataFrame) -> pd.DataFrame:
    """The table of the 29 backbones (2022): a column per run; per cent, of the predicted class."""
    rows = table.set_index(table["run"].rename("Model"))[["accuracy", "fakes_predicted"]]
    rows.columns = pd.Index(["Accuracy", "Recall"])
    return rows.T.map(lambda share: f"{formatting.decimals(100 * share, 2)}%")


def write_matrix(folder: Path, found: CrossManifestMatrix) -> None:
    """Write matrix.csv, matrix-leaks.csv, matrix.html, and matrix.png and .svg."""
    shown = cells(found)
    drawn = _drawn("matrix", figures.heat_map(found.auc, shown, "AUC per frame", top=1))
    html = formatting.rendered("matrix.html", found=found, cells=shown, figure=drawn["matrix.svg"])
    files = {
        "matrix-leaks.csv": found.leaks.to_csv().encode(),
        **drawn,
        "matrix.html": html.encode(),
        "matrix.csv": found.auc.to_csv().encode(),
    }
    _write(folder, files)


def _drawn(name: str, figure: Figure) -> dict[str, bytes]:
    """A figure as two files."""
    return {f"{name}.{kind}": curves.image(figure, kind) for kind in ("png", "svg")}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    with writing_folder(folder, COMMAND, files):
        for name, data in files.items():
            write_atomically(folder / name, data)


def cells(found: CrossManifestMatrix) -> pd.DataFrame:
    """The figures as they are printed, those that flatter with a mark."""
    return found.auc.map(formatting.number) + found.leaks.map(MARKS.get)
