"""Numbers, figures and crops as they are printed; pages that open from disk and fetch nothing."""

from __future__ import annotations

import base64
import math
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from classify.data.pack import scaled
from classify.evaluation.confidence_intervals import Estimate
from ffpp_tools.console import counted

if TYPE_CHECKING:
    pass

FACE_SIDE = 112  # of a crop in a page, in pixels
NO_FACES = "Faces were left out of this page on request."
NONE = "–"  # for a number that is not there
PRECISION = 7  # significant digits that are of the number itself: single precision holds as many
STAR_BELOW = 10  # the paper's Tables 5 and 7 print less as *


def decimals(value: float, digits: int) -> str:
    """A number with so many decimals, half away from zero: the one way of rounding for display.

    What binary and single precision add to a decimal number is removed first, so that a number and
    its percentage, or one that was computed in two ways, are printed alike.

    >>> decimals(0.4225, 3), decimals(0.1 + 0.2, 1), decimals(np.float32(0.4225), 3)
    ('0.423', '0.3', '0.423')
    """
    if not math.isfinite(value):
        return str(float(value))
    exact = Decimal(f"{float(value):.{PRECISION}g}")
    found = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{found + 0:f}"  # -0.0 is 0.0


def number(value: float) -> str:
    """A measure with three digits; a dash where there is none.

    >>> number(0.5), number(float("nan"))
    ('0.500', '–')
    """
    return NONE if math.isnan(value) else decimals(value, 3)


def title(name: str) -> str:
    """A measure's name as it is printed.

    >>> title("auc_against_originals"), title("recall_at_1_percent")
    ('AUC against originals', 'recall at 1 %')
    """
    words = name.replace("_percent", " %").replace("_", " ")
    return words.replace("auc", "AUC").replace("eer", "EER")


def percent(value: float) -> str:
    """A share as a percentage; a dash where there is none."""
    return rounded(100 * value)


def rounded(value: float) -> str:
    """A percentage; a dash where there is none.

    >>> rounded(98.76), rounded(0.0)
    ('98.8', '0.0')
    """
    return NONE if math.isnan(value) else decimals(value, 1)


def with_interval(estimate: Estimate) -> str:
    """A measure and its interval, with a question mark where too few people stand behind it.

    >>> with_interval(Estimate(0.9, 0.85, 0.93, 70)), with_interval(Estimate(0.9, 0.7, 1, 4))
    ('0.900 [0.850, 0.930]', '0.900 [0.700, 1.000] ?')
    >>> with_interval(Estimate(1.0, math.nan, math.nan, 2))
    '1.000 ?'
    """
    if math.isnan(estimate.value):
        return number(estimate.value)
    known = not math.isnan(estimate.low)
    interval = f" [{number(estimate.low)}, {number(estimate.high)}]" if known else ""
    return f"{number(estimate.value)}{interval}{'' if estimate.trusted else ' ?'}"


def cell(value: float) -> str:
    """A percentage as the paper prints it: N/A for none.

    >>> cell(98.8), cell(0), cell(100)
    ('98.8', 'N/A', '100')
    """
    if math.isnan(value) or value == 0:
        return "N/A"
    return decimals(value, 2).rstrip("0").rstrip(".")


def starred(value: float) -> str:
    """The same as in its Tables 5 and 7: a star for less than ten per cent.

    >>> starred(9.99), starred(10.0)
    ('*', '10')
    """
    return "*" if math.isnan(value) or value < STAR_BELOW else cell(value)


def figure_uri(svg: bytes) -> str:
    """A figure, as `image` has drawn it, as an address that needs no file."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def face_uri(face: npt.NDArray[np.uint8]) -> str:
    """A crop, (h, w, 3) uint8 RGB, as a small picture in an address."""
    small = scaled(face, FACE_SIDE)
    data = cv2.imencode(".jpg", small[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def rendered(template: str, **values: Any) -> str:
    """A page from a template of this package; every value is escaped."""
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
