"""Comparisons as CSV, JSON, a figure and a page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from classify import figures, page
from classify.bootstrap import FEW_GROUPS, LEVEL
from classify.compare import Comparison, Matrix
from ffpp_tools.console import plain
from ffpp_tools.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Beside a figure, whether its run has seen people of the test split.
MARKS = {"yes": "†", "unknown": "‡", "no": ""}


def write_comparison(folder: Path, found: Comparison) -> None:
    """Write comparison.csv, .json and .html, splits.csv, accuracy-recall.csv and cost.png, .svg."""
    write_atomically(folder / "comparison.csv", found.table.to_csv(index=False).encode())
    write_atomically(folder / "splits.csv", found.splits.to_csv(index=False).encode())
    beside = accuracy_and_recall(found.table).to_csv()
    write_atomically(folder / "accuracy-recall.csv", beside.encode())
    svg = _write_figure(folder / "cost", figures.cost(found.table))
    values = {
        "unit": found.unit,
        "ordered_by": found.ordered_by,
        "notes": found.notes,
        "runs": found.table.to_dict("records"),
        "splits": found.splits.to_dict("records"),
        "best_less_second": {name: asdict(e) for name, e in found.differences.items()},
    }
    text = json.dumps(plain(values), indent=2, allow_nan=False) + "\n"
    write_atomically(folder / "comparison.json", text.encode())
    html = page.rendered("comparison.html", found=found, level=LEVEL, few=FEW_GROUPS, cost=svg)
    write_atomically(folder / "comparison.html", html.encode())


def accuracy_and_recall(table: pd.DataFrame) -> pd.DataFrame:
    """The table of the 29 backbones (2022): a column per run; per cent, of the predicted class."""
    rows = table.set_index(table["run"].rename("Model"))[["accuracy", "fakes_predicted"]]
    rows.columns = pd.Index(["Accuracy", "Recall"])
    return rows.T.map(lambda share: f"{page.decimals(100 * share, 2)}%")


def write_matrix(folder: Path, found: Matrix) -> None:
    """Write matrix.csv, matrix-leaks.csv, matrix.html, and matrix.png and .svg."""
    write_atomically(folder / "matrix.csv", found.auc.to_csv().encode())
    write_atomically(folder / "matrix-leaks.csv", found.leaks.to_csv().encode())
    shown = cells(found)
    figure = figures.heat_map(found.auc, shown, "AUC per frame", top=1)
    svg = _write_figure(folder / "matrix", figure)
    html = page.rendered("matrix.html", found=found, cells=shown, figure=svg)
    write_atomically(folder / "matrix.html", html.encode())


def _write_figure(path: Path, figure: Figure) -> bytes:
    """Write `path` with the suffixes .png and .svg; returns the latter, for a page."""
    drawn = {kind: page.image(figure, kind) for kind in ("png", "svg")}
    for kind, data in drawn.items():
        write_atomically(path.with_suffix(f".{kind}"), data)
    return drawn["svg"]


def cells(found: Matrix) -> pd.DataFrame:
    """The figures as they are printed, those that flatter with a mark."""
    return found.auc.map(page.number) + found.leaks.map(MARKS.get)
