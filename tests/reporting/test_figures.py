"""Tests of the figures of a report."""

import numpy as np
import pandas as pd
import pytest

from classify.reporting import figures
from tests.helpers.scores import SCORES, judged


def lines(axes):
    """Return the lines in the legend of a panel: label → (x, y)."""
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_a_roc_curve_is_drawn_for_each_manipulation_and_for_all():
    (axes,) = figures.roc(judged()).axes
    found = lines(axes)
    assert set(found) == {"Deepfakes c40", "FaceSwap c40", "all, against all reals"}
    for x, y in found.values():
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        assert np.all(np.diff(x) >= 0)


def test_calibration_is_shown_before_and_after_the_temperature():
    (axes,) = figures.calibration(judged(), 2.0).axes
    found = lines(axes)
    assert list(found) == ["uncalibrated", "temperature 2.000"]
    before, after = (np.array(x) for x, _ in found.values())
    assert max(before) > max(after)  # a temperature above 1 brings probabilities nearer to half


def test_only_some_clips_are_shown_over_time_each_by_its_frames_in_order():
    frames = SCORES.table.assign(p_fake=SCORES.p_fake)
    frames = frames.assign(clip=frames["category"] + frames["frame"].astype(str))
    panels = figures.over_time(frames, 0.3).axes
    assert len(panels) == figures.CLIPS_SHOWN == len(frames) - 1
    unordered = pd.DataFrame({"clip": ["a"] * 3, "frame": [2, 0, 1], "p_fake": [0.3, 0.1, 0.2]})
    (axes,) = figures.over_time(unordered, 0.3).axes
    curve, threshold = axes.lines
    assert list(curve.get_ydata()) == [0.1, 0.2, 0.3]
    assert list(threshold.get_ydata()) == [0.3, 0.3]


def test_a_heat_map_has_legible_text_in_its_cells():
    table = pd.DataFrame({"a": [100.0, 10.0]}, index=["x", "y"])
    (axes,) = figures.heat_map(table, table.map("{:.0f} %".format), "title").axes
    assert [(t.get_text(), t.get_color()) for t in axes.texts] == [
        *(("100 %", "white"), ("10 %", "black"))
    ]


def test_cost_is_plotted_in_milliseconds_and_per_cent():
    table = pd.DataFrame(
        {"run": ["a", "b"], "images_per_second": [100, 10], "accuracy": [0.5, 0.9],
         "parameters": [1000, 500]}
    )  # fmt: skip
    (axes,) = figures.cost(table).axes
    (points,) = axes.collections
    assert np.asarray(points.get_offsets()) == pytest.approx(np.array([[10, 50], [100, 90]]))
    areas = points.get_sizes()
    assert areas[0] - 30 == pytest.approx(2 * (areas[1] - 30))
