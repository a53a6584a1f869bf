"""Format numbers and images for display; render self-contained HTML pages."""

from __future__ import annotations

import base64
import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from classify.evaluation.confidence_intervals import Estimate
from ffpp_tools.console import counted
from ffpp_tools.loading.crop_files import scaled

FACE_SIDE = 112  # side of a crop in a page, in pixels
NO_FACES = "Faces are omitted from this page on request."
NONE = "–"  # placeholder for a missing number
PRECISION = 7  # significant digits of single precision
STAR_BELOW = 10  # the paper's Tables 5 and 7 print * for smaller percentages


def decimals(value: float, digits: int) -> str:
    """Format a number with a fixed number of decimals, rounding half away from zero.

    All numbers for display are rounded by this function. Representation errors of binary and single
    precision are removed first, so that a number and its percentage, or the same number computed in
    two ways, are printed with the same digits.

    >>> decimals(0.4225, 3), decimals(0.1 + 0.2, 1), decimals(np.float32(0.4225), 3)
    ('0.423', '0.3', '0.423')
    """
    if not math.isfinite(value):
        return str(float(value))
    exact = Decimal(f"{float(value):.{PRECISION}g}")
    rounded_value = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded_value + 0:f}"  # prints -0.0 as 0.0


def number(value: float) -> str:
    """Format a metric with three decimals; nan becomes a dash.

    >>> number(0.5), number(float("nan"))
    ('0.500', '–')
    """
    return NONE if math.isnan(value) else decimals(value, 3)


def title(name: str) -> str:
    """Return the display name of a metric.

    >>> title("auc_against_originals"), title("recall_at_1_percent")
    ('AUC against originals', 'recall at 1 %')
    """
    words = name.replace("_percent", " %").replace("_", " ")
    return words.replace("auc", "AUC").replace("eer", "EER")


def percent(value: float) -> str:
    """Format a share as a percentage; nan becomes a dash."""
    return rounded(100 * value)


def rounded(value: float) -> str:
    """Format a percentage with one decimal; nan becomes a dash.

    >>> rounded(98.76), rounded(0.0)
    ('98.8', '0.0')
    """
    return NONE if math.isnan(value) else decimals(value, 1)


def with_interval(estimate: Estimate) -> str:
    """Format a metric and its interval; a question mark means too few identity groups.

    >>> with_interval(Estimate(0.9, 0.85, 0.93, 70)), with_interval(Estimate(0.9, 0.7, 1, 4))
    ('0.900 [0.850, 0.930]', '0.900 [0.700, 1.000] ?')
    >>> with_interval(Estimate(1.0, math.nan, math.nan, 2))
    '1.000 ?'
    """
    if math.isnan(estimate.value):
        return number(estimate.value)
    has_interval = not math.isnan(estimate.low)
    interval = f" [{number(estimate.low)}, {number(estimate.high)}]" if has_interval else ""
    return f"{number(estimate.value)}{interval}{'' if estimate.trusted else ' ?'}"


def cell(value: float) -> str:
    """Format a percentage as the paper does: N/A for nan and 0.

    >>> cell(98.8), cell(0), cell(100)
    ('98.8', 'N/A', '100')
    """
    if math.isnan(value) or value == 0:
        return "N/A"
    return decimals(value, 2).rstrip("0").rstrip(".")


def starred(value: float) -> str:
    """Format a percentage as in the paper's Tables 5 and 7: a star for less than 10 per cent.

    >>> starred(9.99), starred(10.0)
    ('*', '10')
    """
    return "*" if math.isnan(value) or value < STAR_BELOW else cell(value)


def figure_uri(svg: bytes) -> str:
    """Return an SVG figure as a data URI."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def face_uri(face: npt.NDArray[np.uint8]) -> str:
    """Return a crop, (h, w, 3) uint8 RGB, as a data URI of a small JPEG."""
    small = scaled(face, FACE_SIDE)
    data = cv2.imencode(".jpg", small[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def rendered(template: str, **values: Any) -> str:
    """Render an HTML template of this package; all values are escaped."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("classify"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        int=int,
        decimals=decimals,
        number=number,
        percent=percent,
        with_interval=with_interval,
        rounded=rounded,
        counted=counted,
        title=title,
        figure_uri=figure_uri,
        face_uri=face_uri,
        no_faces=NO_FACES,
    )
    return environment.get_template(template).render(**values)
