"""Tests that a number is formatted in the same way everywhere."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

import classify
from classify.evaluation.confidence_intervals import Estimate
from classify.reporting.formatting import (
    cell,
    decimals,
    number,
    percent,
    rounded,
    starred,
    with_interval,
)
from tests.helpers.scores import CLASSES, judged


@pytest.mark.parametrize(
    "value",
    [
        0.4225,
        0.4225 - 1e-17,
        0.42249999999999999,
        0.4225 + 1e-12,
        169 / 400,
        1 - 0.5775,
        np.float32(0.4225),
        float(np.float32(0.4225)),
        np.float64(0.4225),
    ],
    ids=repr,
)
def test_float_errors_do_not_decide_how_a_half_is_rounded(value):
    assert number(value) == "0.423"
    assert percent(value) == "42.3"  # the same digits as a percentage
    assert with_interval(Estimate(value, value, value, 20)) == "0.423 [0.423, 0.423]"


@pytest.mark.parametrize(
    ("value", "digits", "printed"),
    [
        (0.5, 0, "1"),
        (1.5, 0, "2"),
        (2.5, 0, "3"),  # half away from zero, not to even
        (-0.0005, 3, "-0.001"),
        (-0.0001, 3, "0.000"),
        (0.0004999, 3, "0.000"),
        (0.42249, 3, "0.422"),
        (0.9995, 3, "1.000"),
        (0.99949, 3, "0.999"),
        (1234.56, 1, "1234.6"),
        (12345678.9, 0, "12345680"),
        (1e-12, 3, "0.000"),
        (math.inf, 3, "inf"),
    ],
)
def test_numbers_are_rounded_half_away_from_zero(value, digits, printed):
    assert decimals(value, digits) == printed


def test_a_missing_number_is_a_dash():
    assert [number(math.nan), percent(math.nan), rounded(math.nan)] == ["–"] * 3
    assert cell(math.nan) == "N/A"


def test_cells_of_the_papers_tables_are_rounded_in_the_same_way():
    assert [cell(42.225), cell(100 * 0.42225), cell(np.float32(42.225))] == ["42.23"] * 3


def test_no_other_code_rounds_metrics_for_display():
    """Seconds, bytes and rates of training may be formatted in place."""
    allowed = {"display.py", "pack.py", "external.py", "evaluate.py"}
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(Path(classify.__file__).parent.rglob("*"))
        if path.suffix in {".py", ".html", ".md"} and path.name not in allowed
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"[:%]\.[0-9][f%]", line)
    ]
    assert found == []


def test_reals_come_first_in_the_papers_tables():
    order = list(judged().in_paper_order.index)
    assert order == ["CelebA", "Youtube", "Deepfakes", "FaceSwap"]
    assert list(judged().confusion.index) == list(CLASSES)
    assert [starred(v) for v in (9.99, 10, float("nan"))] == ["*", "10", "*"]


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0, "N/A"), (float("nan"), "N/A"), (100, "100"), (98.8, "98.8"), (0.05, "0.05"), (8.0, "8")],
)
def test_cells_are_printed_as_in_the_papers_tables(value, printed):
    assert cell(value) == printed
