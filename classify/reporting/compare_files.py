"""Write comparisons as CSV, JSON, figures and HTML pages."""

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
# Marks a metric by whether the run has seen identities of the test split.
MARKS = {"yes": "†", "unknown": "‡", "no": ""}


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write comparison.csv, .json and .html, splits.csv, accuracy-recall.csv and cost.png, .svg."""
    images = _figure_files("cost", figures.cost(comparison.table))
    values = {
        "unit": comparison.unit,
        "ordered_by": comparison.ordered_by,
        "notes": comparison.notes,
        "runs": comparison.table.to_dict("records"),
        "splits": comparison.splits.to_dict("records"),
        "best_less_second": {name: asdict(e) for name, e in comparison.differences.items()},
    }
    values = format_versions.with_format(format_versions.REPORT, jsonable(values))
    html = formatting.rendered(
        "comparison.html",
        comparison=comparison,
        level=LEVEL,
        few=FEW_GROUPS,
        cost=images["cost.svg"],
    )
    files = {
        "comparison.csv": comparison.table.to_csv(index=False).encode(),
        "splits.csv": comparison.splits.to_csv(index=False).encode(),
        "accuracy-recall.csv": accuracy_and_recall(comparison.table).to_csv().encode(),
        **images,
        "comparison.html": html.encode(),
        "comparison.json": (json.dumps(values, indent=2, allow_nan=False) + "\n").encode(),
    }
    _write(folder, files)


def accuracy_and_recall(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of the 2022 study of 29 backbones: per cent by argmax, a column per run."""
    rows = table.set_index(table["run"].rename("Model"))[["accuracy", "fakes_predicted"]]
    rows.columns = pd.Index(["Accuracy", "Recall"])
    return rows.T.map(lambda share: f"{formatting.decimals(100 * share, 2)}%")


def write_matrix(folder: Path, matrix: CrossManifestMatrix) -> None:
    """Write matrix.csv, matrix-leaks.csv, matrix.html, and matrix.png and .svg."""
    texts = cells(matrix)
    images = _figure_files("matrix", figures.heat_map(matrix.auc, texts, "AUC per frame", top=1))
    html = formatting.rendered(
        "matrix.html", matrix=matrix, cells=texts, figure=images["matrix.svg"]
    )
    files = {
        "matrix-leaks.csv": matrix.leaks.to_csv().encode(),
        **images,
        "matrix.html": html.encode(),
        "matrix.csv": matrix.auc.to_csv().encode(),
    }
    _write(folder, files)


def _figure_files(name: str, figure: Figure) -> dict[str, bytes]:
    """Return a figure as PNG and SVG, by file name."""
    return {f"{name}.{kind}": curves.image(figure, kind) for kind in ("png", "svg")}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    with writing_folder(folder, COMMAND, files):
        for name, data in files.items():
            write_atomically(folder / name, data)


def cells(matrix: CrossManifestMatrix) -> pd.DataFrame:
    """Return the AUCs as text, marked if identity overlap is known or cannot be excluded."""
    return matrix.auc.map(formatting.number) + matrix.leaks.map(MARKS.get)
