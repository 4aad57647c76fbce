from __future__ import annotations

from lpv_mmocr.rendering import preset
from lpv_mmocr.rendering.geometry import Warp, _bend, _perspective, place_text
from lpv_mmocr.rendering.text_layer import TextLayer, lay_out, set_text

import cv2
import numpy as np
import pytest

FULL = preset("full")


@pytest.fixture(scope="module")
def font(fonts):
    return next(f for f in fonts.faces if f.verdict.family == "DejaVu Sans").at(36)


def block(height=24, width=100, pad=20):
    mask = np.zeros((height + 2 * pad, width + 2 * pad), np.uint8)
    mask[pad : pad + height, pad : pad + width] = 255
    return TextLayer(mask, None, (pad, pad, pad + width, pad + height))


def test_set_text_is_tight_and_returns_its_base_line(font):
    mask, base = set_text(font, "HEH")
    assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()
    assert base == pytest.approx(mask.shape[0], abs=1)
    low, low_base = set_text(font, "gg")
    assert low_base < low.shape[0] - 3  # Descenders hang below the base line.
    empty, _ = set_text(font, " ")
    assert empty.size == 0


def test_spacing_adds_the_same_between_all_letters(font):
    plain, _ = set_text(font, "HHHH", spacing=1e-9)
    wide, _ = set_text(font, "HHHH", spacing=5.0)
    assert wide.shape[1] - plain.shape[1] == pytest.approx(15, abs=1)
    assert wide.shape[0] == plain.shape[0]


def test_lifted_letters_keep_all_their_ink(font):
    flat, _ = set_text(font, "HH")
    lifted, _ = set_text(font, "HH", lifts=np.array([0, 40]))
    assert lifted.shape[0] == flat.shape[0] + 40
    assert int(lifted.sum()) == pytest.approx(int(flat.sum()), rel=0.02)


def test_strong_perspective_neither_folds_nor_mirrors_low_signs():
    corners = np.array([[0, 0], [30, 0], [30, 4], [0, 4]], np.float32)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        matrix = _perspective(rng, np.eye(3), corners, 8.0, 1.0)
        mapped = cv2.perspectiveTransform(corners[None], matrix)[0]
        sides = np.roll(mapped, -1, axis=0) - mapped
        following = np.roll(sides, -1, axis=0)
        assert (sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0] > 0).all()


@pytest.mark.parametrize("width", [4, 30, 300])
def test_perspective_neither_folds_nor_mirrors(width):
    corners = np.array([[0, 0], [width, 0], [width, 40], [0, 40]], np.float32)
    rng = np.random.default_rng(0)
    moved = 0.0
    for _ in range(2000):
        matrix = _perspective(rng, np.eye(3), corners, 40.0, FULL.perspective)
        mapped = cv2.perspectiveTransform(corners[None], matrix)[0]
        sides = np.roll(mapped, -1, axis=0) - mapped
        following = np.roll(sides, -1, axis=0)
        # All corners keep their orientation.
        assert (sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0] > 0).all()
        moved = max(moved, float(abs(mapped - corners)[:, 0].max()))
    assert moved == pytest.approx(min(0.3 * width, 0.9 * FULL.perspective * 40), rel=0.1)


def test_neighbours_never_touch_the_word(font):
    rng = np.random.default_rng(0)
    config = FULL.replace(jitter_prob=0.0)
    for _ in range(30):
        layer = lay_out(rng, font, "word", config, ["left", "right", "ABOVE", "below"])
        assert layer.around.any()
        assert not (layer.around.astype(bool) & layer.mask.astype(bool)).any()
        left, top, right, bottom = layer.box
        assert not layer.around[top:bottom, left:right].any()


@pytest.mark.parametrize("seed", range(60))
def test_crops_hold_the_whole_word(seed):
    """A larger output holds no more ink, as long as words are not cut on purpose."""
    rng = np.random.default_rng(seed)
    layer = block()
    warp = place_text(rng, layer, 30.0, 6, FULL.replace(cut_prob=0.0))
    inside = warp.apply(layer.mask)
    shift = np.array([[1, 0, 40], [0, 1, 40], [0, 0, 1.0]])
    roomy = Warp(
        shift @ warp.matrix, (warp.size[0] + 80, warp.size[1] + 80), warp.radius, warp.centre
    ).apply(layer.mask)
    assert int(inside.sum()) == pytest.approx(int(roomy.sum()), rel=0.02)


def test_text_height_is_met_without_distortion():
    config = preset("easy").replace(
        rotation_std=0.0, shear=0.0, stretch=(1.0, 1.0), margin_x=(0.0, 0.0), margin_y=(0.0, 0.0)
    )
    layer = block(24, 100)
    warp = place_text(np.random.default_rng(0), layer, 36.0, 5, config)
    assert warp.size == (36, 150)
    assert warp.apply(layer.mask)[3:-3, 3:-3].min() == 255


@pytest.mark.parametrize("radius", [60.0, -90.0, 400.0])
def test_bending_points_and_masks_agree(radius):
    """A dot drawn on the canvas lands where the forward mapping says."""
    centre = (70.0, 32.0)
    warp = Warp(np.array([[1, 0, 60.0], [0, 1, 60.0], [0, 0, 1.0]]), (240, 280), radius, centre)
    for point in [(30.0, 25.0), (70.0, 32.0), (105.0, 40.0)]:
        canvas = np.zeros((64, 140), np.uint8)
        cv2.circle(canvas, (int(point[0]), int(point[1])), 2, 255, -1)
        rows, cols = np.nonzero(warp.apply(canvas) > 60)
        expected = _bend(np.array([point]), radius, centre)[0] + 60
        assert (cols.mean(), rows.mean()) == pytest.approx(expected, abs=0.6)
