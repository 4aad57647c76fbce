"""Tests of plates and frames around text."""

from __future__ import annotations

from lpv_mmocr.rendering.effects import _enlarged
from lpv_mmocr.rendering.geometry import corners_of

import cv2
import numpy as np
import pytest


@pytest.mark.parametrize("width", [10, 40, 400])
def test_plate_has_the_same_margin_on_all_sides(width):
    corners = corners_of((100, 50, 100 + width, 90))
    expected = corners_of((93, 43, 107 + width, 97))
    np.testing.assert_allclose(_enlarged(corners, 7.0), expected)


def test_plate_of_a_distorted_word_surrounds_it():
    rng = np.random.default_rng(0)
    for _ in range(200):
        corners = corners_of((0, 0, 300, 40)) + rng.uniform(-12, 12, (4, 2))
        plate = _enlarged(corners, 5.0).astype(np.float32)
        distances = [cv2.pointPolygonTest(plate, corner, True) for corner in corners]
        assert min(distances) > 2.5 and max(distances) < 7.5


def test_plate_around_a_point_is_finite():
    assert np.isfinite(_enlarged(np.zeros((4, 2)), 3.0)).all()
