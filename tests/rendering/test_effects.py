"""Tests of plates and frames around text."""

from __future__ import annotations

from lpv_mmocr.rendering import preset
from lpv_mmocr.rendering.colours import draw_palette
from lpv_mmocr.rendering.effects import _enlarged, paint_plate
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


def test_painted_plate_is_centred_around_the_text():
    corners = corners_of((20, 15, 80, 35))
    palette = draw_palette(np.random.default_rng(0), preset("full"))
    seen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = np.full((3, 50, 100), -1, np.float32)
        covered = (paint_plate(rng, image, corners, 20.0, palette) != -1).any(0)
        rows, columns = covered.any(1).nonzero()[0], covered.any(0).nonzero()[0]
        if covered[0, 0]:  # the wall around a plate
            rows, columns = (~covered).any(1).nonzero()[0], (~covered).any(0).nonzero()[0]
        elif not covered[:, :20].any() or not covered[:15].any() or not covered[36:].any():
            continue  # a single line
        seen += 1
        assert abs((15 - rows[0]) - (rows[-1] - 35)) <= 1
        assert abs((20 - columns[0]) - (columns[-1] - 80)) <= 1
        assert not covered[17:34, 22:79].any()
    assert seen > 5


def test_plate_around_a_point_is_finite():
    assert np.isfinite(_enlarged(np.zeros((4, 2)), 3.0)).all()
