"""Drawn faces: the same person every time, whose expression alone changes."""

import numpy as np
import pytest

from ffpp_tools.demo.face import EYE_Y, MOUTH_Y, ORIGIN, UNIT, Expression, Person, Portrait

SIZE = 96


def test_a_seed_is_always_the_same_person_and_another_one_another():
    one, again, other = (Portrait(Person.drawn(seed), SIZE) for seed in (3, 3, 4))
    assert one.person == again.person
    np.testing.assert_array_equal(one.render(Expression()), again.render(Expression()))
    difference = one.render(Expression()).astype(int) - other.render(Expression())
    assert np.abs(difference).mean() > 10


@pytest.mark.parametrize(
    ("expression", "y"),
    [
        (Expression(mouth_open=1.0), MOUTH_Y),
        (Expression(smile=1.0), MOUTH_Y),
        (Expression(eyes_open=0.0), EYE_Y),
        (Expression(gaze=1.0), EYE_Y),
    ],
)
def test_an_expression_changes_the_mouth_or_the_eyes_and_nothing_else(expression, y):
    portrait = Portrait(Person.drawn(0), SIZE)
    changed = portrait.render(expression) != portrait.render(Expression())
    rows = np.flatnonzero(changed.any(axis=(1, 2)))
    assert len(rows) > 2
    units = (rows - ORIGIN[1] * SIZE) / (UNIT * SIZE)  # from the canvas to the face
    assert np.abs(units - y).max() < 0.3


def test_a_person_covers_the_middle_of_the_canvas_and_not_its_upper_corners():
    portrait = Portrait(Person.drawn(0), SIZE)
    assert portrait.alpha[SIZE // 2, SIZE // 2] == portrait.face_mask[SIZE // 2, SIZE // 2] == 1
    assert portrait.alpha[0, 0] == portrait.alpha[0, -1] == 0
    assert (portrait.face_mask <= portrait.alpha + 1e-6).all()
