"""Grad-CAM maps over faces."""

import numpy as np

from classify.inference.gradcam_files import overlaid


def test_a_face_is_red_where_the_map_is_1_and_blue_where_it_is_0():
    face = np.full((4, 4, 3), 100, np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 0.95
    mixed = overlaid(face, heat)
    assert mixed[0, 0, 0] > mixed[0, 0, 2]
    assert mixed[3, 3, 2] > mixed[0, 0, 2]
