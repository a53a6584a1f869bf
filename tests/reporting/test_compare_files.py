"""Tests of the files of a comparison."""

import pandas as pd

from classify.evaluation.compare import CrossManifestMatrix
from classify.reporting.compare_files import accuracy_and_recall, cells, write_matrix

MATRIX = CrossManifestMatrix(
    pd.DataFrame({"a": [0.9876, 0.5], "b": [0.75, float("nan")]}, index=["x", "y"]),
    pd.DataFrame({"a": ["yes", "no"], "b": ["unknown", "no"]}, index=["x", "y"]),
    ("a note <b>on it</b>",),
)


def test_optimistic_metrics_have_a_mark():
    assert cells(MATRIX).to_dict("list") == {"a": ["0.988†", "0.500"], "b": ["0.750‡", "–"]}


def test_a_matrix_is_written_as_tables_a_figure_and_a_page(tmp_path):
    write_matrix(tmp_path, MATRIX)
    names = {p.name for p in tmp_path.iterdir() if p.name.startswith("matrix")}
    assert names == {f"matrix{end}" for end in (".csv", "-leaks.csv", ".html", ".png", ".svg")}
    read = pd.read_csv(tmp_path / "matrix.csv", index_col=0)
    pd.testing.assert_frame_equal(read, MATRIX.auc, check_names=False)
    page = (tmp_path / "matrix.html").read_text()
    assert "0.988†" in page
    assert "a note &lt;b&gt;on it" in page


def test_accuracy_and_recall_are_in_per_cent_with_a_column_per_run():
    runs = pd.DataFrame({"run": ["b0"], "accuracy": [0.91234], "fakes_predicted": [0.5]})
    table = accuracy_and_recall(runs)
    assert table.to_dict() == {"b0": {"Accuracy": "91.23%", "Recall": "50.00%"}}
    assert table.columns.name == "Model"
